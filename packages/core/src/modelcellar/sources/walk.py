"""Goes through the paths that the user named, in a stable order, and says what each becomes."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from modelcellar.records import FileFormat
from modelcellar.sources.companions import companion_names
from modelcellar.sources.folders import is_model_folder, models_below, whole_folder
from modelcellar.sources.groups import Part, external_data, group_files, index_name
from modelcellar.sources.litter import (
    IGNORED_FOLDERS,
    UNFINISHED,
    has_weights_name,
    is_inside,
    is_litter,
)
from modelcellar.sources.source import (
    NotTaken,
    Source,
    SourceFile,
    failed,
    look,
    refused,
    skipped,
)

__all__ = ["find_sources"]

Item = Source | NotTaken


def find_sources(
    paths: Sequence[Path], *, as_one: bool = False, exclude: Path | None = None
) -> Iterator[Item]:
    """Walk files and folders in a stable order and say what each becomes.

    Args:
        paths: files and folders as the user named them; links are followed.
        as_one: each folder in ``paths`` is one model, whatever it holds.
        exclude: the library itself, which is never imported into itself.
    """
    return _Walk(as_one=as_one, exclude=exclude).run(paths)


class _Walk:
    def __init__(self, *, as_one: bool, exclude: Path | None) -> None:
        self._as_one = as_one
        self._exclude = exclude
        self._seen: set[tuple[int, int]] = set()
        self._taken: set[Path] = set()

    def run(self, paths: Sequence[Path]) -> Iterator[Item]:
        """All that becomes of ``paths``; what no model takes along is told of at the end."""
        refusals: list[NotTaken] = []
        for path in paths:
            try:
                for item in self._named(path):
                    if isinstance(item, Source):
                        self._taken.update(
                            file.path for file in item.files if file.path != item.path
                        )
                    if isinstance(item, NotTaken) and item.error.code == "not_a_model":
                        refusals.append(item)
                    else:
                        yield item
            except OSError as error:
                yield failed(path, error)
        # A shell's ``*`` names previews before or after the weights they belong to.
        yield from (item for item in refusals if item.path not in self._taken)

    def _named(self, path: Path) -> Iterator[Item]:
        mode = path.stat().st_mode
        if is_inside(path, self._exclude):
            yield refused(
                path, "inside_library", "it is in the library already", "Name other files."
            )
        elif stat.S_ISDIR(mode) and self._as_one:
            yield whole_folder(path, self._exclude)
        elif stat.S_ISDIR(mode):
            yield from self._folder(path)
        elif path not in self._taken:
            yield from _named_file(path)

    def _folder(self, root: Path) -> Iterator[Item]:
        """Everything below a folder in the order of names, however deep it is."""
        waiting: list[tuple[Path | Item, bool]] = [(root, False)]
        while waiting:
            found, behind_link = waiting.pop()
            if isinstance(found, Source):
                yield replace(found, behind_link=behind_link)
            elif isinstance(found, NotTaken):
                yield found
            else:
                try:
                    inside = self._look_into(found)
                except OSError as error:
                    inside = [failed(found, error)]
                waiting += [
                    (item, behind_link or (_path_of(item) != found and _path_of(item).is_symlink()))
                    for item in reversed(inside)
                ]

    def _look_into(self, folder: Path) -> list[Path | Item]:
        """What becomes of the files in a folder, and the folders that are still to do, by name."""
        names = self._names_in(folder)
        if names is None:
            return []
        if is_model_folder(folder):
            apart = models_below(folder)
            return [whole_folder(folder, self._exclude, apart=frozenset(apart)), *apart]
        paths = [folder / name for name in sorted(names)]
        below = [path for path in paths if path.is_dir()]
        items, files = _look_at([path for path in paths if path not in set(below)])
        models = [file for file in files if _may_be_model(file)]
        others = [file for file in files if not _may_be_model(file)]
        found, left = group_files(models, others)
        items += [_kept(item) for item in found]
        items += [_not_a_model(file) for file in left]
        return sorted([*items, *below], key=_path_of)

    def _names_in(self, folder: Path) -> frozenset[str] | None:
        """The names in a folder worth looking at; ``None`` for one seen before or our own."""
        found = folder.stat()
        if (found.st_dev, found.st_ino) in self._seen or is_inside(folder, self._exclude):
            return None
        self._seen.add((found.st_dev, found.st_ino))
        names = frozenset(os.listdir(folder))  # noqa: PTH208 - names are what is wanted
        if {"blobs", "snapshots"} <= names:
            # The Hugging Face cache: each snapshot links to blobs, which would be found twice.
            return frozenset({"snapshots"})
        return frozenset(
            name
            for name in names
            if not is_litter(name) and not (name in IGNORED_FOLDERS and (folder / name).is_dir())
        )


def _path_of(item: Path | Item) -> Path:
    return item if isinstance(item, Path) else item.path


def _look_at(paths: Sequence[Path]) -> tuple[list[Item], list[SourceFile]]:
    """The regular files among ``paths``, and why the others are none."""
    items: list[Item] = []
    files: list[SourceFile] = []
    for path in paths:
        try:
            if path.name.endswith(UNFINISHED):
                items.append(skipped(path, "unfinished", "an unfinished download"))
            elif not path.is_file() and path.exists():
                items.append(skipped(path, "not_a_file", "not a regular file"))
            else:
                files.append(look(path, path.name))
        except OSError as error:
            items.append(failed(path, error))
    return items, files


def _may_be_model(file: SourceFile) -> bool:
    """Whether a file met on the way is worth keeping, or must be told of because it cannot be."""
    if file.inspection.refusal is not None:
        return file.stamp.size_bytes > 0 or has_weights_name(file.path.name)
    if file.inspection.format is not FileFormat.UNKNOWN:
        return True
    return file.inspection.facts.get("kind") is None and has_weights_name(file.path.name)


def _not_a_model(file: SourceFile) -> NotTaken:
    if file.stamp.size_bytes == 0:
        return skipped(file.path, "not_a_model", "an empty file")
    kind = file.inspection.facts.get("kind", "unknown content")
    return skipped(file.path, "not_a_model", f"not a model ({kind})")


def _kept(item: Item) -> Item:
    """Leaves alone what is no model although its format is one: an optimizer's state."""
    if not isinstance(item, Source) or (told := item.findings.get("not_a_model")) is None:
        return item
    if item.format is FileFormat.GGUF:
        return item  # A vocabulary by itself is something that people keep.
    return skipped(item.path, "not_a_model", f"not a model ({told.value})")


def _named_file(path: Path) -> Iterator[Item]:
    """A file the user named, with what belongs to it: taken unless it is plainly something else."""
    if not path.is_file():
        yield refused(path, "not_a_file", "not a regular file", "Give model files or folders.")
        return
    file = look(path, path.name)
    kind = file.inspection.facts.get("kind")
    if file.inspection.refusal is None and kind is not None:
        remedy = "Unpack it first." if kind == "archive" else "Give model files or folders."
        yield refused(path, "not_a_model", f"not a model but {kind}", remedy)
        return
    models, names = [file], companion_names(path.name)
    part = Part.of(path.name)
    if part is not None:
        wanted = [part.name_of(number) for number in range(1, min(part.total, 10_000) + 1)]
        models = [file, *_neighbours(path, wanted)]
        names = [index_name(part)]
    names += external_data(file)
    others = _neighbours(
        path, names, lambda other: not _may_be_model(other) or other.relative in names
    )
    found, _ = group_files(models, others)
    yield from found


def _neighbours(
    path: Path, names: Sequence[str], wanted: Callable[[SourceFile], bool] = lambda _: True
) -> list[SourceFile]:
    """Regular files of these names beside ``path``, other than itself."""
    beside = (path.with_name(name) for name in dict.fromkeys(names) if name != path.name)
    files = [look(other, other.name) for other in beside if other.is_file()]
    return [file for file in files if wanted(file)]
