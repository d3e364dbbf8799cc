"""Walks the fields of a protobuf message without knowing its schema.

Wire format: protobuf.dev, "Encoding".
"""

from collections.abc import Iterator
from typing import NamedTuple

from modelcellar.formats.cursor import Cursor, damaged, other_format, truncated

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10
_U64 = 0xFFFF_FFFF_FFFF_FFFF


class Field(NamedTuple):
    """One field: ``number``, ``wire`` type, ``value`` of a varint, and the range of its bytes."""

    number: int
    wire: int
    value: int
    start: int
    end: int


def fields(cursor: Cursor, start: int, end: int) -> Iterator[Field]:
    """The fields between two positions; the caller may move ``cursor`` meanwhile."""
    position = start
    while position < end:
        cursor.seek(position)
        item = _field(cursor, end)
        position = item.end
        yield item


def varint(cursor: Cursor) -> int:
    """The number at the position, as 64 bits without a sign."""
    value = 0
    for index, byte in enumerate(cursor.peek(MAX_VARINT_BYTES)):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            cursor.skip(index + 1)
            return value & _U64
    if cursor.left < MAX_VARINT_BYTES:
        raise truncated(f"it breaks off in a number at byte {cursor.size_bytes:,}")
    raise other_format("its bytes are no protobuf fields")


def _field(cursor: Cursor, end: int) -> Field:
    tag = varint(cursor)
    number, wire = tag >> 3, tag & 7
    if not number or wire not in (VARINT, FIXED64, BYTES, FIXED32):
        raise other_format("its bytes are no protobuf fields")
    value = varint(cursor) if wire == VARINT else 0
    length = varint(cursor) if wire == BYTES else {FIXED64: 8, FIXED32: 4}.get(wire, 0)
    start = cursor.position
    if start + length <= end:
        return Field(number, wire, value, start, start + length)
    if end < cursor.size_bytes:
        raise damaged(f"a field at byte {start:,} is longer than the one that holds it")
    raise truncated(
        f"a field at byte {start:,} says it has {length:,} bytes, the file has "
        f"{cursor.size_bytes:,}"
    )
