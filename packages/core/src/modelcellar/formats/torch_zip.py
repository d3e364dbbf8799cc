"""Tells the models that are ZIP files apart: torch, TorchScript, MediaPipe bundles.

Only their pickles are read, and walked, never loaded. Layout of torch's files:
``caffe2/serialize/inline_container.cc`` of PyTorch: one root folder of any name with ``data.pkl``,
``data/<number>`` for each storage, and ``version``; TorchScript adds ``code/`` and
``constants.pkl``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from modelcellar.formats import numpy_arrays
from modelcellar.formats.cursor import Cursor, Fault, FormatError, damaged
from modelcellar.formats.facts import clean_bytes, clean_text, join, plural
from modelcellar.formats.pickle_values import ELEMENTS, storage_of, tensors_in
from modelcellar.formats.pickle_verdict import verdict_on, worst
from modelcellar.formats.pickles import PickleWalk
from modelcellar.formats.reading import Reading
from modelcellar.formats.torch_pickle import pickle_facts
from modelcellar.formats.zip_pickles import contradictions, walk_pickles
from modelcellar.formats.zips import (
    END_MAGIC,
    LOCAL_MAGIC,
    ZipEntry,
    data_start,
    read_entries,
    read_small,
)
from modelcellar.records import NO_PICKLE, NOT_CHECKED, FileFormat, JsonValue, Security

TASK_PREFIX = b"\0\0"
"""MediaPipe puts two NUL bytes before the archive."""

MAX_LOOKED_THROUGH = 4096
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
    # PyTorch asks for its entries without regard to case.
    names = {name.lower(): name for name in by_name}
    folder = root.lower()
    if folder + "data.pkl" in names and (
        folder + "version" in names or folder + ".data/version" in names
    ):
        if len(by_name) != len(entries):
            raise damaged("its ZIP listing has two entries of one name")
        return _torch(cursor, root, by_name, names)
    if has_task_prefix or _is_task(cursor, entries):
        return replace(_task(entries), security=_looked_through(cursor, entries, NO_PICKLE))
    found = numpy_arrays.inspect_archive(cursor, entries)
    return found or replace(ARCHIVE, security=_looked_through(cursor, entries, NOT_CHECKED))


def _looked_through(cursor: Cursor, entries: Sequence[ZipEntry], otherwise: Security) -> Security:
    """What is known of the pickles in an archive that is none of torch."""
    first = entries[:MAX_LOOKED_THROUGH]
    walks, problems = walk_pickles(cursor, first)
    found = [otherwise if len(first) == len(entries) else NOT_CHECKED]
    if walks or problems:
        found.append(verdict_on(list(walks.values()), problems))
    for entry in first:
        if numpy_arrays.is_array(cursor, entry):
            try:
                found.append(numpy_arrays.array_in(cursor, entry).security)
            except FormatError as error:
                found.append(numpy_arrays.unreadable(error))
    return worst(found)


def _torch(
    cursor: Cursor, root: str, entries: Mapping[str, ZipEntry], names: Mapping[str, str]
) -> Reading:
    folder = root.lower()
    is_script = folder + "constants.pkl" in names or any(
        name.startswith(folder + "code/") for name in names
    )
    model_name = names[folder + "data.pkl"]
    # A copy that reserved its space and was cut off has the listing but not what it lists.
    data_start(cursor, entries[model_name])
    listed = list(entries.values())
    walks, problems = walk_pickles(cursor, listed, folder)
    problems += contradictions(cursor, listed)
    security = verdict_on(list(walks.values()), problems)
    model = walks.get(model_name)
    tensors = tuple(tensors_in(model.result)) if model is not None else ()
    if model is not None and not is_script:
        try:
            _check_storages(root, entries, model)
        except FormatError as error:
            error.security = security
            raise
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
