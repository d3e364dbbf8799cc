"""Goes through the paths that the user named, in a stable order, and says what each becomes."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from modelcellar.io.bounded import read_bytes
from modelcellar.sources.beside import Beside
from modelcellar.sources.folders import whole_folder
from modelcellar.sources.litter import IGNORED_FOLDERS, UNFINISHED, is_inside, is_litter
from modelcellar.sources.ollama import store_of, store_sources
from modelcellar.sources.sorting import sort_folder
from modelcellar.sources.source import (
    NotTaken,
    Source,
    SourceFile,
    failed,
    look,
    may_be_model,
    refused,
    skipped,
)

__all__ = ["find_sources"]

CACHE_FOLDERS = frozenset({".no_exist", "blobs", "refs"})
SNAPSHOTS = "snapshots"
MAX_REFERENCE_BYTES = 4096
SHARED_MARKER = ".huggingface-shared-blobs"
"""Since huggingface_hub 1.32 (``utils/_shared_blobs.py``)."""
_CACHED = re.compile(r"(?:models|datasets|spaces)--")

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
        self._data_below: set[Path] = set()
        self._beside = Beside()
        self._cached: dict[frozenset[tuple[str, int, int]], Source] = {}

    def run(self, paths: Sequence[Path]) -> Iterator[Item]:
        """All that becomes of ``paths``; what no model takes along is told of at the end."""
        refusals: list[NotTaken] = []
        for path in paths:
            try:
                for item in self._named(path):
                    self._remember(item, path)
                    if isinstance(item, NotTaken) and item.error.code == "not_a_model":
                        refusals.append(item)
                    else:
                        yield item
            except OSError as error:
                yield failed(path, error)
        # A shell's ``*`` names previews before or after the weights they belong to.
        yield from (item for item in refusals if item.path not in self._taken)

    def _remember(self, item: Item, named: Path) -> None:
        """What need not be looked at once more when it is named as well."""
        if isinstance(item, Source):
            self._taken.update(file.path for file in item.files if file.path != named)

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
        elif path not in self._taken and (root := store_of(path.absolute())) is not None:
            yield from store_sources(root, only=path.absolute())
        elif path not in self._taken:
            group = self._beside.named_file(path, self._exclude)
            # All parts of a set are refused together, however many of them were named.
            self._taken.update(path.parent / name for name in group.names - {path.name})
            yield group.item

    def _folder(self, root: Path) -> Iterator[Item]:
        """Everything below a folder in the order of names, however deep it is."""
        waiting: list[tuple[Path | Item, bool]] = [(root, False)]
        while waiting:
            found, behind_link = waiting.pop()
            if isinstance(found, Source):
                yield self._once(replace(found, behind_link=behind_link))
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

    def _once(self, source: Source) -> Item:
        """The source, unless another commit in the same cache has the very same files."""
        if SNAPSHOTS not in source.path.parts:
            return source
        files = frozenset((f.relative, f.stamp.device, f.stamp.inode) for f in source.files)
        first = self._cached.setdefault(files, source)
        if first is source:
            return source
        return skipped(source.path, "same_files", f"the same files as {first.path}")

    def _look_into(self, folder: Path) -> list[Path | Item]:
        """What becomes of the files in a folder, and the folders that are still to do, by name."""
        names = self._names_in(folder)
        if names is None:
            return []
        if (root := store_of(folder, names)) is not None:
            return list(store_sources(root))
        paths = [folder / name for name in sorted(names)]
        below = [path for path in paths if path.is_dir()]
        elsewhere = {*below, *self._data_below}
        odd, files = _look_at([path for path in paths if path not in elsewhere])
        found = sort_folder(folder, files, below, odd=odd, exclude=self._exclude)
        items: list[Item] = [*(odd if found.whole is None else found.whole.told)]
        items += [group.item for group in found.groups]
        items += [_not_a_model(file) for file in found.left]
        for group in found.groups:
            self._data_below.update(folder / name for name in group.names if "/" in name)
        # Of several commits in a cache the one that people use comes first.
        main = _main_of(folder) if folder.name == SNAPSHOTS else ""
        inside = sorted(
            [*items, *found.below], key=lambda item: (_path_of(item).name != main, _path_of(item))
        )
        return inside if found.whole is None else [found.whole.item, *inside]

    def _names_in(self, folder: Path) -> frozenset[str] | None:
        """The names in a folder worth looking at; ``None`` for one seen before or our own."""
        found = folder.stat()
        if (found.st_dev, found.st_ino) in self._seen or is_inside(folder, self._exclude):
            return None
        self._seen.add((found.st_dev, found.st_ino))
        names = frozenset(os.listdir(folder))  # noqa: PTH208 - names are what is wanted
        if {"blobs", "snapshots"} <= names and (_CACHED.match(folder.name) or "refs" in names):
            # The Hugging Face cache: each snapshot links to blobs, which would be found twice.
            names -= CACHE_FOLDERS
        elif "blobs" in names and (folder / "blobs" / SHARED_MARKER).exists():
            # The same for blobs that its repositories share, to which theirs are links.
            names -= {"blobs"}
        return frozenset(
            name
            for name in names
            if not is_litter(name) and not (name in IGNORED_FOLDERS and (folder / name).is_dir())
        )


def _main_of(snapshots: Path) -> str:
    """The commit that ``refs/main`` names; no name of a file if there is none."""
    data = read_bytes(snapshots.parent / "refs" / "main", limit_bytes=MAX_REFERENCE_BYTES)
    return (data or b"").decode(errors="replace").strip()


def _path_of(item: Path | Item) -> Path:
    return item if isinstance(item, Path) else item.path


def _look_at(paths: Sequence[Path]) -> tuple[list[NotTaken], list[SourceFile]]:
    """The regular files among ``paths``, and why the others are none."""
    items: list[NotTaken] = []
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


def _not_a_model(file: SourceFile) -> NotTaken:
    refusal = file.inspection.refusal
    if refusal is not None and may_be_model(file):
        return refused(file.path, refusal.code, refusal.reason, refusal.remedy)
    if file.stamp.size_bytes == 0:
        return skipped(file.path, "not_a_model", "an empty file")
    kind = file.inspection.facts.get("kind", "unknown content")
    return skipped(file.path, "not_a_model", f"not a model ({kind})")
