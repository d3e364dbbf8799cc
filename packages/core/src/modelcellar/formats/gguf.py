"""Reads and checks the metadata and the tensor list of a GGUF file, versions 2 and 3.

Layout: github.com/ggml-org/ggml, ``docs/gguf.md``. Both byte orders. Every count and length is
compared with the bytes left before it is used: its own readers were attacked through exactly
these numbers (CVE-2024-21802, CVE-2025-53630, CVE-2026-27940, CVE-2026-7482).
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from modelcellar.formats.cursor import Cursor, damaged, other_format, too_large, truncated
from modelcellar.formats.facts import clean_text
from modelcellar.formats.gguf_types import ARRAY, SCALAR_LAYOUTS, STRING, TENSOR_TYPES

MAGIC = b"GGUF"
READ_VERSIONS = (2, 3)
MAX_KNOWN_VERSION = 9
DEFAULT_ALIGNMENT = 32
MAX_ALIGNMENT = 64 * 1024
MAX_KEYS = 100_000
MAX_KEY_BYTES = 65_535
MAX_STRING_BYTES = 64 * 1024 * 1024
MAX_ARRAY_ITEMS = 16 * 1024 * 1024
MAX_NESTING = 4
MAX_DIMENSIONS = 4
MAX_TENSOR_NAME_BYTES = 256
MAX_TENSORS = 65_536

# What is kept in memory; the rest of a file is measured and passed over. A tokenizer has up to
# 300,000 tokens and 600,000 merges, a chat template up to 100 kB.
KEPT_STRING_BYTES = 128 * 1024
KEPT_TEXT_BYTES = 4 * 1024 * 1024
KEPT_ARRAY_ITEMS = 1024
KEPT_ITEMS = 65_536
MAX_PASSED_STRINGS = 2 * 1024 * 1024
MAX_PASSED_ARRAYS = 65_536

_COUNT_BYTES = 8
_SMALLEST_PAIR_BYTES = 8 + 4 + 1
_SMALLEST_TENSOR_BYTES = 8 + 4 + 4 + 8
_MAX_ELEMENTS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class GgufArray:
    """An array value; ``items`` is None where it was passed over because of its length or type."""

    item_type: int
    count: int
    items: tuple[int | float | bool, ...] | None = None


@dataclass(frozen=True, slots=True)
class GgufLongString:
    """A string that was passed over because of its length."""

    size_bytes: int


GgufValue = int | float | bool | str | GgufArray | GgufLongString


class GgufTensor(NamedTuple):
    """One tensor. ``start`` counts bytes from ``data_start``; ``size_bytes`` is None for a type
    that is not known here."""

    name: str
    shape: tuple[int, ...]
    type_id: int
    start: int
    size_bytes: int | None

    @property
    def element_count(self) -> int:
        """Product of the shape."""
        count = 1
        for dimension in self.shape:
            count *= dimension
        return count


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Everything before the tensor data, checked against the size of the file."""

    version: int
    big_endian: bool
    alignment: int
    metadata: Mapping[str, GgufValue]
    tensors: tuple[GgufTensor, ...]
    data_start: int

    def text(self, key: str) -> str | None:
        """The value of ``key`` if it is text."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | None:
        """The value of ``key`` if it is a whole number."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_version(cursor: Cursor) -> tuple[int, bool]:
    """Version and whether numbers are big-endian; raises ``FormatError`` if it is no GGUF."""
    cursor.seek(0)
    if cursor.peek(4) != MAGIC or cursor.left < 8:
        raise other_format("it does not begin like a GGUF file")
    version_bytes = cursor.take(8)[4:]
    for big_endian, layout in ((False, "<I"), (True, ">I")):
        (version,) = struct.unpack(layout, version_bytes)
        if 1 <= version <= MAX_KNOWN_VERSION:
            return version, big_endian
    raise other_format("it begins like a GGUF file but has no version that could exist")


def read_header(cursor: Cursor) -> GgufHeader:
    """The header of the whole file under ``cursor``.

    Raises ``FormatError``: the header is not valid, does not fit the file, has a version other
    than 2 and 3, or is above the limits of this reader.
    """
    version, big_endian = read_version(cursor)
    if version not in READ_VERSIONS:
        raise too_large(f"version {version} is not read here")
    return _Reader(cursor, big_endian=big_endian).read(version)


class _Reader:
    def __init__(self, cursor: Cursor, *, big_endian: bool) -> None:
        order = ">" if big_endian else "<"
        self._cursor = cursor
        self._big_endian = big_endian
        self._u32 = struct.Struct(order + "I")
        self._u64 = struct.Struct(order + "Q")
        # Of a tensor: its sizes, type and start, by the number of its dimensions.
        self._extents = [struct.Struct(f"{order}{n}QIQ") for n in range(MAX_DIMENSIONS + 1)]
        self._scalars = {kind: struct.Struct(order + code) for kind, code in SCALAR_LAYOUTS.items()}
        self._text_left = KEPT_TEXT_BYTES
        self._items_left = KEPT_ITEMS
        self._strings_left = MAX_PASSED_STRINGS
        self._arrays_left = MAX_PASSED_ARRAYS

    def read(self, version: int) -> GgufHeader:
        tensor_count = self._count("tensors", _SMALLEST_TENSOR_BYTES)
        key_count = self._count("metadata keys", _SMALLEST_PAIR_BYTES)
        if key_count > MAX_KEYS:
            raise damaged(f"it says it has {key_count:,} metadata keys, more than {MAX_KEYS:,}")
        if tensor_count > MAX_TENSORS:
            raise too_large(f"{tensor_count:,} tensors")
        metadata: dict[str, GgufValue] = {}
        for _ in range(key_count):
            key = self._name("a metadata key", MAX_KEY_BYTES)
            if key in metadata:
                raise damaged(f"metadata key {_shown(key)} occurs twice")
            metadata[key] = self._value(self._number(self._u32))
        alignment = _alignment(metadata)
        tensors = self._tensors(tensor_count)
        data_start = -(-self._cursor.position // alignment) * alignment
        _check_extents(tensors, data_start, alignment, self._cursor.size_bytes)
        return GgufHeader(
            version, self._big_endian, alignment, metadata, tuple(tensors), data_start
        )

    def _number(self, layout: struct.Struct) -> int:
        value: int = self._cursor.unpack(layout)[0]
        return value

    def _count(self, what: str, smallest_bytes: int) -> int:
        count = self._number(self._u64)
        if count > self._cursor.left // smallest_bytes:
            raise truncated(
                f"it says it has {count:,} {what}, which need {count * smallest_bytes:,} bytes "
                f"or more; {self._cursor.left:,} are left of {self._cursor.size_bytes:,}"
            )
        return count

    def _length(self, what: str, limit: int) -> int:
        length = self._number(self._u64)
        if length > limit:
            raise damaged(
                f"{what} at byte {self._cursor.position:,} says it has {length:,} bytes, "
                f"more than the {limit:,} allowed"
            )
        return length

    def _name(self, what: str, limit: int) -> str:
        length = self._length(what, limit)
        self._text_left -= length
        if self._text_left < 0:
            raise too_large(f"more than {KEPT_TEXT_BYTES:,} bytes of names")
        data = self._cursor.take(length)
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise damaged(f"{what} is not valid UTF-8: {data[:64]!r}") from None

    def _value(self, kind: int) -> GgufValue:
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            return self._array(1)
        if kind not in self._scalars:
            raise damaged(
                f"the value that begins at byte {self._cursor.position:,} has type {kind}, "
                f"which does not exist"
            )
        value: int | float | bool = self._cursor.unpack(self._scalars[kind])[0]
        return value

    def _string(self) -> str | GgufLongString:
        length = self._length("a string", MAX_STRING_BYTES)
        if length > min(KEPT_STRING_BYTES, self._text_left):
            self._cursor.skip(length)
            return GgufLongString(length)
        self._text_left -= length
        return self._cursor.take(length).decode(errors="replace")

    def _array(self, depth: int) -> GgufArray:
        if depth > MAX_NESTING:
            raise damaged(f"arrays are nested more than {MAX_NESTING} deep")
        item_type = self._number(self._u32)
        scalar = self._scalars.get(item_type)
        smallest = scalar.size if scalar else 12 if item_type == ARRAY else _COUNT_BYTES
        count = self._count("array items", smallest)
        if count > MAX_ARRAY_ITEMS:
            raise damaged(f"an array says it has {count:,} items, more than {MAX_ARRAY_ITEMS:,}")
        if scalar is not None:
            return GgufArray(item_type, count, self._items(scalar, count))
        if item_type == STRING:
            self._strings_left -= count
            if self._strings_left < 0:
                raise too_large(f"more than {MAX_PASSED_STRINGS:,} strings in arrays")
            self._cursor.skip_strings(count, self._u64)
        elif item_type == ARRAY:
            self._arrays_left -= count
            if self._arrays_left < 0:
                raise too_large(f"more than {MAX_PASSED_ARRAYS:,} arrays in arrays")
            for _ in range(count):
                self._array(depth + 1)
        else:
            raise damaged(f"an array of type {item_type}, which does not exist")
        return GgufArray(item_type, count)

    def _items(self, scalar: struct.Struct, count: int) -> tuple[int, ...] | None:
        if count > min(KEPT_ARRAY_ITEMS, self._items_left):
            self._cursor.skip(count * scalar.size)
            return None
        self._items_left -= count
        data = self._cursor.take(count * scalar.size)
        return tuple(value for (value,) in scalar.iter_unpack(data)) if count else ()

    def _tensors(self, count: int) -> list[GgufTensor]:
        tensors: list[GgufTensor] = []
        names: set[str] = set()
        for _ in range(count):
            name = self._name("a tensor's name", MAX_TENSOR_NAME_BYTES)
            if name in names:
                raise damaged(f"tensor {_shown(name)} occurs twice")
            names.add(name)
            dimensions = self._number(self._u32)
            if dimensions > MAX_DIMENSIONS:
                raise damaged(f"tensor {_shown(name)} says it has {dimensions:,} dimensions")
            *sizes, type_id, start = self._cursor.unpack(self._extents[dimensions])
            shape = tuple(sizes)
            tensors.append(GgufTensor(name, shape, type_id, start, _size(name, shape, type_id)))
        return tensors


def _alignment(metadata: Mapping[str, GgufValue]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    if (
        not isinstance(alignment, int)
        or not 1 <= alignment <= MAX_ALIGNMENT
        or alignment & (alignment - 1)
    ):
        raise damaged(
            f"general.alignment is {clean_text(str(alignment), 64)}, not a power of two "
            f"up to {MAX_ALIGNMENT:,}"
        )
    return int(alignment)


def _size(name: str, shape: tuple[int, ...], type_id: int) -> int | None:
    elements = 1
    for dimension in shape:
        elements *= dimension
        if elements > _MAX_ELEMENTS:
            raise damaged(f"tensor {_shown(name)} has more elements than 63 bits can count")
    tensor_type = TENSOR_TYPES.get(type_id)
    if tensor_type is None:
        return None
    if shape and shape[0] % tensor_type.block_elements:
        raise damaged(
            f"tensor {_shown(name)} has rows of {shape[0]:,} elements, which do not fill "
            f"{tensor_type.name} blocks of {tensor_type.block_elements}"
        )
    return elements // tensor_type.block_elements * tensor_type.block_bytes


def _check_extents(
    tensors: list[GgufTensor], data_start: int, alignment: int, size_bytes: int
) -> None:
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.start):
        if tensor.start % alignment:
            raise damaged(
                f"tensor {_shown(tensor.name)} starts at data byte {tensor.start:,}, "
                f"which is no multiple of {alignment}"
            )
        if tensor.start < end:
            raise damaged(f"tensor {_shown(tensor.name)} overlaps the one before it")
        end = tensor.start + (tensor.size_bytes or 0)
        if data_start + end > size_bytes:
            raise truncated(
                f"tensor {_shown(tensor.name)} ends at byte {data_start + end:,}, "
                f"the file has {size_bytes:,}"
            )


def _shown(name: str) -> str:
    return repr(clean_text(name, 128))
