"""What a set of files is as one model: its content digest, and its first manifest."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from modelcellar import naming
from modelcellar.bookkeeping import StagedModel
from modelcellar.manifest import Fact, Manifest
from modelcellar.records import (
    Digests,
    FileFormat,
    FileRecord,
    ModelType,
    Security,
)
from modelcellar.sources import Source

__all__ = ["content_digest", "describe", "file_records"]

PICKLED = frozenset({FileFormat.TORCH_ZIP, FileFormat.TORCH_LEGACY, FileFormat.TORCHSCRIPT})


def file_records(source: Source, digests: Sequence[Digests]) -> tuple[FileRecord, ...]:
    """The files of a source with their digests, ordered by the bytes of their names."""
    records = [
        FileRecord(file.relative, file.stamp.size_bytes, found, file.inspection.format)
        for file, found in zip(source.files, digests, strict=True)
    ]
    return tuple(sorted(records, key=lambda record: _path_bytes(record.path)))


def content_digest(files: Sequence[FileRecord]) -> str:
    """The digest of a file set, which tells whether two models are the same.

    One file: its SHA-256, whatever it is called. Several: the SHA-256 of what ``sha256sum`` prints
    for them in the order of their names' bytes. Names count then, because loaders go by them.
    """
    if len(files) == 1:
        return files[0].digests.sha256
    lines = [f"{f.digests.sha256}  ".encode() + _path_bytes(f.path) + b"\n" for f in files]
    return hashlib.sha256(b"".join(lines)).hexdigest()


def describe(
    source: Source,
    files: tuple[FileRecord, ...],
    content: Path,
    *,
    name: str | None,
    model_type: ModelType | None,
    at: str,
) -> StagedModel:
    """The staged model and its first manifest; the user's ``name`` and type count as edits."""
    facts = {
        "name": Fact(naming.display(source.name), "file name", at),
        "format": Fact(source.format.value, "file content", at),
    }
    if source.summary:
        facts["summary"] = Fact(source.summary, "file content", at)
    edits = {}
    if name is not None:
        edits["name"] = Fact(name, "user", at)
    if model_type is not None:
        edits["type"] = Fact(model_type.value, "user", at)
    manifest = Manifest(
        id="",
        content_digest=content_digest(files),
        added_at=at,
        files=files,
        facts=facts,
        edits=edits,
        security=_security(source),
    )
    return StagedModel(content, manifest, name if name is not None else source.name)


def _security(source: Source) -> Security:
    pickled = sorted(file.relative for file in source.files if file.inspection.format in PICKLED)
    if not pickled:
        return Security("no_pickle")
    return Security(
        "not_checked", tuple(f"pickle: {naming.display(name)}" for name in pickled[:20])
    )


def _path_bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
