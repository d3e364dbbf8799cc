"""Collects the files of a folder that is one model, and leaves what is another's."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from modelcellar import naming
from modelcellar.records import FileFormat
from modelcellar.sources.claims import EXPORT_FOLDERS, Claim, read_claim
from modelcellar.sources.external import needs_of
from modelcellar.sources.litter import (
    IGNORED_FOLDERS,
    UNFINISHED,
    has_weights_name,
    is_inside,
    is_litter,
)
from modelcellar.sources.source import NotTaken, SourceFile, look, refused, skipped

__all__ = ["Gathering", "StopError", "foreign_weights", "is_weights"]


class StopError(Exception):
    """The folder cannot be taken at all."""

    def __init__(self, refusal: NotTaken) -> None:
        super().__init__(refusal.error.message)
        self.refusal = refusal


def is_weights(file: SourceFile) -> bool:
    """Whether a file holds weights, or is called so and is refused."""
    inspection = file.inspection
    if inspection.refusal is not None or inspection.facts.get("kind") is None:
        return inspection.format is not FileFormat.UNKNOWN or has_weights_name(file.path.name)
    return inspection.format is not FileFormat.UNKNOWN


def foreign_weights(claim: Claim, files: Iterable[SourceFile], parent: str) -> list[SourceFile]:
    """The weights in one folder that a configuration does not speak for.

    Args:
        claim: what the configuration of the model's folder claims.
        files: the files of the folder.
        parent: its path in the model's folder, with a ``/`` at the end, or empty.

    Raises:
        OSError: a file cannot be read.
    """
    weights = [file for file in files if is_weights(file)]
    own = [file for file in weights if claim.takes(file.relative) or _is_state(file)]
    needed = {parent + name for file in own for name in needs_of(file).files}
    return [
        file
        for file in weights
        if file not in own
        and not (file.relative in needed and file.inspection.format is FileFormat.UNKNOWN)
    ]


def _is_state(file: SourceFile) -> bool:
    """Whether a trainer left it: the state of an optimizer is no model of its own."""
    findings = file.inspection.findings
    return "not_a_model" in findings and file.inspection.format is not FileFormat.GGUF


@dataclass(slots=True)
class Gathering:
    """The files of one model's folder, and what in it is not taken.

    ``apart`` are folders that are to be looked at by themselves, ``told`` files that are left.
    """

    folder: Path
    exclude: Path | None
    claim: Claim | None = None
    files: list[SourceFile] = field(default_factory=list)
    apart: list[Path] = field(default_factory=list)
    told: list[NotTaken] = field(default_factory=list)
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def take_all(self, top: Path) -> None:
        """Take everything at and below a folder.

        Raises:
            StopError: something there cannot be taken.
            OSError: it cannot be read.
        """
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            self.enter(folder)
            files, below = self._look_in(folder)
            self.files += files
            waiting += reversed(below)

    def take_below(self, top: Path, *, is_mixed: bool) -> None:
        """Take from a folder in the model's folder what belongs to the model.

        Args:
            top: the folder.
            is_mixed: other models lie beside it, so it may well be theirs.

        Raises:
            StopError: something there cannot be taken.
            OSError: it cannot be read.
        """
        assert self.claim is not None
        if top.name in IGNORED_FOLDERS:
            return
        if top.name in self.claim.folders:
            self.take_all(top)
            return
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            if is_inside(folder, self.exclude) or (is_mixed and top.name not in EXPORT_FOLDERS):
                self.apart.append(folder)
                continue
            self.enter(folder)
            files, below = self._look_in(folder)
            if self._is_apart(folder, files, below):
                self.apart.append(folder)
                continue
            self.files += files
            waiting += reversed(below)

    def enter(self, folder: Path) -> None:
        """Check that a folder may be read from.

        Raises:
            StopError: it is in the library, or was there before.
            OSError: it cannot be read.
        """
        if is_inside(folder, self.exclude):
            text = "a part of it is in the library"
            raise self._stop("inside_library", text, "Name other folders.")
        found = folder.stat()
        if (found.st_dev, found.st_ino) in self._seen:
            raise self._stop("link_loop", "a link in it leads back into it", "Remove it.")
        self._seen.add((found.st_dev, found.st_ino))

    def _is_apart(self, folder: Path, files: list[SourceFile], below: list[Path]) -> bool:
        """Whether a folder below holds, or is, a model of its own."""
        assert self.claim is not None
        parent = folder.relative_to(self.folder).as_posix() + "/"
        if foreign_weights(self.claim, files, parent):
            return True
        names = {file.path.name: file for file in files}
        inner = read_claim(names, frozenset(path.name for path in below))
        if inner is None:
            return False
        return bool(inner.folders) or any(
            is_weights(file) and inner.takes(name) for name, file in names.items()
        )

    def _look_in(self, folder: Path) -> tuple[list[SourceFile], list[Path]]:
        files, below = [], []
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                if path.name not in IGNORED_FOLDERS:
                    below.append(path)
            elif is_litter(path.name):
                continue
            elif path.exists() and not path.is_file():
                text = f"'{naming.display(path.name)}' in it is not a regular file"
                raise self._stop("not_a_file", text, "Remove it from the folder.")
            elif self.claim is not None and path.name.endswith(UNFINISHED):
                self.told.append(skipped(path, "unfinished", "an unfinished download"))
            else:
                files.append(look(path, path.relative_to(self.folder).as_posix()))
        return files, below

    def _stop(self, code: str, reason: str, remedy: str) -> StopError:
        return StopError(refused(self.folder, code, reason, remedy))
