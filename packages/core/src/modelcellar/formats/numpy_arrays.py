"""Reads the heads of NumPy arrays, alone (``.npy``) or many in a ZIP file (``.npz``).

Layout: numpy, ``numpy/lib/format.py``. Arrays of objects hold a pickle, which is walked.
"""

import ast
import math
import re
import struct
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from modelcellar.formats.cursor import Cursor, Fault, FormatError, damaged, too_large, truncated
from modelcellar.formats.facts import clean_text, join, kinds_line, most_common, plural
from modelcellar.formats.pickle_verdict import verdict_on, worst
from modelcellar.formats.pickles import BrokenPickleError, walk
from modelcellar.formats.reading import Reading, is_shape
from modelcellar.formats.zips import DEFLATED, ZipEntry, read_small, read_whole
from modelcellar.records import NO_PICKLE, NOT_CHECKED, FileFormat, Security, Tensor

MAGIC = b"\x93NUMPY"
MAX_HEADER_BYTES = 64 * 1024
MAX_ARRAYS = 4096
MAX_OBJECT_BYTES = 16 * 1024 * 1024
_KINDS = {"f": "F", "i": "I", "u": "U", "c": "C", "b": "BOOL"}
_PLAIN = re.compile(
    r"[<>|=]?(?P<kind>[fiucb?SUVmM])(?P<width>[0-9]{1,6})?(?:\[[0-9]{0,6}[a-zA-Z]{1,2}\])?"
)
ENDING = ".npy"
USUAL_HEADER_BYTES = 1024
MAX_NESTING = 8


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
    if head.has_objects:
        security = _object_security(cursor)
    else:
        # Another array may follow, which a program that reads several would take as well.
        has_more = head.item_bytes is not None and cursor.left > _size_bytes(head)
        security = NOT_CHECKED if has_more else NO_PICKLE
    return _reading([Tensor("", head.dtype, head.shape)], security)


class ArrayIn(NamedTuple):
    """An entry of an archive as an array, and what is known of the pickle in it."""

    tensor: Tensor
    security: Security


def inspect_archive(cursor: Cursor, entries: Sequence[ZipEntry]) -> Reading | None:
    """The arrays of an ``.npz`` file, each entry one of them; ``None`` if it is another archive."""
    if not entries or not all(entry.name.endswith(ENDING) for entry in entries):
        return None
    try:
        found = [array_in(cursor, entry) for entry in entries[:MAX_ARRAYS]]
    except FormatError:
        return None
    security = worst(one.security for one in found)
    if len(found) < len(entries):
        security = worst([security, NOT_CHECKED])
    return _reading([one.tensor for one in found], security)


def is_array(cursor: Cursor, entry: ZipEntry) -> bool:
    """Whether NumPy would take an entry for an array: it goes by the magic, not by the name."""
    if entry.method not in (0, DEFLATED):
        return entry.name.endswith(ENDING)
    try:
        return looks_like(read_small(cursor, entry, len(MAGIC)))
    except FormatError:
        return entry.name.endswith(ENDING)


def array_in(cursor: Cursor, entry: ZipEntry) -> ArrayIn:
    """An entry as an array; only its head is unpacked, and the pickle if it holds one.

    Raises ``FormatError``: it is none, or damaged.
    """
    name = entry.name.removesuffix(ENDING)
    try:
        head, start = _head_in(cursor, entry)
        security = NO_PICKLE
        if head.has_objects:
            inner = cursor.inside(read_whole(cursor, entry, MAX_OBJECT_BYTES))
            inner.seek(start)
            security = _object_security(inner)
    except FormatError as error:
        if error.fault is not Fault.TOO_LARGE:
            raise
        return ArrayIn(Tensor(name, "unknown", ()), unreadable(error))
    return ArrayIn(Tensor(name, head.dtype, head.shape), security)


def _head_in(cursor: Cursor, entry: ZipEntry) -> tuple[_Head, int]:
    if entry.method not in (0, DEFLATED):
        raise too_large(f"ZIP entry {entry.name[:64]!r} packed by method {entry.method}")
    for limit in (USUAL_HEADER_BYTES, MAX_HEADER_BYTES + USUAL_HEADER_BYTES):
        inner = cursor.inside(read_small(cursor, entry, limit))
        try:
            return _read_head(inner), inner.position
        except FormatError as error:
            if error.fault is not Fault.TRUNCATED:
                raise
    raise damaged(f"ZIP entry {entry.name[:64]!r} ends in the head of an array")


def _reading(tensors: Sequence[Tensor], security: Security) -> Reading:
    dtypes = Counter(tensor.dtype for tensor in tensors)
    facts = {"tensor_count": len(tensors), "dtypes": most_common(dtypes)}
    summary = join(("NumPy", plural(len(tensors), "array"), kinds_line(dtypes)))
    return Reading(FileFormat.NUMPY, summary, facts, tuple(tensors), security=security)


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
    if not isinstance(shape, tuple) or not is_shape(shape):
        raise damaged("the header of a NumPy array has no valid shape")
    dtype, item_bytes = _dtype(descr)
    return _Head(dtype, shape, item_bytes, not _is_plain(descr))


def _is_plain(descr: object, depth: int = 0) -> bool:
    """Whether the type is known to hold no objects: NumPy spells those in many ways."""
    if isinstance(descr, str):
        return _PLAIN.fullmatch(descr) is not None
    if depth > MAX_NESTING or not isinstance(descr, list | tuple) or not descr:
        return False
    if isinstance(descr, tuple):  # A type and the shape of a part.
        return len(descr) == 2 and _is_plain(descr[0], depth + 1)
    return all(
        isinstance(field, tuple) and len(field) in (2, 3) and _is_plain(field[1], depth + 1)
        for field in descr
    )


def _dtype(descr: object) -> tuple[str, int | None]:
    if not isinstance(descr, str):
        return "record", None
    match = _PLAIN.fullmatch(descr)
    if match is None:
        return "object", None
    if not match["width"]:
        return clean_text(descr, 32), None
    width = int(match["width"])
    kind = _KINDS.get(match["kind"])
    if kind is None:
        return clean_text(descr, 32), width * 4 if match["kind"] == "U" else width
    return kind if kind == "BOOL" else f"{kind}{width * 8}", width


def _check_extent(cursor: Cursor, head: _Head) -> None:
    needed = _size_bytes(head)
    if needed > cursor.left:
        raise truncated(
            f"the array needs {needed:,} bytes, {cursor.left:,} are left of {cursor.size_bytes:,}"
        )


def _size_bytes(head: _Head) -> int:
    """0 for a type whose width is not known here."""
    return (head.item_bytes or 0) * math.prod(head.shape)


def _object_security(cursor: Cursor) -> Security:
    try:
        return verdict_on([walk(cursor, needs_protocol=False)])
    except BrokenPickleError as error:
        return verdict_on([error.walked], [error.reason])


def unreadable(error: FormatError) -> Security:
    """The verdict where something could not be followed."""
    return Security("unreadable", (clean_text(error.reason, 200),))
