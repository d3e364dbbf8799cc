"""Reads the outline of an ONNX model, which has no magic number: a ModelProto in protobuf.

Field numbers: github.com/onnx/onnx, ``onnx/onnx.proto``; wire format: protobuf.dev,
"Encoding". A file is taken for ONNX when its top level is nothing but fields of a ModelProto up
to the last byte, with a version and a graph that is a GraphProto.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from modelcellar.formats.cursor import (
    Cursor,
    Fault,
    FormatError,
    damaged,
    other_format,
    too_large,
    truncated,
)
from modelcellar.formats.facts import (
    clean_bytes,
    clean_text,
)
from modelcellar.formats.protobuf import BYTES, VARINT, Field, fields, varint
from modelcellar.formats.reading import MAX_DIMENSIONS, is_shape
from modelcellar.records import Tensor

MAX_MODEL_FIELDS = 50_000
MAX_INNER_FIELDS = 250_000
MAX_ENTRY_FIELDS = 16
MAX_SAID_FIELDS = 16_384
MAX_IR_VERSION = 64
FIRST_IR_WITH_OPSETS = 3
MAX_KEPT_PROPS = 64
MAX_INPUTS = 32
MAX_LOCATIONS = 256
MAX_NEEDED_FILES = 16_384
MAX_FIELDS_FOR_NEEDED = 4_000_000
MAX_PATH_BYTES = 4096
NO_FILE_BYTES = 2**63
"""More than any file has."""
MAX_TENSORS = 65_536
MAX_NAME_BYTES = 1024
MAX_NAMES_BYTES = 4 << 20
MAX_GRAPH_DEPTH = 8
LEAST_ELEMENTS = 64
NODE_ATTRIBUTE = 5
ATTRIBUTE_TENSOR = 5
ATTRIBUTE_GRAPHS = (6, 11)

MODEL_FIELDS = {
    1: VARINT, 2: BYTES, 3: BYTES, 4: BYTES, 5: VARINT, 6: BYTES, 7: BYTES, 8: BYTES, 14: BYTES,
    20: BYTES, 25: BYTES, 26: BYTES,
}  # fmt: skip
GRAPH_FIELDS = {
    1: BYTES, 2: BYTES, 5: BYTES, 10: BYTES, 11: BYTES, 12: BYTES, 13: BYTES, 14: BYTES,
    15: BYTES, 16: BYTES,
}  # fmt: skip
MAX_FIELD_NUMBER = 63
"""Fields that newer versions may add are let pass up to here; protobuf itself has no limit."""

_GRAPH_TAG = b"\x3a"
_CONTINUED = bytes(range(0x80, 0x100))

DATA_TYPES = {
    1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 8: "STRING", 9: "BOOL",
    10: "F16", 11: "F64", 12: "U32", 13: "U64", 14: "C64", 15: "C128", 16: "BF16",
    17: "F8_E4M3FN", 18: "F8_E4M3FNUZ", 19: "F8_E5M2", 20: "F8_E5M2FNUZ", 21: "U4", 22: "I4",
    23: "F4_E2M1", 24: "F8_E8M0", 25: "U2", 26: "I2",
}  # fmt: skip


@dataclass
class Outline:
    """What is counted and kept of a model."""

    ir_version: int | None = None
    producer: list[str] = field(default_factory=lambda: ["", ""])
    graphs: int = 0
    tensors: list[Tensor] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    locations: dict[str, bool] = field(default_factory=dict)
    needed: dict[str, int] = field(default_factory=dict)
    graph_name: str = ""
    nodes: int = 0
    initializers: int = 0
    parameters: int = 0
    dtypes: Counter[str] = field(default_factory=Counter)
    external: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    props: dict[str, str] = field(default_factory=dict)
    prop_count: int = 0
    is_counted: bool = True
    has_overflow: bool = False


def looks_like(head: bytes) -> bool:
    """Whether the first byte is the tag of a field that a ModelProto can begin with."""
    return bool(head) and _fits(head[0], MODEL_FIELDS)


def read_outline(cursor: Cursor) -> Outline:
    """Walks the fields of the model and its graphs.

    Raises ``FormatError``: it is none, or damaged, or cut off.
    """
    reader = _Reader(cursor)
    reader.read()
    outline = reader.outline
    if outline.ir_version is None or not outline.graphs:
        raise other_format("an ONNX model has a version and a graph")
    if outline.ir_version >= FIRST_IR_WITH_OPSETS and not outline.opsets:
        raise truncated(
            f"it ends at byte {cursor.size_bytes:,} without the operator sets that an ONNX model "
            f"of IR version {outline.ir_version} must name"
        )
    if outline.has_overflow:
        raise damaged(
            f"one of its tensors has more than {MAX_DIMENSIONS} dimensions, or more elements than "
            f"63 bits can count"
        )
    return outline


def needed_files(cursor: Cursor) -> dict[str, int] | None:
    """The locations of external data as they are written, and how many bytes each must have.

    Neither clean nor checked; "" for a tensor that names none. ``None``: more than is read here.
    """
    reader = _Reader(cursor, MAX_FIELDS_FOR_NEEDED)
    reader.read()
    needed = reader.outline.needed
    return needed if reader.outline.is_counted and len(needed) <= MAX_NEEDED_FILES else None


class _Reader:
    def __init__(self, cursor: Cursor, inner_fields: int = MAX_INNER_FIELDS) -> None:
        self._cursor = cursor
        self._inner_fields_left = inner_fields
        self._said_fields_left = MAX_SAID_FIELDS * max(1, inner_fields // MAX_INNER_FIELDS)
        self._name_bytes_left = MAX_NAMES_BYTES
        self.outline = Outline()

    def read(self) -> None:
        """Raises ``FormatError``; only what is certainly ONNX is called cut off or damaged."""
        done = count = 0
        try:
            for item in fields(self._cursor, 0, self._cursor.size_bytes):
                self._model_field(item)
                done = item.end
                count += 1
                if count > MAX_MODEL_FIELDS:
                    raise too_large(f"more than {MAX_MODEL_FIELDS:,} fields")
        except FormatError as error:
            outline = self.outline
            is_cut = error.fault is Fault.TRUNCATED and self._is_graph(done)
            if outline.ir_version is None or not (outline.graphs or is_cut):
                raise other_format(error.reason) from None
            raise

    def _is_graph(self, position: int) -> bool:
        """Whether the field at ``position`` is a graph, as far as the file goes."""
        self._cursor.seek(position)
        start = self._cursor.peek(12)
        length_and_content = start[1:].lstrip(_CONTINUED)
        first = length_and_content[1:2]
        return start[:1] == _GRAPH_TAG and bool(first) and _fits(first[0], GRAPH_FIELDS)

    def _inner_fields(self, outer: Field) -> Iterator[Field]:
        for item in fields(self._cursor, outer.start, outer.end):
            if not self._may_read():
                return
            yield item

    def _entry_fields(self, outer: Field) -> Iterator[Field]:
        return islice(self._inner_fields(outer), MAX_ENTRY_FIELDS)

    def _said_fields(self, outer: Field) -> Iterator[Field]:
        """Of what the model says of itself, also where its graph is too large to be counted."""
        for item in islice(fields(self._cursor, outer.start, outer.end), MAX_ENTRY_FIELDS):
            self._said_fields_left -= 1
            if self._said_fields_left < 0:
                return
            yield item

    def _may_read(self) -> bool:
        """Counts whatever lies below the model itself; from the limit on nothing is read."""
        self._inner_fields_left -= 1
        if self._inner_fields_left < 0:
            self.outline.is_counted = False
        return self.outline.is_counted

    def _model_field(self, item: Field) -> None:
        _require(item, MODEL_FIELDS)
        outline = self.outline
        if item.number == 1:
            if not 1 <= item.value <= MAX_IR_VERSION:
                raise other_format(f"no ONNX version {item.value:,} exists")
            outline.ir_version = item.value
        elif item.number in (2, 3):
            outline.producer[item.number - 2] = self._text(item, 128)
        elif item.number == 7:
            self._graph(item)
            outline.graphs += item.end > item.start
        elif item.number == 8:
            self._opset(item)
        elif item.number == 14:
            self._prop(item)

    def _graph(self, graph: Field, depth: int = 0) -> None:
        for item in self._inner_fields(graph):
            _require(item, GRAPH_FIELDS)
            if item.number == 1:
                self.outline.nodes += depth == 0
                self._node(item, depth)
            elif item.number == 2 and depth == 0:
                self.outline.graph_name = self._text(item, 256)
            elif item.number == 5:
                self._tensor(item)
            elif item.number == 11 and depth == 0 and len(self.outline.inputs) < MAX_INPUTS:
                self.outline.inputs.append(self._first_name(item))

    def _node(self, node: Field, depth: int) -> None:
        """The attributes of a node: a constant's tensor, the bodies of a condition or a loop."""
        for item in self._inner_fields(node):
            if item.number != NODE_ATTRIBUTE or item.wire != BYTES:
                continue
            for part in self._inner_fields(item):
                if part.wire != BYTES:
                    continue
                if part.number == ATTRIBUTE_TENSOR:
                    self._tensor(part, is_constant=True)
                elif part.number in ATTRIBUTE_GRAPHS and depth < MAX_GRAPH_DEPTH:
                    self._graph(part, depth + 1)

    def _tensor(self, tensor: Field, *, is_constant: bool = False) -> None:
        dims: list[int] = []
        name, data_type, is_external = "", 0, False
        pairs: dict[bytes, bytes] = {}
        for item in self._inner_fields(tensor):
            if item.number == 1 and item.wire == VARINT:
                dims.append(item.value)
            elif item.number == 1 and item.wire == BYTES:
                dims += self._packed(item)
            elif item.number == 2:
                data_type = item.value
            elif item.number == 8 and item.wire == BYTES:
                name = self._name(item)
            elif item.number == 13 and item.wire == BYTES:
                self._external(item, pairs)
            elif item.number == 14:
                is_external = item.value == 1
            if len(dims) > MAX_DIMENSIONS:
                self.outline.has_overflow = True
                return
        if not is_shape(tuple(dims)):
            # Said at the end: until then it is not certain that this is ONNX at all.
            self.outline.has_overflow = True
            return
        elements = math.prod(dims)
        if is_external:
            self._need(pairs, elements, data_type)
        if is_constant and elements < LEAST_ELEMENTS:
            return  # An axis, a shape, an epsilon: no weights.
        outline = self.outline
        dtype = DATA_TYPES.get(data_type, f"type {data_type}")
        outline.initializers += 1
        outline.external += is_external
        outline.parameters += elements
        outline.dtypes[dtype] += 1
        self._name_bytes_left -= len(name)
        if len(outline.tensors) < MAX_TENSORS and self._name_bytes_left >= 0:
            outline.tensors.append(Tensor(name, dtype, tuple(dims)))

    def _packed(self, item: Field) -> list[int]:
        values: list[int] = []
        self._cursor.seek(item.start)
        while self._cursor.position < item.end and len(values) <= MAX_DIMENSIONS:
            if not self._may_read():
                break
            values.append(varint(self._cursor))
        return values

    def _need(self, pairs: dict[bytes, bytes], elements: int, data_type: int) -> None:
        """What the file that an external tensor lies in must have up to the tensor's end."""
        bits = int("".join(filter(str.isdigit, DATA_TYPES.get(data_type, "")[:4])) or 8)
        start, length = (_size(pairs.get(key, b"0")) for key in (b"offset", b"length"))
        end = start + max(length, (elements * bits + 7) // 8)
        location = pairs.get(b"location", b"").decode(errors="surrogateescape")
        needed = self.outline.needed
        if location in needed or len(needed) <= MAX_NEEDED_FILES:
            needed[location] = max(end, needed.get(location, 1))

    def _external(self, item: Field, pairs: dict[bytes, bytes]) -> None:
        """One of the pairs that say where a tensor's bytes lie."""
        texts = {1: b"", 2: b""}
        for part in self._entry_fields(item):
            if part.number in texts and part.wire == BYTES:
                self._cursor.seek(part.start)
                texts[part.number] = self._cursor.take(min(part.end - part.start, MAX_PATH_BYTES))
        pairs[texts[1]] = texts[2]
        if texts[1] == b"location" and len(self.outline.locations) < MAX_LOCATIONS:
            # Judged as it is written: a path is cut down when it is made fit to be shown.
            location = texts[2].decode(errors="replace")
            self.outline.locations[clean_text(location, 512)] = _is_inside(location)

    def _first_name(self, item: Field) -> str:
        for part in self._entry_fields(item):
            if part.number == 1 and part.wire == BYTES:
                return self._name(part)
        return ""

    def _opset(self, opset: Field) -> None:
        domain, version = "", 0
        for item in self._said_fields(opset):
            if item.number == 1 and item.wire == BYTES:
                domain = self._text(item, 128)
            elif item.number == 2 and item.wire == VARINT:
                version = item.value
        if len(self.outline.opsets) < MAX_KEPT_PROPS:
            self.outline.opsets[domain or "ai.onnx"] = version

    def _prop(self, prop: Field) -> None:
        self.outline.prop_count += 1
        if self.outline.prop_count <= MAX_KEPT_PROPS:
            key, value = self._pair(prop, 1024)
            self.outline.props[key] = value

    def _pair(self, pair: Field, limit_bytes: int) -> tuple[str, str]:
        """Key and value of a StringStringEntryProto."""
        texts = {1: "", 2: ""}
        for item in self._said_fields(pair):
            if item.number in texts and item.wire == BYTES:
                texts[item.number] = self._text(item, limit_bytes)
        return texts[1], texts[2]

    def _name(self, item: Field) -> str:
        """As it is written: names are compared with each other and with those of the rules."""
        self._cursor.seek(item.start)
        return self._cursor.take(min(item.end - item.start, MAX_NAME_BYTES)).decode(
            errors="replace"
        )

    def _text(self, item: Field, limit_bytes: int) -> str:
        self._cursor.seek(item.start)
        length = min(item.end - item.start, limit_bytes * 4)
        return clean_bytes(self._cursor.take(length), limit_bytes)


def _size(text: bytes) -> int:
    """A number of bytes as it is written; one that cannot be read asks for more than any file."""
    return int(text) if len(text) < 20 and text.isdigit() else NO_FILE_BYTES


def _fits(tag: int, known: dict[int, int]) -> bool:
    return known.get(tag >> 3) == tag & 7


def _require(item: Field, known: dict[int, int]) -> None:
    expected = known.get(item.number)
    if expected is None:
        if item.number > MAX_FIELD_NUMBER:
            raise other_format(f"ONNX has no field {item.number:,} here")
    elif item.wire != expected:
        raise other_format(f"field {item.number} has another type in ONNX")


def _is_inside(location: str) -> bool:
    """Whether a location stays in the folder of the model, as the specification wants it."""
    parts = location.replace("\\", "/").split("/")
    return bool(parts[0]) and ".." not in parts and ":" not in parts[0]
