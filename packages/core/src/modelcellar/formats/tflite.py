"""Reads the outline of a TFLite model: a FlatBuffer with the identifier ``TFL3``.

Field numbers: github.com/tensorflow/tensorflow, ``tensorflow/compiler/mlir/lite/schema/
schema.fbs``; table and vector layout: flatbuffers.dev, "FlatBuffer Internals".
"""

import struct
from collections import Counter
from typing import NamedTuple

from modelcellar.formats.cursor import Cursor, damaged, too_large, truncated
from modelcellar.formats.facts import clean_bytes, join, kinds_line, most_common, plural
from modelcellar.formats.reading import Reading
from modelcellar.formats.zips import has_end_record
from modelcellar.records import NO_PICKLE, FileFormat, Tensor

IDENTIFIER = b"TFL3"
MAX_TABLES = 100_000
MAX_DESCRIPTION_BYTES = 4 << 20
MAX_NAMES_BYTES = 4 << 20
READ_FIELDS = 16
"""Of a table; the schema has more, and none of them is looked at here."""
MAX_DIMENSIONS = 64
MAX_KEPT_TENSORS = 16_384
MAX_NAME_BYTES = 512

_U16 = struct.Struct("<H")
_U32 = struct.Struct("<I")
_I32 = struct.Struct("<i")
_U64 = struct.Struct("<Q")

TENSOR_TYPES = {
    0: "F32", 1: "F16", 2: "I32", 3: "U8", 4: "I64", 5: "STRING", 6: "BOOL", 7: "I16", 8: "C64",
    9: "I8", 10: "F64", 11: "C128", 12: "U64", 13: "RESOURCE", 14: "VARIANT", 15: "U32",
    16: "U16", 17: "I4", 18: "BF16", 19: "I2",
}  # fmt: skip


class _Table(NamedTuple):
    """A table's position and where each of its fields lies; 0 for a field that is not there."""

    start: int
    fields: tuple[int, ...]

    def field(self, index: int) -> int:
        offset = self.fields[index] if index < len(self.fields) else 0
        return self.start + offset if offset else 0


def looks_like(head: bytes) -> bool:
    """Whether the identifier stands behind the offset of the root table."""
    return head[4:8] == IDENTIFIER


def inspect(cursor: Cursor) -> Reading:
    """Follows the top levels of the model, checking each offset, and sums them up."""
    reader = _Reader(cursor)
    root = reader.table(0)
    version = reader.number(root, 0)
    operator_codes = reader.tables(root, 1)
    subgraphs = reader.tables(root, 2)
    description = reader.text(root, 3)
    buffers = reader.tables(root, 4)
    reader.tables(root, 6)
    reader.tables(root, 7)
    if version != 3 or not subgraphs:
        raise damaged(
            f"it is marked as TFLite but has version {version} and "
            f"{plural(len(subgraphs), 'graph')}"
        )
    dtypes: Counter[str] = Counter()
    operators = 0
    sizes = [reader.data(buffer) for buffer in buffers]
    weights: list[Tensor] = []
    for subgraph in subgraphs:
        operators += len(reader.tables(subgraph, 3))
        for tensor in reader.tables(subgraph, 0):
            kind = reader.byte(tensor, 1)
            dtype = TENSOR_TYPES.get(kind, f"type {kind}")
            dtypes[dtype] += 1
            # The others are computed when the model runs.
            buffer = reader.number(tensor, 2)
            if buffer < len(sizes) and sizes[buffer] and len(weights) <= MAX_KEPT_TENSORS:
                name = reader.name(tensor, 3)
                weights.append(Tensor(name, dtype, reader.shape(tensor, 0)))
    return Reading(
        FileFormat.TFLITE,
        join(
            (
                "TFLite",
                plural(dtypes.total(), "tensor"),
                kinds_line(dtypes),
                plural(operators, "operator"),
            )
        ),
        {
            "version": version,
            "description": description,
            "subgraph_count": len(subgraphs),
            "operator_count": operators,
            "operator_code_count": len(operator_codes),
            "tensor_count": dtypes.total(),
            "dtypes": most_common(dtypes),
            "buffer_count": len(buffers),
            "buffer_bytes": sum(sizes),
            "zip_appended": has_end_record(cursor),
        },
        # Some of them would be a wrong answer, all of them too much memory.
        tensors=tuple(weights) if len(weights) <= MAX_KEPT_TENSORS else (),
        security=NO_PICKLE,
    )


class _Reader:
    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._tables_left = MAX_TABLES
        self._described_left = MAX_DESCRIPTION_BYTES
        self._names_left = MAX_NAMES_BYTES
        self._known: dict[int, _Table] = {}

    def _at(self, position: int, layout: struct.Struct) -> int:
        self._cursor.seek(position)
        value: int = self._cursor.unpack(layout)[0]
        return value

    def table(self, position: int) -> _Table:
        """The table that the offset at ``position`` leads to."""
        self._tables_left -= 1
        if self._tables_left < 0:
            raise too_large(f"more than {MAX_TABLES:,} tables")
        start = position + self._at(position, _U32)
        known = self._known.get(start)
        if known is not None:
            return known
        vtable = start - self._at(start, _I32)
        if vtable < 0:
            raise damaged(f"a table at byte {start:,} is described before the file begins")
        vtable_bytes = self._at(vtable, _U16)
        table_bytes = self._at(vtable + 2, _U16)
        if vtable_bytes < 4 or vtable_bytes % 2 or table_bytes < 4:
            raise damaged(f"a table at byte {start:,} has no valid description")
        self._need(start, table_bytes)
        self._described_left -= vtable_bytes
        if self._described_left < 0:
            raise too_large(f"more than {MAX_DESCRIPTION_BYTES:,} bytes that describe tables")
        self._cursor.seek(vtable + 4)
        data = self._cursor.take(vtable_bytes - 4)
        fields = struct.unpack(f"<{len(data) // 2}H", data)
        if any(offset >= table_bytes for offset in fields):
            raise damaged(f"a table at byte {start:,} has fields outside itself")
        self._known[start] = _Table(start, fields[:READ_FIELDS])
        return self._known[start]

    def tables(self, owner: _Table, index: int) -> list[_Table]:
        """The tables of the vector in field ``index``, empty if the field is not there."""
        start, count = self._vector(owner, index, _U32.size)
        if count > self._tables_left:
            raise too_large(f"more than {MAX_TABLES:,} tables")
        return [self.table(start + number * _U32.size) for number in range(count)]

    def text(self, owner: _Table, index: int) -> str:
        """The string in field ``index``, cleaned and cut."""
        start, count = self._vector(owner, index, 1)
        self._cursor.seek(start)
        return clean_bytes(self._cursor.take(min(count, 4096)), MAX_NAME_BYTES)

    def name(self, owner: _Table, index: int) -> str:
        """The string in field ``index`` as it is written, but for what is too long for a name."""
        start, count = self._vector(owner, index, 1)
        count = min(count, MAX_NAME_BYTES)
        self._names_left -= count
        if self._names_left < 0:
            raise too_large(f"more than {MAX_NAMES_BYTES:,} bytes of names")
        self._cursor.seek(start)
        return self._cursor.take(count).decode(errors="replace")

    def shape(self, owner: _Table, index: int) -> tuple[int, ...]:
        """The sizes in field ``index``, outermost first; none of them is negative."""
        start, count = self._vector(owner, index, _I32.size)
        if count > MAX_DIMENSIONS:
            raise damaged(f"a tensor says it has {count:,} dimensions")
        self._cursor.seek(start)
        sizes = struct.unpack(f"<{count}i", self._cursor.take(count * _I32.size))
        if any(size < 0 for size in sizes):
            raise damaged("a tensor has a size below zero")
        return sizes

    def number(self, owner: _Table, index: int) -> int:
        """The 32-bit number in field ``index``, 0 if it is not there."""
        position = owner.field(index)
        return self._at(position, _U32) if position else 0

    def byte(self, owner: _Table, index: int) -> int:
        """The 8-bit number in field ``index``, 0 if it is not there."""
        position = owner.field(index)
        if not position:
            return 0
        self._cursor.seek(position)
        return self._cursor.take(1)[0]

    def data(self, buffer: _Table) -> int:
        """Bytes of a Buffer: a vector, or since 2023 a range behind the FlatBuffer."""
        _start, count = self._vector(buffer, 0, 1)
        offset_at, size_at = buffer.field(1), buffer.field(2)
        if offset_at and size_at:
            offset, size = self._at(offset_at, _U64), self._at(size_at, _U64)
            # The converter writes offset 1 for a buffer that has no data yet.
            if offset > 1:
                self._need(offset, size)
                count += size
        return count

    def _vector(self, owner: _Table, index: int, item_bytes: int) -> tuple[int, int]:
        position = owner.field(index)
        if not position:
            return 0, 0
        start = position + self._at(position, _U32)
        count = self._at(start, _U32)
        self._need(start + _U32.size, count * item_bytes)
        return start + _U32.size, count

    def _need(self, start: int, count: int) -> None:
        if start + count > self._cursor.size_bytes:
            raise truncated(
                f"a part of {count:,} bytes at byte {start:,} does not fit into the file of "
                f"{self._cursor.size_bytes:,} bytes"
            )
