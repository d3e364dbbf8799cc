"""A library in a process of its own, so that a test can kill it, starve it or let it compete.

Run as ``python -P worker.py LIBRARY ACTION [ARGUMENT...]``; prints what came of it as one line of
JSON. It imports as little as it can, because tests start hundreds of these.
"""

import errno
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from modelcellar import ModelLibrary
from modelcellar.config import Settings
from modelcellar.errors import (
    CellarError,
    LibraryBusyError,
    ModelNotFoundError,
    NothingToUndoError,
)
from modelcellar.link_records import LinkKind
from modelcellar.records import EditChanges
from modelcellar.reports import ImportMode, ImportReport, ImportStatus

LOCK_TIMEOUT_S = 20.0


def command(root: Path, action: str, *arguments: str | Path) -> list[str]:
    """The command line that does ``action`` with the library at ``root``."""
    # -P: the modules beside this file must not hide others of their name.
    return [sys.executable, "-P", __file__, str(root), action, *map(str, arguments)]


def settings(root: Path, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> Settings:
    """Settings that leave the space check to the disk itself."""
    return Settings(root, offline=True, min_free_bytes=0, lock_timeout_s=lock_timeout_s)


def _told(report: ImportReport) -> object:
    return [
        [result.source, result.status.value, result.error and result.error.code]
        for result in report.results
    ]


def _import(library: ModelLibrary, arguments: Sequence[str]) -> object:
    return _told(library.import_paths([Path(path) for path in arguments]))


def _move(library: ModelLibrary, arguments: Sequence[str]) -> object:
    paths = [Path(path) for path in arguments]
    return _told(library.import_paths(paths, mode=ImportMode.MOVE))


def _adopt(library: ModelLibrary, arguments: Sequence[str]) -> object:
    return [model.id for model in library.adopt([Path(path) for path in arguments]).models]


def _dedupe(library: ModelLibrary, arguments: Sequence[str]) -> object:
    link, *folders = arguments
    paths = [Path(path) for path in folders]
    report = library.dedupe(paths, link=LinkKind(link), apply=True)
    return [one.action.value for group in report.groups for one in group.actions]


def _remove(library: ModelLibrary, arguments: Sequence[str]) -> object:
    return [library.remove(text).id for text in arguments]


def _undo(library: ModelLibrary, _: Sequence[str]) -> object:
    return library.undo().id


def _purge(library: ModelLibrary, _: Sequence[str]) -> object:
    return library.purge().model_ids


def _edit(library: ModelLibrary, arguments: Sequence[str]) -> object:
    text, note = arguments
    return library.edit(text, EditChanges(note=note)).note


def _verify(library: ModelLibrary, _: Sequence[str]) -> object:
    return library.verify().ok


def _rebuild(library: ModelLibrary, _: Sequence[str]) -> object:
    return library.rebuild().models


def _create(library: ModelLibrary, _: Sequence[str]) -> object:
    return library.library_id


def _restore(library: ModelLibrary, arguments: Sequence[str]) -> object:
    from modelcellar.model_set import decode_set

    file, *folders = map(Path, arguments)
    report = library.restore(decode_set(file.read_bytes(), str(file)), folders)
    return [one.status.value for one in report.results]


def _relocate(library: ModelLibrary, arguments: Sequence[str]) -> object:
    from modelcellar.relocate.relocation import RelocateOptions, relocate

    (target,) = arguments
    options = RelocateOptions(copy=True)
    return relocate(library.path, Path(target), settings(library.path), options).switched


def _list(library: ModelLibrary, _: Sequence[str]) -> object:
    return library.list_models().total


def _sync(library: ModelLibrary, _: Sequence[str]) -> object:
    return [action.action.value for action in library.sync().actions]


def _remove_app(library: ModelLibrary, arguments: Sequence[str]) -> object:
    return [len(library.applications.remove(name).actions) for name in arguments]


def _storm(library: ModelLibrary, arguments: Sequence[str]) -> object:
    """Everything at random for some seconds; how often each thing was done."""
    seed, duration_s, *folders = arguments
    chance = random.Random(seed)
    deadline = time.monotonic() + float(duration_s)
    done: dict[str, int] = {}
    while time.monotonic() < deadline:
        action, weight = chance.choice(_STORM), chance.random()
        try:
            action(library, folders, weight)
        except (LibraryBusyError, ModelNotFoundError, NothingToUndoError) as error:
            # Another process was faster; anything else ends the storm.
            done[error.code] = done.get(error.code, 0) + 1
        done[action.__name__] = done.get(action.__name__, 0) + 1
    return done


def _take_in(library: ModelLibrary, folders: Sequence[str], weight: float) -> None:
    report = library.import_paths([Path(folders[int(weight * len(folders))])])
    bad = [found for found in report.results if found.status is ImportStatus.FAILED]
    busy = {found.error.code for found in bad if found.error is not None} - {"library_busy"}
    if busy:
        raise AssertionError(bad)


def _pick(library: ModelLibrary, weight: float) -> str:
    models = library.list_models(sort="added").models
    return models[int(weight * len(models))].id if models else "none"


def _throw_out(library: ModelLibrary, _: Sequence[str], weight: float) -> None:
    library.remove(_pick(library, weight))


def _take_back(library: ModelLibrary, _: Sequence[str], __: float) -> None:
    library.undo()


def _note(library: ModelLibrary, _: Sequence[str], weight: float) -> None:
    library.edit(_pick(library, weight), EditChanges(note=f"{weight}"))


def _look(library: ModelLibrary, _: Sequence[str], __: float) -> None:
    """A model may go between the look at the list and the look at its files, but not for long."""
    lost: set[str] | None = None
    for _attempt in range(5):
        now = {
            model.id
            for model in library.search("model small big").models + library.list_models().models
            if not all(library.file_path(model, file).is_file() for file in model.files)
        }
        lost = now if lost is None else lost & now
        if not lost:
            return
    raise AssertionError(f"listed without their files: {lost}")


def _make_anew(library: ModelLibrary, _: Sequence[str], __: float) -> None:
    problems = library.rebuild().problems
    if problems:
        raise AssertionError(problems)


_STORM = (_take_in, _take_in, _take_in, _throw_out, _take_back, _note, _look, _look, _make_anew)

ACTIONS: dict[str, Callable[[ModelLibrary, Sequence[str]], object]] = {
    "create": _create,
    "import": _import,
    "move": _move,
    "adopt": _adopt,
    "dedupe": _dedupe,
    "remove": _remove,
    "purge": _purge,
    "undo": _undo,
    "edit": _edit,
    "verify": _verify,
    "rebuild": _rebuild,
    "restore": _restore,
    "relocate": _relocate,
    "list": _list,
    "sync": _sync,
    "remove-app": _remove_app,
    "storm": _storm,
}


def main(root: Path, action: str, arguments: Sequence[str]) -> int:
    """Do one thing; exit code 1 and the error as data when it could not be done."""
    told: dict[str, object]
    try:
        begin = ModelLibrary.create if action == "create" else ModelLibrary
        with begin(root, settings=settings(root)) as library:
            told = {"done": ACTIONS[action](library, arguments)}
    except CellarError as error:
        told = {"error": error.code, "message": str(error)}
    except OSError as error:
        told = {"error": errno.errorcode.get(error.errno or 0), "message": str(error)}
    sys.stdout.write(json.dumps(told) + "\n")
    return 1 if "error" in told else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
