"""Tells the models that are ZIP files apart: torch, TorchScript, MediaPipe bundles.

Only their pickles are read, and walked, never loaded. Layout of torch's files:
``caffe2/serialize/inline_container.cc`` of PyTorch: one root folder of any name with ``data.pkl``,
``data/<number>`` for each storage, and ``version``; TorchScript adds ``code/`` and
``constants.pkl``.
"""

import io
from collections.abc import Mapping
from dataclasses import replace

from modelcellar.formats import numpy_arrays
from modelcellar.formats.cursor import Cursor, Fault, FormatError, damaged, too_large
from modelcellar.formats.facts import clean_bytes, clean_text, join, plural
from modelcellar.formats.pickle_values import ELEMENTS, storage_of, tensors_in
from modelcellar.formats.pickle_verdict import verdict_on
from modelcellar.formats.pickles import PickleWalk, walk
from modelcellar.formats.reading import Reading
from modelcellar.formats.torch_pickle import looks_like as looks_like_pickle
from modelcellar.formats.torch_pickle import pickle_facts
from modelcellar.formats.zips import (
    END_MAGIC,
    LOCAL_MAGIC,
    ZipEntry,
    contradiction,
    data_start,
    read_entries,
    read_small,
    read_whole,
)
from modelcellar.records import FileFormat, JsonValue

TASK_PREFIX = b"\0\0"
"""MediaPipe puts two NUL bytes before the archive."""

MAX_PICKLE_BYTES = 16 * 1024 * 1024
MAX_PICKLES = 16
SCRIPT_NOTE = "TorchScript holds code of its own"

ARCHIVE = Reading(FileFormat.UNKNOWN, "ZIP archive", {"kind": "archive"})


def looks_like(head: bytes) -> bool:
    """Whether the file begins like a ZIP file, or like one after two NUL bytes."""
    return head.startswith((LOCAL_MAGIC, END_MAGIC, TASK_PREFIX + LOCAL_MAGIC))


def inspect(cursor: Cursor) -> Reading:
    """Lists the archive and says what it is; ``UNKNOWN`` with kind ``archive`` for all others."""
    cursor.seek(0)
    has_task_prefix = cursor.peek(len(TASK_PREFIX)) == TASK_PREFIX
    try:
        entries = read_entries(cursor)
    except FormatError as error:
        if error.fault is not Fault.TOO_LARGE:
            raise
        return ARCHIVE
    by_name = {entry.name: entry for entry in entries}
    root = entries[0].name.partition("/")[0] + "/" if entries else ""
    if root + "data.pkl" in by_name and (
        root + "version" in by_name or root + ".data/version" in by_name
    ):
        if len(by_name) != len(entries):
            raise damaged("its ZIP listing has two entries of one name")
        return _torch(cursor, root, by_name)
    if has_task_prefix or _is_task(cursor, entries):
        return _task(entries)
    return numpy_arrays.inspect_archive(cursor, entries) or ARCHIVE


def _torch(cursor: Cursor, root: str, entries: Mapping[str, ZipEntry]) -> Reading:
    is_script = root + "constants.pkl" in entries or any(
        name.startswith(root + "code/") for name in entries
    )
    # A copy that reserved its space and was cut off has the listing but not what it lists.
    data_start(cursor, entries[root + "data.pkl"])
    walks, problems = _walk_pickles(cursor, root, entries)
    model = walks.get(root + "data.pkl")
    tensors = tuple(tensors_in(model.result)) if model is not None else ()
    if model is not None and not is_script:
        _check_storages(root, entries, model)
    security = verdict_on(list(walks.values()), problems)
    if is_script:
        security = replace(security, details=(SCRIPT_NOTE, *security.details))
    storages = [entry for name, entry in entries.items() if name.startswith(root + "data/")]
    facts: dict[str, JsonValue] = {
        "entry_count": len(entries),
        "root": clean_text(root.rstrip("/")),
        "storage_count": len(storages),
        "storage_bytes": sum(entry.size_bytes for entry in storages),
        **pickle_facts(list(walks.values()), model, tensors),
    }
    for key, name in (
        ("version", "version"),
        ("version", ".data/version"),
        ("byte_order", "byteorder"),
        ("format_version", ".format_version"),
        ("storage_alignment", ".storage_alignment"),
    ):
        if (entry := entries.get(root + name)) is not None:
            facts[key] = clean_bytes(read_small(cursor, entry, 32))
    summary = join(
        (
            "TorchScript ZIP" if is_script else "torch ZIP",
            plural(len(entries), "entry"),
            plural(len(storages), "storage"),
        )
    )
    format_ = FileFormat.TORCHSCRIPT if is_script else FileFormat.TORCH_ZIP
    return Reading(format_, summary, facts, tensors, security=security)


def _walk_pickles(
    cursor: Cursor, root: str, entries: Mapping[str, ZipEntry]
) -> tuple[dict[str, PickleWalk], list[str]]:
    """Every pickle in the archive by its name, and why one could not be read."""
    walks: dict[str, PickleWalk] = {}
    problems: list[str] = []
    count = 0
    for name, entry in entries.items():
        problem = contradiction(cursor, entry)
        if problem is not None:
            problems.append(problem)
        if not _is_pickle(cursor, root, entry):
            continue
        count += 1
        try:
            if count > MAX_PICKLES:
                raise too_large(f"more than {MAX_PICKLES} pickles")
            data = read_whole(cursor, entry, MAX_PICKLE_BYTES)
            inner = Cursor(io.BytesIO(data), len(data))
            walks[name] = walk(inner, needs_protocol=False)
            if inner.left:
                problems.append(f"{plural(inner.left, 'byte')} after the end of a pickle")
        except FormatError as error:
            problems.append(error.reason)
    return walks, problems


def _is_pickle(cursor: Cursor, root: str, entry: ZipEntry) -> bool:
    """By its name, or by its bytes where only a pickle begins like that."""
    if entry.name.endswith((".pkl", ".pickle")):
        return True
    if entry.name.startswith((root + "data/", root + "code/")) or not entry.size_bytes:
        return False
    return looks_like_pickle(read_small(cursor, entry, 2))


def _check_storages(root: str, entries: Mapping[str, ZipEntry], model: PickleWalk) -> None:
    """What the pickle says of the storages must fit what is there."""
    for value in model.persistent_ids:
        storage = storage_of(value)
        if storage is None or storage.kind not in ELEMENTS:
            continue
        needed = storage.elements * ELEMENTS[storage.kind][1]
        entry = entries.get(f"{root}data/{storage.key}")
        if entry is None or entry.size_bytes < needed:
            found = "is not there" if entry is None else f"has {entry.size_bytes:,} bytes"
            raise damaged(f"storage {storage.key[:64]!r} should have {needed:,} bytes and {found}")


def _is_task(cursor: Cursor, entries: list[ZipEntry]) -> bool:
    """A bundle holds models side by side, uncompressed so that they can be mapped into memory."""
    if not entries or any("/" in entry.name or not entry.is_stored for entry in entries):
        return False
    return any(_is_bundled_model(cursor, entry) for entry in entries)


def _is_bundled_model(cursor: Cursor, entry: ZipEntry) -> bool:
    if not entry.name.endswith((".tflite", ".task")) and entry.name != "TF_LITE_PREFILL_DECODE":
        return False
    start = read_small(cursor, entry, 8)
    return start[4:8] == b"TFL3" or start.startswith((LOCAL_MAGIC, TASK_PREFIX + LOCAL_MAGIC))


def _task(entries: list[ZipEntry]) -> Reading:
    names = [clean_text(entry.name, 128) for entry in entries[:16]]
    return Reading(
        FileFormat.MEDIAPIPE_TASK,
        join(("MediaPipe task bundle", plural(len(entries), "entry"))),
        {"entry_count": len(entries), "entries": names},
    )
