"""Adoptions and hard links killed at every call that changes the disk, and with calls that fail.

The files are the user's own, and most of them are nowhere else: whatever happens, each stands under
its name with its bytes and permissions, and the next run finishes or takes back what was begun.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelcellar import ModelLibrary
from tests.support import worker
from tests.support.filesystems import Mounts
from tests.support.models import write_safetensors, write_transformers_folder
from tests.support.strace import CHANGING_CALLS, kill_at, require_strace, trace
from tests.support.trees import TreeEntry, tree

CALLS = (*CHANGING_CALLS, "chmod", "ioctl", "fchown", "chown", "setxattr")
KILLED = -signal.SIGKILL
MOST_POINTS = 16
LAST_CALLS = 12
"""Before those that share data Python asks of each file that it opens whether it is a terminal."""
FAULTS = (
    ("link", "EIO"),
    ("renameat2", "EIO"),
    ("rename", "EIO"),
    ("unlink", "EIO"),
    ("fsync", "EIO"),
    ("mkdir", "ENOSPC"),
    ("write", "ENOSPC"),
    ("chmod", "EIO"),
    ("utimensat", "EIO"),
    ("ioctl", "EIO"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A library, a collection of the user's, and a state folder, all of one test's own."""

    top: Path
    before: Mapping[bytes, TreeEntry]

    @property
    def root(self) -> Path:
        return self.top / "library"

    @property
    def folder(self) -> Path:
        return self.top / "models"

    @property
    def env(self) -> dict[str, str]:
        return {"XDG_STATE_HOME": str(self.top / "state")}

    def act(self, action: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            worker.command(self.root, action, *arguments),
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=False,
        )

    def check_user(self) -> None:
        """Every file of the user stands under its name, as it was."""
        now = tree(self.folder)
        changed = [path for path, entry in self.before.items() if now.get(path) != entry]
        # A hard link to another file has that file's permissions.
        changed = [path for path in changed if now[path][2] != self.before[path][2]]
        assert not changed, f"changed: {changed}"

    def check_all_is_back(self) -> None:
        """Nothing is left of anything that was done."""
        for _ in range(20):
            done = self.act("undo")
            if "nothing_to_undo" in done.stdout:
                break
            assert done.returncode == 0, done.stdout + done.stderr
        assert tree(self.folder) == self.before
        names = [path for path in self.folder.rglob("*") if path.is_file()]
        assert len({path.stat().st_ino for path in names}) == len(names)


def make_place(top: Path) -> Place:
    folder = top / "models"
    a = write_safetensors(folder / "a.safetensors", seed=1, size_bytes=20_000)
    for name in ("b.safetensors", "sub/c.safetensors"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(a, folder / name)
    (folder / "b.safetensors").chmod(0o640)
    os.utime(a, (1, 1))
    write_safetensors(folder / "other.safetensors", seed=2, size_bytes=20_000)
    write_transformers_folder(folder / "text", seed=3)
    ModelLibrary.create(top / "library", settings=worker.settings(top / "library")).close()
    return Place(top, tree(folder))


def nothing(_: Place) -> None:
    return


def adopted(place: Place) -> None:
    assert place.act("adopt", place.folder).returncode == 0


def linked(place: Place) -> None:
    assert place.act("dedupe", "hardlink", place.folder).returncode == 0


def check_adopted(place: Place) -> None:
    place.check_user()
    done = place.act("adopt", place.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    with ModelLibrary(place.root, settings=worker.settings(place.root)) as library:
        models = library.list_models().models
        ours = [library.file_path(model, file) for model in models for file in model.files]
        assert library.rebuild().problems == ()
        assert library.verify().ok == len(models) == 5
    assert list((place.root / "staging").iterdir()) == []
    theirs = {path.stat().st_ino for path in place.folder.rglob("*") if path.is_file()}
    assert {path.stat().st_ino for path in ours} == theirs
    place.check_user()
    place.check_all_is_back()


def check_linked(place: Place) -> None:
    place.check_user()
    done = place.act("dedupe", "hardlink", place.folder)
    assert done.returncode == 0, done.stdout + done.stderr
    place.check_user()
    assert not list(place.folder.rglob(".modelcellar-*"))
    names = ("a.safetensors", "b.safetensors", "sub/c.safetensors")
    assert len({(place.folder / name).stat().st_ino for name in names}) == 1
    place.check_all_is_back()


def check_back(place: Place) -> None:
    place.check_user()
    place.check_all_is_back()


@dataclass(frozen=True, slots=True)
class Scenario:
    begin: Callable[[Place], None]
    action: tuple[str, ...]
    check: Callable[[Place], None]
    is_about_folder: bool = True

    def command(self, place: Place) -> list[str]:
        arguments = [*self.action[1:], *([place.folder] if self.is_about_folder else [])]
        return worker.command(place.root, self.action[0], *arguments)


SCENARIOS = {
    "adopt": Scenario(nothing, ("adopt",), check_adopted),
    "undo an adoption": Scenario(adopted, ("undo",), check_back, is_about_folder=False),
    "dedupe": Scenario(nothing, ("dedupe", "hardlink"), check_linked),
    "undo dedupe": Scenario(linked, ("undo",), check_back, is_about_folder=False),
}


def all_points(scenario: Scenario, top: Path) -> list[tuple[str, int]]:
    place = make_place(top / "counted")
    scenario.begin(place)
    run = trace(scenario.command(place), calls=CALLS, env=place.env)
    assert run.exit_code == 0, run.stdout + run.stderr
    points = [
        (call, nth) for call, count in sorted(run.calls.items()) for nth in range(1, count + 1)
    ]
    if len(points) <= MOST_POINTS:
        return points
    step = len(points) / MOST_POINTS
    rare = {(call, nth) for call, nth in points if call in ("link", "renameat2")}
    return sorted(rare | {points[int(number * step)] for number in range(MOST_POINTS)})


def check_each(points: list[tuple[str, int]], one: Callable[[tuple[str, int]], None]) -> None:
    with ThreadPoolExecutor(2) as pool:
        tried = [(point, pool.submit(one, point)) for point in points]
    wrong = [f"{p}: {error}" for p, future in tried if (error := future.exception()) is not None]
    assert not wrong, f"{len(wrong)} of {len(points)}:\n" + "\n".join(wrong[:8])


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_every_call(name: str, memory: Path) -> None:
    require_strace()
    scenario = SCENARIOS[name]
    kills: list[int] = []

    def kill(point: tuple[str, int]) -> None:
        call, nth = point
        place = make_place(memory / f"{call}-{nth}")
        scenario.begin(place)
        run = kill_at(scenario.command(place), call, nth, env=place.env)
        kills.append(run.exit_code == KILLED)
        scenario.check(place)

    points = all_points(scenario, memory)
    check_each(points, kill)
    assert sum(kills) >= len(points) * 0.9 >= 10


@pytest.mark.parametrize("name", SCENARIOS)
def test_with_a_call_that_fails(name: str, memory: Path) -> None:
    require_strace()
    scenario = SCENARIOS[name]
    counted = dict.fromkeys(call for call, _ in FAULTS)
    most = dict.fromkeys(counted, 0)
    for call, nth in all_points(scenario, memory):
        most[call] = max(most.get(call, 0), nth)

    def fail(point: tuple[str, int]) -> None:
        number, nth = int(point[0]), point[1]
        call, error = FAULTS[number]
        place = make_place(memory / f"{call}-{error}-{nth}")
        scenario.begin(place)
        inject = f"{call}:error={error}:when={nth}"
        done = trace(scenario.command(place), calls=[call], inject=inject, env=place.env)
        assert "Traceback" not in done.stderr, done.stderr
        scenario.check(place)

    points = [
        (str(number), nth)
        for number, (call, _) in enumerate(FAULTS)
        for nth in sorted({1, 2, 3, most[call] // 2, most[call]})
        if 0 < nth <= most[call]
    ]
    check_each(points, fail)


def last_ioctls(top: Path, *action: str) -> tuple[int, ...]:
    """The last calls of an action that share data or ask where it lies."""
    place = make_place(top / "counted")
    command = worker.command(place.root, *action, place.folder)
    count = trace(command, calls=["ioctl"], env=place.env).calls["ioctl"]
    return tuple(range(max(1, count - LAST_CALLS), count + 1))


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_sharing_killed_and_failing(kind: str, mounts: Mounts) -> None:
    """In place: there is never anything to take back."""
    require_strace()
    top = mounts.make(kind).path
    for nth in last_ioctls(top, "dedupe", "reflink"):
        for inject in ("signal=SIGKILL", "error=EIO", "error=EINVAL"):
            place = make_place(top / f"{nth}-{inject}")
            command = worker.command(place.root, "dedupe", "reflink", place.folder)
            trace(command, calls=["ioctl"], inject=f"ioctl:{inject}:when={nth}", env=place.env)
            assert tree(place.folder) == place.before
            done = place.act("dedupe", "reflink", place.folder)
            assert done.returncode == 0
            assert tree(place.folder) == place.before


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_adoption_by_clones_killed_and_failing(kind: str, mounts: Mounts) -> None:
    require_strace()
    top = mounts.make(kind).path
    for nth in last_ioctls(top, "adopt"):
        for inject in ("signal=SIGKILL", "error=EIO"):
            place = make_place(top / f"{nth}-{inject}")
            command = worker.command(place.root, "adopt", place.folder)
            trace(command, calls=["ioctl"], inject=f"ioctl:{inject}:when={nth}", env=place.env)
            assert tree(place.folder) == place.before
            assert place.act("adopt", place.folder).returncode == 0
            with ModelLibrary(place.root, settings=worker.settings(place.root)) as library:
                assert library.verify().ok == library.list_models().total == 5
                assert library.rebuild().problems == ()
            assert tree(place.folder) == place.before
