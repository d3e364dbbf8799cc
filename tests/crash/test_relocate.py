"""``kill -9`` at every call of a move that changes a disk, and a disk that fails in the middle.

Afterwards one folder at most is the library, the old one still has every byte, and the next run
finishes the move and does not copy again what was there.
"""

import errno
import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelcellar import ModelLibrary
from modelcellar.errors import LibraryMovedError, LibraryNotFoundError
from modelcellar.relocate.relocation import RelocateOptions, relocate
from modelcellar.reports import RelocateReport
from tests.support.filesystems import MIB
from tests.support.places import Place, Places, removed
from tests.support.strace import CHANGING_CALLS, fail_at, kill_at, require_strace, trace
from tests.support.trees import tree
from tests.support.worker import command, settings

CALLS = (*CHANGING_CALLS, "chmod")
POINTS = 120
BIG_BYTES = 9 * MIB
COPY = RelocateOptions(copy=True)
HALF_WRITTEN = frozenset({".library.moved.json.partial", ".library.json.partial"})
"""What a cut may leave until the next run."""

DERIVED = frozenset({"catalog", ".lock", "library.json", "library.moved.json", "staging"})


@dataclass(frozen=True, slots=True)
class Move:
    """A library to be moved, and where to."""

    place: Place
    target: Path

    @property
    def command(self) -> list[str]:
        return command(self.place.root, "relocate", str(self.target))

    def again(self) -> RelocateReport:
        return relocate(self.place.root, self.target, settings(self.place.root), COPY)


def is_library(root: Path) -> bool:
    try:
        ModelLibrary(root, settings=settings(root)).close()
    except (LibraryMovedError, LibraryNotFoundError):
        return False
    return True


def check(move: Move, before: object) -> int:
    """What must hold after a cut, and that the next run ends it; the bytes that were there."""
    root, target = move.place.root, move.target
    assert tree(root, without=DERIVED | HALF_WRITTEN) == before, "the old folder has changed"
    assert not (is_library(root) and is_library(target)), "two folders are the library"
    report = move.again()
    assert report.switched
    assert tree(target, without=DERIVED) == before
    assert tree(root, without=DERIVED) == before
    assert (is_library(root), is_library(target)) == (False, True)
    assert list((target / "staging").iterdir()) == []
    assert not (target / ".relocating.json").exists()
    with ModelLibrary(target, settings=settings(target)) as library:
        found = library.verify()
        assert found.ok == found.checked > 0
        assert library.undo().command == "remove"
    if report.how == "copied":
        assert report.copied_bytes + report.kept_bytes == sum_of_files(root)
    return report.kept_bytes


def sum_of_files(root: Path) -> int:
    folders = (root / "models", root / "trash")
    every = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    trash = set((root / "trash").glob("*/*.json"))
    return sum(path.stat().st_size for path in every if path not in trash)


def points_of(calls: dict[str, int], limit: int) -> list[tuple[str, int]]:
    """Evenly over all calls of all kinds; the first and last of each kind are among them."""
    every = [(call, nth) for call, count in sorted(calls.items()) for nth in range(1, count + 1)]
    step = max(1.0, len(every) / limit)
    chosen = {every[int(number * step)] for number in range(int(len(every) / step))}
    return sorted(chosen | {(call, 1) for call in calls} | set(calls.items()))


def new_move(places: Places, folder: Path, name: str) -> Move:
    return Move(places.new(f"{name}-old"), folder / f"{name}-new")


def drop(places: Places, move: Move) -> None:
    places.drop(move.place)
    for folder, _, _ in os.walk(move.target):
        Path(folder).chmod(0o755)
    shutil.rmtree(move.target, ignore_errors=True)


@pytest.mark.slow
def test_killed_at_every_call(memory: Path) -> None:
    require_strace()
    places = Places(memory, removed, big_bytes=BIG_BYTES)
    counted = new_move(places, memory, "counted")
    before = tree(counted.place.root, without=DERIVED)
    run = trace(counted.command, calls=CALLS)
    assert run.exit_code == 0, run.stdout + run.stderr
    drop(places, counted)
    points = points_of(dict(run.calls), POINTS)

    def kill(point: tuple[str, int]) -> tuple[bool, int]:
        call, nth = point
        move = new_move(places, memory, f"{call}-{nth}")
        killed = kill_at(move.command, call, nth)
        kept = check(move, before)
        drop(places, move)
        return killed.exit_code == -signal.SIGKILL, kept

    wrong, came, kept = [], 0, []
    with ThreadPoolExecutor(2) as pool:
        tried = [pool.submit(kill, point) for point in points]
    for point, future in zip(points, tried, strict=True):
        if (error := future.exception()) is not None:
            wrong.append(f"{point}: {type(error).__name__}: {error}")
        else:
            was_killed, kept_bytes = future.result()
            came += was_killed
            kept.append(kept_bytes)
    assert not wrong, f"{len(wrong)} of {len(points)} points:\n" + "\n".join(wrong[:10])
    assert came >= len(points) * 0.9
    # Late kills leave nearly everything, early ones nothing.
    assert min(kept) == 0
    assert max(kept) > BIG_BYTES


@pytest.mark.parametrize(
    ("call", "error"), [("fsync", "EIO"), ("write", "ENOSPC"), ("renameat2", "EIO")]
)
@pytest.mark.parametrize("nth", [1, 2, 4])
def test_a_disk_that_fails(memory: Path, call: str, error: str, nth: int) -> None:
    require_strace()
    places = Places(memory, removed, big_bytes=MIB)
    move = new_move(places, memory, "failed")
    before = tree(move.place.root, without=DERIVED)
    run = fail_at(move.command, call, nth, error)
    # A failure may also be of something that can fail without harm, such as the catalog's lock.
    assert run.exit_code in (0, 1)
    if run.exit_code == 1:
        assert errno.errorcode.get(getattr(errno, error)) in run.stdout or "library" in run.stdout
    check(move, before)
