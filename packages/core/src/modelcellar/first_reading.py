"""The first time that an adopted model is read whole: where its digests come from.

Until then nobody knows whether it equals another model, whatever other tools have written down.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelcellar.content import content_digest, file_record, hash_ranges, header_hash
from modelcellar.io import hashing
from modelcellar.manifest import Fact, Manifest
from modelcellar.records import FileRecord, Finding
from modelcellar.sources.source import look

__all__ = ["FirstReading"]


@dataclass(slots=True)
class FirstReading:
    """What reading the files of one model has found so far."""

    found: Manifest
    _records: dict[str, FileRecord] = field(default_factory=dict)
    _recorded: Finding | None = None
    """The hash of its tensors that the header of one of the files records."""

    def read(
        self, path: Path, file: FileRecord, *, progress: hashing.ByteProgress | None = None
    ) -> None:
        """Read one file past the page cache; its format is looked at anew, as in an import.

        Raises:
            OSError: it cannot be read, or changed while it was being read.
        """
        looked = replace(look(path, file.path), is_companion=file.is_companion)
        hashed = hashing.hash_file(
            path, from_disk=True, ranges=hash_ranges(looked), progress=progress
        )
        looked.check_unchanged()
        self._records[file.path] = replace(
            file_record(looked, hashed),
            claimed_sha256=file.claimed_sha256,
            claimed_by=file.claimed_by,
        )
        self._recorded = looked.inspection.findings.get("recorded_tensor_sha256", self._recorded)

    def false_claims(self) -> Iterator[tuple[FileRecord, str]]:
        """The files whose SHA-256 is not what some tool wrote down, and what it is."""
        for file in self._records.values():
            claimed, actual = file.claimed_sha256, file.digests
            if claimed is not None and actual is not None and claimed != actual.sha256:
                yield file, actual.sha256

    def written_into(self, found: Manifest, at: str) -> Manifest:
        """The manifest as it is by now, with the digests. The id stays what it is.

        Args:
            found: the manifest, which the user may have edited meanwhile.
            at: when that was found out, as in manifests.
        """
        files = tuple(self._records[file.path] for file in found.files)
        facts = dict(found.facts)
        told = header_hash(self._recorded, files)
        if told is not None:
            facts["header_hash"] = Fact(told.value, "file content", at, told.evidence, told.sure)
        identity = found.identity
        if identity.status == "claimed" and any(True for _ in self.false_claims()):
            # What was said to be from there has other bytes than what is there.
            identity = replace(
                identity, evidence=f"{identity.evidence}, for other bytes than these"
            )
        return replace(
            found,
            files=files,
            content_digest=content_digest(files),
            facts=facts,
            identity=identity,
        )
