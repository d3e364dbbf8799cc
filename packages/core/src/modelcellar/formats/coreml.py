"""Recognises CoreML: the ``.mlmodel`` document, and the weights of an ``.mlpackage``.

Layouts: github.com/apple/coremltools, ``mlmodel/format/Model.proto`` and
``mlmodel/src/MILBlob/Blob/StorageFormat.hpp``.
"""

import struct

from modelcellar.formats.cursor import Cursor, FormatError, damaged, other_format, too_large
from modelcellar.formats.facts import join, plural
from modelcellar.formats.protobuf import BYTES, VARINT, fields
from modelcellar.formats.reading import Reading
from modelcellar.records import NO_PICKLE, FileFormat

MAX_SPECIFICATION = 30
FIRST_TYPE_FIELD = 200
"""Fields from here on hold the model itself, one of many kinds."""
_TYPES = {
    200: "classifier pipeline",
    201: "regressor pipeline",
    202: "pipeline",
    403: "neural network classifier",
    303: "neural network regressor",
    500: "neural network",
    502: "ML program",
}
_BLOB_VERSION = 2
_BLOB_HEADER = struct.Struct("<II56x")
_BLOB_RECORD = struct.Struct("<IIQQ40x")
_BLOB_SENTINEL = 0xDEADBEEF
MAX_BLOBS = 65_536
MAX_FIELDS = 10_000


def looks_like(head: bytes) -> bool:
    """Whether it begins like a specification, or like a storage of blobs."""
    if len(head) > 2 and head[0] == 0x08 and 1 <= head[1] <= MAX_SPECIFICATION:
        return True
    return _is_storage(head)


def inspect(cursor: Cursor) -> Reading:
    """What kind of model the document holds; or how many blobs the storage has, all checked."""
    cursor.seek(0)
    if _is_storage(cursor.peek(_BLOB_HEADER.size + _BLOB_RECORD.size)):
        return _storage(cursor)
    kinds, version = set(), 0
    for number, item in enumerate(fields(cursor, 0, cursor.size_bytes)):
        if number >= MAX_FIELDS:
            raise too_large(f"more than {MAX_FIELDS:,} fields")
        if item.number == 1 and item.wire == VARINT:
            version = item.value
        elif item.wire != BYTES or (item.number not in (2, 10) and item.number < FIRST_TYPE_FIELD):
            raise other_format("no CoreML specification has such a field")
        elif item.number >= FIRST_TYPE_FIELD:
            kinds.add(item.number)
    if len(kinds) != 1 or not 1 <= version <= MAX_SPECIFICATION:
        raise other_format("a CoreML specification holds one model")
    kind = _TYPES.get(kinds.pop(), "model")
    return Reading(
        FileFormat.COREML,
        join(("CoreML", f"specification {version}", kind)),
        {"specification": version, "model": kind},
        security=NO_PICKLE,
    )


def _is_storage(head: bytes) -> bool:
    if len(head) < _BLOB_HEADER.size + 4:
        return False
    count, version = _BLOB_HEADER.unpack_from(head)
    sentinel = int.from_bytes(head[_BLOB_HEADER.size : _BLOB_HEADER.size + 4], "little")
    return version == _BLOB_VERSION and count > 0 and sentinel == _BLOB_SENTINEL


def _storage(cursor: Cursor) -> Reading:
    (count, _version) = cursor.unpack(_BLOB_HEADER)
    if count > MAX_BLOBS:
        raise other_format(f"{count:,} blobs")
    total = 0
    for number in range(count):
        try:
            sentinel, _dtype, size_bytes, start = cursor.unpack(_BLOB_RECORD)
        except FormatError:
            raise damaged(f"blob {number + 1:,} of {count:,} has no head") from None
        if sentinel != _BLOB_SENTINEL:
            raise damaged(f"blob {number + 1:,} of {count:,} does not begin as one")
        cursor.seek(start)
        cursor.skip(size_bytes)
        total += size_bytes
        # The next record begins at the next multiple of 64.
        cursor.seek(min(-(-cursor.position // 64) * 64, cursor.size_bytes))
    return Reading(
        FileFormat.COREML,
        join(("CoreML weights", plural(count, "blob"))),
        {"blob_count": count, "blob_bytes": total},
        security=NO_PICKLE,
    )
