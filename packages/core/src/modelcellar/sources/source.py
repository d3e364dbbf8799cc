"""What an import works on: files that become one model, and paths that become none."""

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelcellar.failures import failure
from modelcellar.formats import in_words, inspect_file
from modelcellar.records import ErrorInfo, FileFormat, Finding, Inspection
from modelcellar.sources.litter import has_weights_name

__all__ = [
    "NotTaken",
    "Source",
    "SourceFile",
    "Stamp",
    "failed",
    "is_page",
    "look",
    "may_be_model",
    "refused",
    "skipped",
]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file is still the one that was looked at. Times are nanoseconds.

    ``mode`` holds the permission bits.
    """

    device: int
    inode: int
    mode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int

    def is_same_content(self, other: "Stamp") -> bool:
        """Whether both are of one file with the same content, names and permissions apart."""
        return replace(self, mode=0, ctime_ns=0) == replace(other, mode=0, ctime_ns=0)

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """The stamp of the file at ``path``, links followed."""
        found = path.stat()
        return cls(
            device=found.st_dev,
            inode=found.st_ino,
            mode=stat.S_IMODE(found.st_mode),
            size_bytes=found.st_size,
            mtime_ns=found.st_mtime_ns,
            ctime_ns=found.st_ctime_ns,
        )


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source: where it lies, its name inside the model, and what it is.

    A companion lies beside the weights and does not count for what the model is.
    """

    path: Path
    relative: str
    stamp: Stamp
    inspection: Inspection
    is_companion: bool = False

    def check_unchanged(self) -> None:
        """Raises ``OSError`` (``ESTALE``) unless the file is still the one that was looked at."""
        if Stamp.of(self.path) != self.stamp:
            raise self.changed()

    def changed(self) -> OSError:
        """The error for a file that is not the one any more that was looked at."""
        return OSError(errno.ESTALE, "changed while it was being read", os.fspath(self.path))


@dataclass(frozen=True, slots=True)
class Source:
    """What becomes one model. ``findings`` are what its files tell together."""

    path: Path
    name: str
    files: tuple[SourceFile, ...]
    findings: Mapping[str, Finding] = field(default_factory=dict)
    behind_link: bool = False
    """Met by following a link in the folder the user named: not a part of that folder."""
    kept_by: str = ""
    """The program whose store the files are in, which would miss them: they are never moved."""

    @property
    def weights(self) -> tuple[SourceFile, ...]:
        """The files that count for what the model is: all but the companions."""
        return tuple(file for file in self.files if not file.is_companion)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.stamp.size_bytes for file in self.files)

    @property
    def format(self) -> FileFormat:
        """The format of the biggest recognised file, which stands for the model."""
        return self._lead.format

    @property
    def summary(self) -> str:
        """What the model is, in one short line for people."""
        number = len(self.weights)
        if number == 1:
            return self._lead.summary
        words = in_words(self.findings)
        told = f"{words}; {self._lead.technical}" if words else self._lead.summary
        return f"{number} files; {told}".removesuffix("; ")

    @property
    def _lead(self) -> Inspection:
        weights = self.weights
        known = [file for file in weights if file.inspection.format is not FileFormat.UNKNOWN]
        return max(known or weights, key=lambda file: file.stamp.size_bytes).inspection


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A path that does not become a model. ``kind`` is ``skipped``, ``refused`` or ``failed``."""

    path: Path
    kind: str
    error: ErrorInfo


def look(path: Path, relative: str) -> SourceFile:
    """The regular file at ``path`` as a part of a source.

    Raises:
        OSError: it cannot be read.
    """
    return SourceFile(path, relative, Stamp.of(path), inspect_file(path))


def may_be_model(file: SourceFile) -> bool:
    """Whether a file met on the way is worth keeping, or must be told of because it cannot be."""
    if file.inspection.refusal is not None:
        return file.stamp.size_bytes > 0 or has_weights_name(file.path.name)
    if file.inspection.format is not FileFormat.UNKNOWN:
        return True
    return file.inspection.facts.get("kind") is None and has_weights_name(file.path.name)


def is_page(file: SourceFile) -> bool:
    """Whether a file is refused as what it is, and by its name is no weights anyway.

    A saved page in the place of a model is a failed download; one that a repository holds is not.
    """
    inspection = file.inspection
    is_nothing = inspection.refusal is not None and inspection.format is FileFormat.UNKNOWN
    return is_nothing and not has_weights_name(file.path.name)


def skipped(path: Path, code: str, reason: str) -> NotTaken:
    """A path that is left alone."""
    return NotTaken(path, "skipped", ErrorInfo(code, reason))


def refused(path: Path, code: str, reason: str, remedy: str) -> NotTaken:
    """A path that must not come in as it is."""
    return NotTaken(path, "refused", ErrorInfo(code, reason, remedy))


def failed(path: Path, error: OSError) -> NotTaken:
    """A path that could not be read."""
    return NotTaken(path, "failed", failure(error))
