"""Finds the files of a set in folders, by their digests and whatever they are called."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from modelcellar import naming
from modelcellar.io.manager import IoManager
from modelcellar.model_set import SetModel
from modelcellar.records import Digests, HashedFile

__all__ = ["lay_out", "missing_files", "seek"]

Found = Mapping[Digests, Path]


def seek(
    folders: Sequence[Path],
    models: Iterable[SetModel],
    *,
    disks: IoManager,
    without: Path,
    progress: Callable[[int, int], object] | None = None,
) -> dict[Digests, Path]:
    """Where the files of these models are. Only files of the right size are read.

    Args:
        folders: where to look; files may be named as well.
        models: what is wanted.
        disks: reads the files.
        without: a folder that is not looked into.
        progress: called with the bytes read and those to be read.

    Raises:
        OSError: one of ``folders`` cannot be looked at.
    """
    wanted = {file.digests for model in models for file in model.files}
    sizes = {file.size_bytes for model in models for file in model.files}
    paths = list(_files_of(folders, sizes, without.resolve()))
    found: dict[Digests, Path] = {}
    for path, result in zip(paths, disks.hash_many(paths, progress=progress), strict=True):
        # One that cannot be read is as good as not there; another may be.
        if isinstance(result, HashedFile) and result.digests in wanted:
            found.setdefault(result.digests, path)
    return found


def missing_files(model: SetModel, found: Found) -> list[str]:
    """Which files of a model were not found; companions may be missing."""
    return [f.path for f in model.files if not f.is_companion and f.digests not in found]


def lay_out(model: SetModel, found: Found, folder: Path) -> tuple[Path, Path]:
    """Links to the files of a model, under the names they had; a folder, and the first weights.

    A folder that is a model gives it its name, so it is called as it was.
    """
    top = folder / naming.portable_name(model.name)
    for file in model.files:
        if file.digests in found:
            link = top / file.path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(found[file.digests].resolve())
    first = next(file for file in model.files if not file.is_companion)
    return top, top / first.path


def _files_of(folders: Sequence[Path], sizes: set[int], without: Path) -> Iterator[Path]:
    """Regular files of one of the sizes, each once however often it is linked."""
    seen: set[tuple[int, int]] = set()
    for path in _every(folders, without):
        try:
            found = path.stat()
        except OSError:  # a link that leads nowhere
            continue
        key = (found.st_dev, found.st_ino)
        if stat.S_ISREG(found.st_mode) and found.st_size in sizes and key not in seen:
            seen.add(key)
            yield path


def _every(folders: Sequence[Path], without: Path) -> Iterator[Path]:
    for top in folders:
        if not stat.S_ISDIR(top.stat().st_mode):
            yield top
            continue
        for folder, subfolders, names in os.walk(top):
            subfolders[:] = sorted(
                name for name in subfolders if Path(folder, name).resolve() != without
            )
            yield from (Path(folder, name) for name in sorted(names))
