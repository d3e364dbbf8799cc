"""The files of a model as a manifest's JSON."""

import json
from collections.abc import Mapping, Sequence

from modelcellar import naming
from modelcellar.manifest_values import read_digest, read_member, read_optional, read_text
from modelcellar.records import Digests, FileFormat, FileRecord, JsonValue

__all__ = ["file_document", "path_keys", "to_files"]

COMPANION = "companion"
"""The ``role`` of a file that does not count for what the model is."""

MAX_SIZE_BYTES = (1 << 63) - 1
"""What the catalog's integers hold, and more than any file system does."""


def file_document(
    file: FileRecord, raw_files: Mapping[str, Mapping[str, JsonValue]]
) -> dict[str, JsonValue]:
    """A file as JSON, with what ``raw_files`` has beside our keys; :func:`to_files` reads it."""
    keys = naming.to_json_path(file.path)
    return {
        **raw_files.get(json.dumps(path_keys(keys)), {}),
        **keys,
        "size_bytes": file.size_bytes,
        "blake3": file.digests.blake3 if file.digests is not None else None,
        "sha256": file.digests.sha256 if file.digests is not None else None,
        "format": file.format.value,
        **{key: value for key, value in _optional_keys(file).items() if value},
    }


def _optional_keys(file: FileRecord) -> dict[str, JsonValue]:
    return {
        "tensor_sha256": file.tensor_sha256,
        "autov1": file.autov1,
        "role": COMPANION if file.is_companion else None,
        "claimed_sha256": file.claimed_sha256,
        "claimed_by": file.claimed_by,
    }


def path_keys(entry: Mapping[str, JsonValue]) -> Sequence[JsonValue]:
    """What tells the JSON of one file from that of another of its model."""
    return [entry.get("path"), entry.get("path_hex")]


def to_files(entries: JsonValue) -> tuple[FileRecord, ...]:
    """Read files; ``ValueError``, ``KeyError`` or ``TypeError`` where one is none, or not safe."""
    files = tuple(_file(entry) for entry in entries)
    if len({file.path for file in files}) != len(files):
        raise ValueError("two files have one path")
    if sum(file.size_bytes for file in files) > MAX_SIZE_BYTES:
        raise ValueError("the sizes are beyond every file system")
    return files


def _file(entry: Mapping[str, JsonValue]) -> FileRecord:
    path = naming.from_json_path(entry)
    if problems := naming.relative_path_problems(path):
        raise ValueError(f"unsafe path {path!r}: {problems[0].reason}")
    size_bytes = entry["size_bytes"]
    if type(size_bytes) is not int or size_bytes < 0:
        raise ValueError(f"size_bytes {size_bytes!r}")
    return FileRecord(
        path=path,
        size_bytes=size_bytes,
        digests=_digests(entry["blake3"], entry["sha256"]),
        format=read_member(FileFormat, entry.get("format"), FileFormat.UNKNOWN),
        tensor_sha256=read_optional(read_digest, entry.get("tensor_sha256")),
        autov1=read_optional(read_text, entry.get("autov1")),
        is_companion=entry.get("role") == COMPANION,
        claimed_sha256=read_optional(read_digest, entry.get("claimed_sha256")),
        claimed_by=read_optional(read_text, entry.get("claimed_by")),
    )


def _digests(blake3: JsonValue, sha256: JsonValue) -> Digests | None:
    if blake3 is None and sha256 is None:
        return None
    return Digests(blake3=read_digest(blake3), sha256=read_digest(sha256))
