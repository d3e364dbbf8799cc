"""Lists a ZIP file from its central directory and reads small entries, within bounds.

``zipfile`` reads the whole directory, however long the file says it is. Layout: PKWARE's
APPNOTE 6.3.10, sections 4.3.7 to 4.3.16.
"""

import struct
import zlib
from collections.abc import Sequence
from operator import attrgetter
from typing import NamedTuple

from modelcellar.formats.cursor import Cursor, FormatError, damaged, too_large, truncated

LOCAL_MAGIC = b"PK\x03\x04"
END_MAGIC = b"PK\x05\x06"
MAX_ENTRIES = 100_000
MAX_DIRECTORY_BYTES = 16 * 1024 * 1024
MAX_SMALL_ENTRY_BYTES = 80 * 1024
ENCRYPTED = 1
DEFLATED = 8

_CENTRAL_MAGIC = b"PK\x01\x02"
_END64_MAGIC = b"PK\x06\x06"
_LOCATOR64_MAGIC = b"PK\x06\x07"
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64 = struct.Struct("<4sIQI")
_EXTRA = struct.Struct("<2H")
_MAX_COMMENT_BYTES = 65_535
_FULL16 = 0xFFFF
_FULL32 = 0xFFFFFFFF
_ZIP64_EXTRA = 1
_SMALLEST_PACKED_BYTES = 1024


class ZipEntry(NamedTuple):
    """One entry of the central directory; ``start`` is the file position of its local header."""

    name: str
    method: int
    packed_bytes: int
    size_bytes: int
    start: int
    flags: int = 0
    crc32: int = 0

    @property
    def is_stored(self) -> bool:
        """Whether its bytes lie in the file as they are."""
        return self.method == 0 and self.packed_bytes == self.size_bytes


_START = attrgetter("start")


class _Directory(NamedTuple):
    start: int
    size_bytes: int
    entries: int
    shift: int


def has_end_record(cursor: Cursor) -> bool:
    """Whether some ZIP reader would find a listing near the end of the file.

    Many take the last record that looks like its end, whatever lies behind it.
    """
    try:
        tail_start, tail = _tail(cursor)
    except FormatError:
        return False  # It got shorter meanwhile.
    for at in reversed(_ends(tail)):
        size_bytes, start = _END.unpack_from(tail, at)[5:7]
        first = tail_start + at - size_bytes
        places = {first, start, tail_start + at - _LOCATOR64.size}
        if any(_has_magic(cursor, place) for place in places):
            return True
    return False


def _has_magic(cursor: Cursor, position: int) -> bool:
    if not 0 <= position <= cursor.size_bytes - len(_CENTRAL_MAGIC):
        return False
    cursor.seek(position)
    return cursor.peek(len(_CENTRAL_MAGIC)) in (_CENTRAL_MAGIC, _LOCATOR64_MAGIC)


def read_entries(cursor: Cursor) -> list[ZipEntry]:
    """All entries, in the order of the central directory.

    Raises ``FormatError``: the end record is missing (the file was cut off), there are two that
    readers could take, entries overlap or lie outside the file, or there are more than this reader
    takes.
    """
    directory = _find_directory(cursor)
    if directory.entries > MAX_ENTRIES or directory.size_bytes > MAX_DIRECTORY_BYTES:
        raise too_large(f"a ZIP listing of {directory.entries:,} entries")
    cursor.seek(directory.start)
    end = directory.start + directory.size_bytes
    entries: list[ZipEntry] = []
    while cursor.position < end:
        if len(entries) >= MAX_ENTRIES:
            raise too_large(f"a ZIP listing of more than {MAX_ENTRIES:,} entries")
        entries.append(_read_entry(cursor, directory))
    if cursor.position != end or len(entries) != directory.entries:
        raise damaged(
            f"its ZIP listing says {directory.entries:,} entries in {directory.size_bytes:,} "
            f"bytes, it holds {len(entries):,}"
        )
    _check_overlaps(entries)
    return entries


def _check_overlaps(entries: Sequence[ZipEntry]) -> None:
    """Entries that share their bytes make a small file unpack to any size."""
    end = 0
    for entry in sorted(entries, key=_START):
        if entry.start < end:
            raise damaged(f"ZIP entry {entry.name[:64]!r} overlaps the one before it")
        end = entry.start + _LOCAL.size + entry.packed_bytes


def data_start(cursor: Cursor, entry: ZipEntry) -> int:
    """File position of the entry's bytes, by its local header."""
    cursor.seek(entry.start)
    fields = cursor.unpack(_LOCAL)
    if fields[0] != LOCAL_MAGIC:
        raise damaged(f"the ZIP listing has an entry at byte {entry.start:,}, and none is there")
    return cursor.position + int(fields[-2]) + int(fields[-1])


def read_small(cursor: Cursor, entry: ZipEntry, limit_bytes: int) -> bytes:
    """Up to ``limit_bytes`` from an entry's beginning; empty if it is packed in an unusual way."""
    limit_bytes = min(limit_bytes, MAX_SMALL_ENTRY_BYTES)
    cursor.budget.unpack(limit_bytes)
    cursor.seek(data_start(cursor, entry))
    if entry.is_stored:
        return cursor.take(min(entry.size_bytes, limit_bytes))
    if entry.method != DEFLATED:
        return b""
    # Packed bytes become more bytes, or hardly fewer.
    packed = cursor.take(min(entry.packed_bytes, limit_bytes + _SMALLEST_PACKED_BYTES))
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, limit_bytes)
    except zlib.error as error:
        raise damaged(f"ZIP entry {entry.name[:64]!r}: {error}") from None


def contradiction(cursor: Cursor, entry: ZipEntry) -> str | None:
    """How the entry's own header differs from the listing; readers go by the one or the other."""
    cursor.seek(entry.start)
    fields = cursor.unpack(_LOCAL)
    name = cursor.take(fields[9]).decode(errors="replace")
    if name != entry.name:
        return f"the ZIP listing calls an entry {entry.name[:64]!r}, its header {name[:64]!r}"
    if (fields[2] ^ entry.flags) & ENCRYPTED or fields[3] != entry.method:
        return f"the ZIP listing and the header of {name[:64]!r} differ"
    if "\0" in name:
        return f"a ZIP entry's name goes on behind a NUL: {name[:64]!r}"
    if entry.flags & ENCRYPTED:
        return f"ZIP entry {name[:64]!r} is marked as encrypted"
    return None


def read_whole(cursor: Cursor, entry: ZipEntry, limit_bytes: int) -> bytes:
    """All bytes of an entry, unpacked.

    Raises ``FormatError``: it is larger than ``limit_bytes``, packed in another way than deflated,
    or its checksum is wrong, which some readers check and others do not.
    """
    if entry.size_bytes > limit_bytes or entry.packed_bytes > limit_bytes:
        raise too_large(f"ZIP entry {entry.name[:64]!r} of {entry.size_bytes:,} bytes")
    cursor.budget.unpack(entry.packed_bytes + entry.size_bytes)
    cursor.seek(data_start(cursor, entry))
    data = cursor.take(entry.packed_bytes)
    if entry.method == DEFLATED:
        unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = unpacker.decompress(data, entry.size_bytes + 1)
        except zlib.error as error:
            raise damaged(f"ZIP entry {entry.name[:64]!r}: {error}") from None
    elif entry.method:
        raise too_large(f"ZIP entry {entry.name[:64]!r} packed by method {entry.method}")
    if len(data) != entry.size_bytes or zlib.crc32(data) != entry.crc32:
        raise damaged(f"the checksum of ZIP entry {entry.name[:64]!r} is wrong")
    return data


def _tail(cursor: Cursor) -> tuple[int, bytes]:
    start = max(0, cursor.size_bytes - _END.size - _MAX_COMMENT_BYTES)
    cursor.seek(start)
    return start, cursor.take(cursor.left)


def _ends(tail: bytes) -> list[int]:
    """Where something stands that could be an end record."""
    found = []
    at = tail.find(END_MAGIC)
    while 0 <= at <= len(tail) - _END.size:
        found.append(at)
        at = tail.find(END_MAGIC, at + 1)
    return found


def _find_directory(cursor: Cursor) -> _Directory:
    tail_start, tail = _tail(cursor)
    ends = _ends(tail)
    # The comment must end with the file, or the four bytes are no end record but data.
    fits = [at for at in ends if at + _END.size + _END.unpack_from(tail, at)[-1] == len(tail)]
    if not fits:
        raise truncated(
            f"it begins like a ZIP file, but the listing that closes one is not in the last "
            f"{len(tail):,} bytes of {cursor.size_bytes:,}"
        )
    # Some readers take the last one, whether its comment fits or not.
    if fits != ends[-1:]:
        raise damaged("its ZIP listing has two ends, and readers go by the one or the other")
    return _directory(cursor, tail_start + fits[0], _END.unpack_from(tail, fits[0]))


def _directory(cursor: Cursor, end_at: int, fields: tuple[int, ...]) -> _Directory:
    disk, start_disk, _here, entries, size_bytes, start = fields[1:7]
    end_of_directory = end_at
    locator_at = end_at - _LOCATOR64.size
    wide: tuple[int, int, int] | None = None
    if locator_at >= 0:
        cursor.seek(locator_at)
        magic, _disk, end64_at, _disks = cursor.unpack(_LOCATOR64)
        if magic == _LOCATOR64_MAGIC:
            end_of_directory = locator_at - _END64.size
            wide = _end64(cursor, end_of_directory, end64_at)
            for narrow, full, value in zip(
                (entries, size_bytes, start), (_FULL16, _FULL32, _FULL32), wide, strict=True
            ):
                if narrow not in (full, value):
                    raise damaged("its two ZIP end records differ")
            entries, size_bytes, start = wide
    if (disk, start_disk) not in {(0, 0), (_FULL16, _FULL16)}:
        raise damaged("it is one part of a ZIP file in several parts")
    first = end_of_directory - size_bytes
    # Bytes before the archive (MediaPipe puts two) may or may not be counted in the offsets.
    if first < 0 or start > first:
        raise truncated(
            f"its ZIP listing of {size_bytes:,} bytes should begin at byte {start:,} and "
            f"ends at byte {end_of_directory:,}"
        )
    shift = first - start
    if shift and _has_magic(cursor, start):
        raise damaged("it has two ZIP listings, and readers go by the one or the other")
    if wide is not None and end64_at not in (end_of_directory, end_of_directory - shift):
        raise damaged("its 64-bit ZIP end record is not where its locator says")
    return _Directory(first, size_bytes, entries, shift)


def _end64(cursor: Cursor, at: int, said: int) -> tuple[int, int, int]:
    """Entries, bytes and start by the record that lies right before its locator.

    Some readers look only there and others where the locator says; the two may differ by the bytes
    before the archive, where then must be no such record.
    """
    cursor.seek(max(at, 0))
    fields = cursor.unpack(_END64)
    if at < 0 or fields[0] != _END64_MAGIC:
        raise damaged("its 64-bit ZIP end record does not lie before its locator")
    if said != at:
        cursor.seek(min(said, cursor.size_bytes))
        if cursor.peek(len(_END64_MAGIC)) == _END64_MAGIC:
            raise damaged("it has two 64-bit ZIP end records")
    return fields[7], fields[8], fields[9]


def _read_entry(cursor: Cursor, directory: _Directory) -> ZipEntry:
    fields = cursor.unpack(_CENTRAL)
    if fields[0] != _CENTRAL_MAGIC:
        raise damaged(f"its ZIP listing breaks off at byte {cursor.position - _CENTRAL.size:,}")
    flags, method, crc32, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
    name_bytes, extra_bytes, comment_bytes, start = fields[10], fields[11], fields[12], fields[16]
    name = cursor.take(name_bytes).decode(errors="replace")
    extra = cursor.take(extra_bytes)
    cursor.skip(comment_bytes)
    if _FULL32 in (packed, size, start):
        size, packed, start = _wide(extra, size, packed, start)
    start += directory.shift
    if start + _LOCAL.size + name_bytes + packed > directory.start:
        raise truncated(
            f"ZIP entry {name[:64]!r} of {packed:,} bytes at byte {start:,} does not fit before "
            f"the listing at byte {directory.start:,}"
        )
    return ZipEntry(name, method, packed, size, start, flags, crc32)


def _wide(extra: bytes, size: int, packed: int, start: int) -> tuple[int, int, int]:
    """The 64-bit values that the extra field holds for those that are full."""
    at = 0
    while at + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, at)
        at += _EXTRA.size
        if kind == _ZIP64_EXTRA:
            wide = [
                value for (value,) in struct.iter_unpack("<Q", extra[at : at + length // 8 * 8])
            ]
            values = [
                wide.pop(0) if value == _FULL32 and wide else value
                for value in (size, packed, start)
            ]
            return values[0], values[1], values[2]
        at += length
    return size, packed, start
