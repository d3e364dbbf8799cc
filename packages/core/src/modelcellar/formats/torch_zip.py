"""Tells the models that are ZIP files apart: torch, TorchScript, MediaPipe bundles.

Nothing in them is unpacked. Layout of torch's files: ``caffe2/serialize/inline_container.cc`` of
PyTorch: one root folder of any name with ``data.pkl``, ``data/<number>`` for each storage, and
``version``; TorchScript adds ``code/`` and ``constants.pkl``.
"""

from collections.abc import Mapping

from modelcellar.formats.cursor import Cursor, Fault, FormatError, damaged
from modelcellar.formats.facts import clean_bytes, clean_text, join, plural
from modelcellar.formats.zips import (
    END_MAGIC,
    LOCAL_MAGIC,
    ZipEntry,
    data_start,
    read_entries,
    read_small,
)
from modelcellar.records import FileFormat, Inspection, JsonValue

TASK_PREFIX = b"\0\0"
"""MediaPipe puts two NUL bytes before the archive."""

ARCHIVE = Inspection(FileFormat.UNKNOWN, "ZIP archive", {"kind": "archive"})


def looks_like(head: bytes) -> bool:
    """Whether the file begins like a ZIP file, or like one after two NUL bytes."""
    return head.startswith((LOCAL_MAGIC, END_MAGIC, TASK_PREFIX + LOCAL_MAGIC))


def inspect(cursor: Cursor) -> Inspection:
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
    return ARCHIVE


def _torch(cursor: Cursor, root: str, entries: Mapping[str, ZipEntry]) -> Inspection:
    is_script = root + "constants.pkl" in entries or any(
        name.startswith(root + "code/") for name in entries
    )
    # A copy that reserved its space and was cut off has the listing but not what it lists.
    data_start(cursor, entries[root + "data.pkl"])
    storages = [entry for name, entry in entries.items() if name.startswith(root + "data/")]
    facts: dict[str, JsonValue] = {
        "entry_count": len(entries),
        "root": clean_text(root.rstrip("/")),
        "storage_count": len(storages),
        "storage_bytes": sum(entry.size_bytes for entry in storages),
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
    return Inspection(
        FileFormat.TORCHSCRIPT if is_script else FileFormat.TORCH_ZIP,
        join(
            (
                "TorchScript ZIP" if is_script else "torch ZIP",
                plural(len(entries), "entry"),
                plural(len(storages), "storage"),
            )
        ),
        facts,
    )


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


def _task(entries: list[ZipEntry]) -> Inspection:
    names = [clean_text(entry.name, 128) for entry in entries[:16]]
    return Inspection(
        FileFormat.MEDIAPIPE_TASK,
        join(("MediaPipe task bundle", plural(len(entries), "entry"))),
        {"entry_count": len(entries), "entries": names},
    )
