"""Reads the form of files that are bare pickles: what ``torch.save`` wrote before 1.6, and others.

Torch's old form is five pickles in a row (a magic number, a version, the writer's properties, the
object, the keys of its storages) and then, for each key, a count of elements and their bytes
(PyTorch, ``torch/serialization.py``, ``_legacy_save``). Nothing is unpickled.
"""

import struct
from collections import Counter
from typing import NamedTuple

from modelcellar.formats.cursor import Cursor, Fault, FormatError, damaged, truncated
from modelcellar.formats.facts import clean_text, join, kinds_line, most_common, plural
from modelcellar.formats.pickles import Global, PickleWalk, Value, walk
from modelcellar.records import FileFormat, Inspection, JsonValue

TORCH_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""The first pickle of torch's old form: the number 0x1950a86a20f9469cfc6c."""

PICKLES = 5
_COUNT = struct.Struct("<q")
_ELEMENTS = {
    "FloatStorage": ("F32", 4),
    "DoubleStorage": ("F64", 8),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2),
    "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
    "ComplexFloatStorage": ("C64", 8),
    "ComplexDoubleStorage": ("C128", 16),
    "QInt8Storage": ("QI8", 1),
    "QUInt8Storage": ("QU8", 1),
    "QInt32Storage": ("QI32", 4),
    "UntypedStorage": ("U8", 1),
}


class _Storage(NamedTuple):
    dtype: str
    element_bytes: int | None
    elements: int


def looks_like(head: bytes) -> bool:
    """Whether the file begins like a pickle of protocol 2 or later."""
    return len(head) >= 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def inspect(cursor: Cursor) -> Inspection:
    """Walks the pickles and, in torch's old form, checks that all storages are there."""
    cursor.seek(0)
    if cursor.peek(len(TORCH_START)) == TORCH_START:
        return _torch(cursor)
    found = walk(cursor)
    facts: dict[str, JsonValue] = {"protocol": found.protocol, "torch": False}
    if not found.is_complete:
        return _result(found, facts | {"walked": False}, "not walked to its end")
    return _result(found, facts | {"bytes_after_stop": cursor.left})


def _result(found: PickleWalk, facts: dict[str, JsonValue], *more: str) -> Inspection:
    summary = join((f"pickle, protocol {found.protocol}", *more))
    return Inspection(FileFormat.TORCH_LEGACY, summary, facts)


def _torch(cursor: Cursor) -> Inspection:
    try:
        pickles = [walk(cursor) for _ in range(PICKLES - 1)]
        model = pickles[-1]
        facts: dict[str, JsonValue] = {"protocol": model.protocol, "torch": True}
        if not model.is_complete:
            return _result(model, facts | {"walked": False}, "torch, not walked to its end")
        keys = walk(cursor)
    except FormatError as error:
        if error.fault is not Fault.OTHER_FORMAT:
            raise
        raise damaged(f"it begins as a torch file, but {error.reason}") from None
    storages = _storages(model)
    _check_extents(cursor, _keys(keys), storages)
    dtypes = Counter(storage.dtype for storage in storages.values())
    parameters = sum(storage.elements for storage in storages.values())
    facts |= {
        "storage_count": len(storages),
        "dtypes": most_common(dtypes),
        "parameter_count": parameters,
    }
    return _result(
        model,
        facts,
        "torch",
        plural(len(storages), "storage"),
        kinds_line(dtypes),
        plural(parameters, "parameter"),
    )


def _storages(model: PickleWalk) -> dict[str, _Storage]:
    """Storages by key, from persistent ids ``("storage", type, key, location, elements, view)``."""
    storages: dict[str, _Storage] = {}
    for value in model.persistent_ids:
        if not isinstance(value, tuple) or len(value) < 5 or value[0] != "storage":
            continue
        _tag, kind, key, _location, elements = value[:5]
        if isinstance(kind, Global) and isinstance(key, str) and isinstance(elements, int):
            dtype, width = _ELEMENTS.get(kind.name, (clean_text(kind.name, 64), None))
            storages[key] = _Storage(dtype, width, elements)
    return storages


def _keys(walked: PickleWalk) -> list[Value]:
    if not isinstance(walked.result, list):
        raise damaged("it begins as a torch file, but has no list of storages")
    return walked.result


def _check_extents(cursor: Cursor, keys: list[Value], storages: dict[str, _Storage]) -> None:
    for index, key in enumerate(keys, 1):
        if cursor.left < _COUNT.size:
            raise truncated(
                f"storage {index:,} of {len(keys):,} should begin at byte {cursor.position:,}, "
                f"the file has {cursor.size_bytes:,}"
            )
        (elements,) = cursor.unpack(_COUNT)
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None or storage.element_bytes is None:
            return  # Of unknown width: where the next one begins cannot be told.
        if not 0 <= elements <= cursor.left // storage.element_bytes:
            raise truncated(
                f"storage {index:,} of {len(keys):,} says it has {elements:,} elements of "
                f"{storage.element_bytes} bytes, {cursor.left:,} bytes are left of "
                f"{cursor.size_bytes:,}"
            )
        cursor.skip(elements * storage.element_bytes)
