"""What a set of files is as one model: its content digest, and its first manifest."""

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path

from modelcellar import naming
from modelcellar.bookkeeping import StagedModel
from modelcellar.formats.pickle_verdict import VERDICTS
from modelcellar.manifest import Fact, Manifest
from modelcellar.records import (
    Confidence,
    FileFormat,
    FileRecord,
    Finding,
    HashedFile,
    ModelType,
    Security,
)
from modelcellar.sources import Source, SourceFile
from modelcellar.sources.litter import has_weights_name

__all__ = [
    "content_digest",
    "describe",
    "file_record",
    "file_records",
    "foretold_ranges",
    "hash_ranges",
    "header_hash",
    "security_of",
]

AUTOV1_RANGE = (0x100000, 0x110000)
"""What A1111 first called a model's hash: 8 digits of the SHA-256 of these 64 KiB (``modules/
hashes.py`` of stable-diffusion-webui)."""
AUTOV1_DIGITS = 8

_MAX_DETAILS = 40


def hash_ranges(file: SourceFile) -> list[tuple[int, int]]:
    """The byte ranges of a file whose SHA-256 other tools know it by."""
    size_bytes = file.stamp.size_bytes
    ranges = []
    if _is_known_by_window(file):
        ranges.append(AUTOV1_RANGE)
    data_start = file.inspection.data_start
    if data_start is not None and data_start < size_bytes:
        ranges.append((data_start, size_bytes))
    return ranges


def foretold_ranges(path: str, size_bytes: int, head: bytes) -> list[tuple[int, int]]:
    """The same ranges of a file of which only the name and the first 8 bytes are there.

    They may be wrong: who uses their digests compares them with :func:`hash_ranges`.
    """
    ranges = []
    if has_weights_name(path) and size_bytes >= AUTOV1_RANGE[1]:
        ranges.append(AUTOV1_RANGE)
    if path.lower().endswith((".safetensors", ".sft")) and len(head) >= 8:
        data_start = 8 + int.from_bytes(head[:8], "little")
        if data_start < size_bytes:
            ranges.append((data_start, size_bytes))
    return ranges


def file_records(
    files: Sequence[SourceFile], hashed: Sequence[HashedFile]
) -> tuple[FileRecord, ...]:
    """Files of a source with their digests, ordered by the bytes of their names."""
    records = [file_record(file, found) for file, found in zip(files, hashed, strict=True)]
    return tuple(sorted(records, key=lambda record: _path_bytes(record.path)))


def file_record(file: SourceFile, found: HashedFile) -> FileRecord:
    """One file of a source with its digests, those of its `hash_ranges` among them."""
    ranges = list(found.range_sha256)
    autov1 = ranges.pop(0)[:AUTOV1_DIGITS] if ranges and _is_known_by_window(file) else None
    return FileRecord(
        path=file.relative,
        size_bytes=file.stamp.size_bytes,
        digests=found.digests,
        format=file.inspection.format,
        tensor_sha256=ranges.pop() if ranges else None,
        autov1=autov1,
        is_companion=file.is_companion,
    )


def _is_known_by_window(file: SourceFile) -> bool:
    is_weights = file.inspection.format is not FileFormat.UNKNOWN and not file.is_companion
    return is_weights and file.stamp.size_bytes >= AUTOV1_RANGE[1]


def content_digest(files: Sequence[FileRecord]) -> str:
    """The digest of a file set, which tells whether two models are the same.

    One file: its SHA-256, whatever it is called. Several: the SHA-256 of what ``sha256sum`` prints
    for them in the order of their names' bytes. Names count then, because loaders go by them.
    Companions do not count: the weights are the same with and without a preview beside them.

    Raises:
        ValueError: a file was not read yet, so nobody knows.
    """
    files = [file for file in files if not file.is_companion]
    if len(files) == 1:
        return files[0].known_digests.sha256
    lines = [
        f"{file.known_digests.sha256}  ".encode() + _path_bytes(file.path) + b"\n" for file in files
    ]
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
    """The staged model and its first manifest; the user's ``name`` and type count as edits.

    With files that were not read yet it has no content digest, and random digits for its id.
    """
    is_read = all(file.digests is not None for file in files)
    facts = {
        "name": Fact(naming.display(source.name), "file name", at),
        "format": Fact(source.format.value, "file content", at),
    }
    if source.summary:
        facts["summary"] = Fact(source.summary, "file content", at)
    parameters = _parameter_count(source)
    if parameters is not None:
        told = "the sum over the headers of its files"
        sure = Confidence.CERTAIN
        facts["parameter_count"] = Fact(parameters, "file content", at, told, sure)
    for field, finding in _findings(source, files).items():
        facts[field] = Fact(finding.value, "file content", at, finding.evidence, finding.sure)
    edits = {}
    if name is not None:
        edits["name"] = Fact(name, "user", at)
    if model_type is not None:
        edits["type"] = Fact(model_type.value, "user", at)
    manifest = Manifest(
        id="",
        content_digest=content_digest(files) if is_read else None,
        added_at=at,
        files=files,
        facts=facts,
        edits=edits,
        security=security_of(source),
    )
    called = name if name is not None else source.name
    return StagedModel(content, manifest, called, "" if is_read else secrets.token_hex(32))


def _parameter_count(source: Source) -> int | None:
    counts = [f.inspection.facts.get("parameter_count") for f in source.files if not f.is_companion]
    numbers = [count for count in counts if type(count) is int]
    return sum(numbers) if numbers and len(numbers) == len(counts) else None


def _findings(source: Source, files: Sequence[FileRecord]) -> dict[str, Finding]:
    """What the bytes tell, with the hash that a header records compared with the real one."""
    findings = dict(source.findings)
    found = header_hash(findings.pop("recorded_tensor_sha256", None), files)
    return findings if found is None else {**findings, "header_hash": found}


def header_hash(recorded: Finding | None, files: Sequence[FileRecord]) -> Finding | None:
    """Whether the hash of its tensors that a header records is theirs, as far as that is known."""
    hashes = {file.tensor_sha256 for file in files if file.tensor_sha256 is not None}
    if recorded is None or len(hashes) != 1:
        return None
    (actual,) = hashes
    return Finding(
        "matches" if recorded.value == actual else "differs",
        f"{recorded.evidence}: {str(recorded.value)[:12]}, the tensors hash to {actual[:12]}",
    )


def security_of(source: Source) -> Security:
    """The worst that is known of any of its files, with the names of the files it is about."""
    found = [(file.relative, file.inspection.security) for file in source.files]
    worst = max((security.verdict for _, security in found), key=VERDICTS.index)
    details = [
        f"{naming.display(name)}: {line}" if len(source.files) > 1 else line
        for name, security in found
        for line in security.details
    ]
    return Security(worst, tuple(details[:_MAX_DETAILS]))


def _path_bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
