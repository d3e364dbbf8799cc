"""Which files of a downloaded repository are one model each: what an import of it would tell.

But every file keeps its whole path, and none is left out: what is nobody's in particular, and what
an import passes over, goes along with the models of its folder, or of the nearest above with any.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from modelcellar.formats import inspect_model
from modelcellar.records import FileFormat
from modelcellar.sources.claims import has_library_name
from modelcellar.sources.litter import IGNORED_FOLDERS, UNFINISHED, is_litter
from modelcellar.sources.sorting import Sorted, sort_folder
from modelcellar.sources.source import NotTaken, Source, SourceFile, look

__all__ = ["split_repository"]

MAX_COPIED_BYTES = 64 << 20
"""All copies of what goes along with several models, together. The smallest files come first; the
others go with the first of the models only."""
_TERMS = re.compile(r"(?:readme|licen[cs]e|notice|use_policy)\b.*", re.IGNORECASE)
_HINTS = {
    "incomplete": "Download what is missing together with it.",
    "reader_failed": "This is a bug in cellar; please report it.",
}
_NO_HINT = "It is published like this, so that another download would bring the same."


def split_repository(folder: Path, names: Sequence[str], *, title: str) -> list[Source | NotTaken]:
    """What becomes of the files of a repository, or of some of them, in the order of their paths.

    Of a refused model the other parts are no source either. Without any weights, all files
    together are one source.

    Args:
        folder: the folder of the repository; it holds these files and no others.
        names: their paths in it, with ``/`` between the parts; at least one.
        title: what people call the repository; the name of a model that is the whole of it, or
            whose file has a name that all have (``model.safetensors``).

    Raises:
        OSError: a file cannot be read.
    """
    tree = _Tree(folder, names)
    tree.sort()
    if not tree.sources:
        return [*tree.refused] or [tree.as_one(title)]
    along = tree.going_along()
    sources = [
        replace(
            source,
            name=_name(source, folder, title, is_only=len(tree.sources) == 1),
            files=(*map(tree.in_repository, source.files), *along[number]),
        )
        for number, source in enumerate(tree.sources)
    ]
    return sorted([*sources, *tree.refused], key=lambda item: item.path)


class _Tree:
    """The files of a repository while it is found out whose each of them is."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder = folder
        self.sources: list[Source] = []
        self.refused: list[NotTaken] = []
        self._names = {folder / name: name for name in sorted(names)}
        self._files: dict[Path, list[Path]] = defaultdict(list)
        self._below: dict[Path, dict[Path, None]] = defaultdict(dict)
        self._owned: set[Path] = set()
        for path in self._names:
            self._files[path.parent].append(path)
            for parent in self._up_from(path.parent):
                if parent != folder:
                    self._below[parent.parent][parent] = None

    def sort(self) -> None:
        """Find the models, from the top down."""
        waiting = [self.folder]
        while waiting:
            folder = waiting.pop()
            found = self._look_into(folder)
            if found.whole is not None:
                self._add(found.whole.item, self._parts(folder, found))
            for group in found.groups:
                self._add(group.item, (folder / name for name in group.names))
            waiting += found.below
        self.sources.sort(key=lambda source: source.path)

    def as_one(self, title: str) -> Source:
        """All files as one model."""
        files = [look(path, name) for path, name in self._names.items()]
        known = [file for file in files if file.inspection.format is not FileFormat.UNKNOWN]
        others = {file.relative: file.path for file in files if file not in known}
        findings = inspect_model([file.path for file in known], others)
        return Source(self.folder, title, tuple(files), findings)

    def in_repository(self, file: SourceFile) -> SourceFile:
        """The file under its whole path."""
        return replace(file, relative=self._names[file.path])

    def going_along(self) -> dict[int, list[SourceFile]]:
        """What goes along with each source, by its number; every file that is nobody's does."""
        holders: dict[Path, dict[int, None]] = defaultdict(dict)
        for number, source in enumerate(self.sources):
            for file in source.files:
                for parent in self._up_from(file.path.parent):
                    holders[parent][number] = None
        going: list[tuple[SourceFile, list[int], int]] = []
        for path in self._names:
            if path not in self._owned:
                nearest = next(one for one in self._up_from(path.parent) if one in holders)
                numbers = [*holders[nearest]]
                going.append((self._companion(path), numbers, len(numbers) - 1))
        for owner, file in self._terms():
            numbers = [number for number in holders[file.path.parent] if number != owner]
            going.append((self._companion(file.path), numbers, len(numbers)))
        along: dict[int, list[SourceFile]] = defaultdict(list)
        left_bytes = MAX_COPIED_BYTES
        for file, numbers, copies in sorted(going, key=lambda one: one[0].stamp.size_bytes):
            more_bytes = copies * file.stamp.size_bytes
            fits = more_bytes <= left_bytes
            left_bytes -= more_bytes if fits else 0
            for number in numbers if fits else numbers[: len(numbers) - copies]:
                along[number].append(file)
        return along

    def _look_into(self, folder: Path) -> Sorted:
        files = [
            look(path, path.name)
            for path in self._files[folder]
            if path not in self._owned and not _is_passed_over(path)
        ]
        below = [path for path in self._below[folder] if path.name not in IGNORED_FOLDERS]
        return sort_folder(folder, files, below, is_published=True)

    def _add(self, item: Source | NotTaken, parts: Iterable[Path]) -> None:
        if isinstance(item, Source):
            self.sources.append(item)
            self._owned |= {file.path for file in item.files}
        elif item.kind != "skipped":
            hint = _HINTS.get(item.error.code, _NO_HINT)
            self.refused.append(replace(item, error=replace(item.error, hint=hint)))
            self._owned |= {*parts}

    def _parts(self, folder: Path, found: Sorted) -> Iterator[Path]:
        """The files of a folder that is to be one model."""
        others = {file.path for file in found.left}
        others |= {folder / name for group in found.groups for name in group.names}
        for path in self._names:
            is_apart = path in others or any(path.is_relative_to(one) for one in found.below)
            if path.is_relative_to(folder) and not is_apart and not _is_passed_over(path):
                yield path

    def _terms(self) -> Iterator[tuple[int, SourceFile]]:
        """Cards and licences that a model took which is a whole folder: they are of all in it."""
        for number, source in enumerate(self.sources):
            for file in source.files:
                if file.path.parent == source.path and _TERMS.fullmatch(file.path.name):
                    yield number, file

    def _companion(self, path: Path) -> SourceFile:
        return replace(look(path, self._names[path]), is_companion=True)

    def _up_from(self, folder: Path) -> Iterator[Path]:
        """A folder of the repository and those above it, up to the repository itself."""
        while folder != self.folder:
            yield folder
            folder = folder.parent
        yield folder


def _is_passed_over(path: Path) -> bool:
    """Whether an import takes a file for nothing that anybody wants."""
    return is_litter(path.name) or path.name.endswith(UNFINISHED)


def _name(source: Source, folder: Path, title: str, *, is_only: bool) -> str:
    """The name of a model: of its file, where that says anything, or of the repository."""
    is_folder = not any(file.path == source.path for file in source.files)
    if not is_folder and not has_library_name(source.path.name):
        return source.name
    place = source.path if is_folder else source.path.parent
    part = "" if place == folder else place.relative_to(folder).as_posix()
    return title if is_only or not part else f"{title} {part}"
