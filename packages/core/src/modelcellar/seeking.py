"""Finds the files of a set in folders, by their digests and whatever they are called, and has them
imported under the names they had."""

import os
import stat
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from modelcellar import naming
from modelcellar.io.manager import IoManager
from modelcellar.model_set import SetModel
from modelcellar.records import Digests, HashedFile
from modelcellar.reports import ImportReport, ImportResult

__all__ = ["TakeIn", "bring_in", "lay_out", "missing_files", "seek"]

Found = Mapping[Digests, Path]
TakeIn = Callable[[Sequence[Path], bool, bool], ImportReport]
"""Imports paths: whether each folder is one model, and whether it is only a dry run."""


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
    sizes = {file.size_bytes for model in models for file in model.files}
    paths = list(_files_of(folders, sizes, without.resolve()))
    found: dict[Digests, Path] = {}
    for path, result in zip(paths, disks.hash_many(paths, progress=progress), strict=True):
        # One that cannot be read is as good as not there; another may be.
        if isinstance(result, HashedFile):
            found.setdefault(result.digests, path)
    return found


def missing_files(model: SetModel, found: Found) -> list[str]:
    """Which files of a model were not found; companions may be missing."""
    return [f.path for f in model.files if not f.is_companion and f.digests not in found]


def bring_in(models: Iterable[SetModel], found: Found, take_in: TakeIn) -> dict[str, str]:
    """Import those models of which all files were found, each as it was before.

    Returns, by content digest, what to say of each if it is not in the library then.
    """
    with tempfile.TemporaryDirectory(prefix="modelcellar-restore-") as name:
        folder = Path(name)
        whole = [model for model in models if not missing_files(model, found)]
        laid = [lay_out(model, found, folder / str(n)) for n, model in enumerate(whole)]
        # A file comes in with what belongs to it; where that is not all, a folder was one model.
        firsts = [first for _, first in laid]
        dry = _by_folder(folder, [take_in(firsts, False, True)] if laid else [])
        alone: list[Path] = []
        folders: list[Path] = []
        for number, (model, (top, first)) in enumerate(zip(whole, laid, strict=True)):
            there = {file.path for file in model.files if file.digests in found}
            is_alone = [set(one.files) for one in dry[str(number)]] == [there]
            (alone if is_alone else folders).append(first if is_alone else top)
        reports = [take_in(alone, False, False)] if alone else []
        reports += [take_in(folders, True, False)] if folders else []
        results = _by_folder(folder, reports)
    return {model.content_digest: _problem(results[str(n)]) for n, model in enumerate(whole)}


def lay_out(model: SetModel, found: Found, folder: Path) -> tuple[Path, Path]:
    """Links to the files of a model, under the names they had; a folder, and the first weights.

    A folder that is a model gives it its name, so it is called as it was.
    """
    top = folder / naming.portable_name(model.name)
    for file in model.files:
        if file.digests is not None and file.digests in found:
            link = top / file.path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(found[file.digests].resolve())
    first = next(file for file in model.files if not file.is_companion)
    return top, top / first.path


def _by_folder(folder: Path, reports: Iterable[ImportReport]) -> dict[str, list[ImportResult]]:
    """The results of each model, by the name of what it was laid out in."""
    found: dict[str, list[ImportResult]] = defaultdict(list)
    for result in (one for report in reports for one in report.results):
        found[Path(result.source).relative_to(folder).parts[0]].append(result)
    return found


def _problem(results: Iterable[ImportResult]) -> str:
    errors = [one.error.message for one in results if one.error is not None]
    return errors[0] if errors else "it came in as another model"


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
