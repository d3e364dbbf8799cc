"""Reads the heads of NumPy arrays, alone (``.npy``) or many in a ZIP file (``.npz``).

Layout: numpy, ``numpy/lib/format.py``. Arrays of objects hold a pickle, which is walked.
"""

import ast
import io
import re
import struct
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from modelcellar.formats.cursor import Cursor, FormatError, damaged, truncated
from modelcellar.formats.facts import clean_text, join, kinds_line, most_common, plural
from modelcellar.formats.pickle_verdict import verdict_on, worst
from modelcellar.formats.pickles import walk
from modelcellar.formats.reading import Reading
from modelcellar.formats.zips import ZipEntry, read_whole
from modelcellar.records import NO_PICKLE, FileFormat, Security, Tensor

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 64 * 1024
MAX_ARRAYS = 4096
MAX_OBJECT_BYTES = 16 * 1024 * 1024
_KINDS = {"f": "F", "i": "I", "u": "U", "c": "C", "b": "BOOL"}
_PLAIN = re.compile(r"[<>|=]?(?P<kind>[fiucb?SUVmM])(?P<width>\d{1,6})?")


class _Head(NamedTuple):
    dtype: str
    shape: tuple[int, ...]
    item_bytes: int | None
    has_objects: bool


def looks_like(head: bytes) -> bool:
    """Whether NumPy's magic stands at the beginning."""
    return head.startswith(MAGIC)


def inspect(cursor: Cursor) -> Reading:
    """One array: its type, its shape, and whether all of it is there."""
    cursor.seek(0)
    head = _read_head(cursor)
    _check_extent(cursor, head)
    security = _object_security(cursor) if head.has_objects else NO_PICKLE
    return _reading([Tensor("", head.dtype, head.shape)], security)


def inspect_archive(cursor: Cursor, entries: Sequence[ZipEntry]) -> Reading | None:
    """The arrays of an ``.npz`` file, each entry one of them; ``None`` if it is another archive."""
    if not entries or not all(entry.name.endswith(".npy") for entry in entries):
        return None
    try:
        return _read_archive(cursor, entries)
    except FormatError:
        return None


def _read_archive(cursor: Cursor, entries: Sequence[ZipEntry]) -> Reading:
    tensors, found = [], []
    for entry in entries[:MAX_ARRAYS]:
        try:
            data = read_whole(cursor, entry, MAX_OBJECT_BYTES)
        except FormatError:
            # Too large to be unpacked here: the listing has its size, and its name is known.
            tensors.append(Tensor(_array_name(entry), "unknown", ()))
            continue
        inner = Cursor(io.BytesIO(data), len(data))
        head = _read_head(inner)
        tensors.append(Tensor(_array_name(entry), head.dtype, head.shape))
        if head.has_objects:
            found.append(_object_security(inner))
    return _reading(tensors, worst(found))


def _reading(tensors: Sequence[Tensor], security: Security) -> Reading:
    dtypes = Counter(tensor.dtype for tensor in tensors)
    facts = {"tensor_count": len(tensors), "dtypes": most_common(dtypes)}
    summary = join(("NumPy", plural(len(tensors), "array"), kinds_line(dtypes)))
    return Reading(FileFormat.NUMPY, summary, facts, tuple(tensors), security=security)


def _array_name(entry: ZipEntry) -> str:
    return clean_text(entry.name.removesuffix(".npy"), 256)


def _read_head(cursor: Cursor) -> _Head:
    if cursor.take(len(MAGIC)) != MAGIC:
        raise damaged("an entry called .npy is no NumPy array")
    major = cursor.take(2)[0]
    layout = struct.Struct("<H" if major == 1 else "<I")
    (length,) = cursor.unpack(layout)
    if not 1 <= major <= 3 or length > MAX_HEADER_BYTES:
        raise damaged(f"NumPy version {major} with a header of {length:,} bytes")
    text = cursor.take(length).decode("latin-1")
    try:
        head = ast.literal_eval(text.strip())
        descr, shape = head["descr"], head["shape"]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        raise damaged("the header of a NumPy array is not valid") from None
    if not isinstance(shape, tuple) or not all(type(size) is int and size >= 0 for size in shape):
        raise damaged("the header of a NumPy array has no valid shape")
    dtype, item_bytes = _dtype(descr)
    return _Head(dtype, shape, item_bytes, "O" in str(descr))


def _dtype(descr: object) -> tuple[str, int | None]:
    if not isinstance(descr, str):
        return "record", None
    if "O" in descr:
        return "object", None
    match = _PLAIN.fullmatch(descr)
    if match is None or not match["width"]:
        return clean_text(descr, 32), None
    width = int(match["width"])
    kind = _KINDS.get(match["kind"])
    if kind is None:
        return clean_text(descr, 32), width * 4 if match["kind"] == "U" else width
    return kind if kind == "BOOL" else f"{kind}{width * 8}", width


def _check_extent(cursor: Cursor, head: _Head) -> None:
    if head.item_bytes is None:
        return
    needed = head.item_bytes
    for size in head.shape:
        needed *= size
    if needed > cursor.left:
        raise truncated(
            f"the array needs {needed:,} bytes, {cursor.left:,} are left of {cursor.size_bytes:,}"
        )


def _object_security(cursor: Cursor) -> Security:
    try:
        return verdict_on([walk(cursor, needs_protocol=False)])
    except FormatError as error:
        return Security("unreadable", (clean_text(error.reason, 200),))
