"""A file that the user named, with what belongs to it: the same that importing its folder gives."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from modelcellar.records import FileFormat
from modelcellar.sources.companions import names_for_companions, owner_names
from modelcellar.sources.external import needs_of
from modelcellar.sources.groups import Group, group_files
from modelcellar.sources.litter import UNFINISHED, is_litter
from modelcellar.sources.parts import Part, index_name
from modelcellar.sources.projectors import is_projector, is_text_model
from modelcellar.sources.source import Source, SourceFile, look, may_be_model, refused

__all__ = ["Beside"]


class Beside:
    """Looks for what belongs to files. Remembers one folder, as files are named one by one."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._names: frozenset[str] = frozenset()
        self._companions: dict[str, list[str]] = {}
        self._owners: dict[str, list[str]] = {}
        self._looked: dict[str, SourceFile | None] = {}

    def named_file(self, path: Path, exclude: Path | None) -> Group:
        """What becomes of a named file: taken unless it is plainly something else.

        Raises:
            OSError: it cannot be read.
        """
        alone = frozenset({path.name})
        if not path.is_file():
            remedy = "Give model files or folders."
            return Group(refused(path, "not_a_file", "not a regular file", remedy), alone)
        file = look(path, path.name)
        kind = file.inspection.facts.get("kind")
        if file.inspection.refusal is None and kind is not None:
            remedy = "Unpack it first." if kind == "archive" else "Give model files or folders."
            return Group(refused(path, "not_a_model", f"not a model but {kind}", remedy), alone)
        self._list(path.parent)
        self._looked[path.name] = file
        return self._group_of(file, exclude) or Group(
            Source(path, path.stem, (file,), file.inspection.findings), alone
        )

    def _group_of(self, file: SourceFile, exclude: Path | None) -> Group | None:
        related = self._related(file)
        found = [self._look(name) for name in sorted(related | {file.relative})]
        files = [one for one in found if one is not None]
        models = [one for one in files if one is file or may_be_model(one)]
        others = [one for one in files if one is not file and not may_be_model(one)]
        groups, _ = group_files(models, others, exclude=exclude, only=file.relative)
        return groups[0] if groups else None

    def _related(self, file: SourceFile) -> set[str]:
        """Names of files that may be of the same model, or whose the same companions may be."""
        names = {file.relative, *self._parts(file)}
        inspection = file.inspection
        if is_text_model(file) or is_projector(file):
            names |= self._ending(".gguf")
        is_raw = inspection.format is FileFormat.UNKNOWN or inspection.refusal is not None
        if is_raw or needs_of(file).files:
            names |= self._ending(".onnx") | self._ending(".json", of=FileFormat.TFJS)
        for name in tuple(names):
            other = self._look(name)
            names |= needs_of(other).files.keys() & self._names if other is not None else set()
        companions = {
            name
            for owner in names
            for start in names_for_companions(owner)
            for name in self._companions.get(start, ())
        }
        rivals = {
            name
            for companion in companions
            for start in owner_names(companion)
            for name in self._owners.get(start, ())
        }
        return names | companions | rivals

    def _parts(self, file: SourceFile) -> Iterator[str]:
        part = Part.of(file.relative)
        if part is None:
            return
        yield index_name(part)
        for name in self._names:
            other = Part.of(name)
            if other is not None and other.set_key == part.set_key:
                yield name

    def _ending(self, ending: str, of: FileFormat | None = None) -> set[str]:
        names = {name for name in self._names if name.lower().endswith(ending)}
        if of is None:
            return names
        found = ((name, self._look(name)) for name in names)
        return {name for name, file in found if file is not None and file.inspection.format is of}

    def _list(self, folder: Path) -> None:
        if folder == self._folder:
            return
        self._folder, self._looked = folder, {}
        self._companions, self._owners = defaultdict(list), defaultdict(list)
        self._names = frozenset(_listed(folder))
        for name in self._names:
            for start in owner_names(name):
                self._companions[start].append(name)
            for start in names_for_companions(name):
                self._owners[start].append(name)

    def _look(self, name: str) -> SourceFile | None:
        """A regular file of the folder; ``None`` if there is none that can be read."""
        if name not in self._looked:
            assert self._folder is not None
            path = self._folder / name
            try:
                is_there = name in self._names and path.is_file()
                self._looked[name] = look(path, name) if is_there else None
            except OSError:
                self._looked[name] = None
        return self._looked[name]


def _listed(folder: Path) -> Iterable[str]:
    """The names worth looking at in a folder; one that may not be listed shows none."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names are what is wanted
    except PermissionError:
        return []
    return [name for name in names if not is_litter(name) and not name.endswith(UNFINISHED)]
