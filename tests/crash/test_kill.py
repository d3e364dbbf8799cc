"""``kill -9`` at every call that changes the disk, and at random moments.

Each scenario is run once under strace to count its calls; then it is run again for each of them
and killed there. What is left must pass a check, which ends by finishing what was begun.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from modelcellar import ModelLibrary
from modelcellar.errors import NothingToUndoError
from tests.support.filesystems import MIB
from tests.support.invariants import (
    check_catalog,
    check_files,
    check_library,
    check_originals,
)
from tests.support.places import Place, Places, imported, moved, nothing, removed
from tests.support.strace import CHANGING_CALLS, kill_at, require_strace, trace
from tests.support.worker import settings

CALLS = (*CHANGING_CALLS, "chmod", "flock", "openat")
AT_ONCE = 2
TIMED_KILLS = 30
BIG_BYTES = 9 * MIB
"""More than the size from which a copy goes its own way to the disk."""

Point = tuple[str, int]


# What a scenario begins with.


def not_a_library(place: Place) -> None:
    shutil.rmtree(place.root)


def one_model_lost(place: Place) -> None:
    """The files of a model went away behind the library's back."""
    imported(place)
    with place.open() as library:
        path = place.root / "models" / library.get("big").id
    path.chmod(0o755)
    shutil.rmtree(path)


def killed_import(call: str, nth: int, place: Place) -> None:
    """Another import was killed, so the scenario begins with its recovery."""
    assert kill_at(place.command("import"), call, nth).exit_code == -signal.SIGKILL


# What must hold after a kill.


def check_imported(place: Place) -> None:
    check_library(place.root, [place.batch])


def check_moved(place: Place) -> None:
    check_library(place.root, [place.batch], moved=True)


def check_removed(place: Place) -> None:
    place.check_kept()
    check_catalog(place.root)
    with place.open() as library:
        library.rebuild()
        assert list((place.root / "staging").iterdir()) == []
        published = check_files(place.root)
        assert {path.name for path in (place.root / "models").iterdir()} == set(published)
        if published.values() != place.batch.models:
            library.undo()
    place.check_kept()
    assert check_files(place.root).values() == place.batch.models
    check_imported(place)


def check_purged(place: Place) -> None:
    check_originals(place.root, [place.batch])
    check_catalog(place.root)
    with place.open() as library:
        with suppress(NothingToUndoError):
            library.undo()
        check_files(place.root)  # what came back has come back whole
        library.purge()
        assert list((place.root / "trash").iterdir()) == []
    check_imported(place)


def check_undone_import(place: Place) -> None:
    place.check_kept()
    check_catalog(place.root)
    with place.open() as library:
        while check_files(place.root):
            library.undo()
    place.check_kept()
    check_imported(place)


def check_undone_move(place: Place) -> None:
    check_originals(place.root, [place.batch], moved=True)
    check_catalog(place.root)
    with place.open() as library:
        try:
            library.undo()
        except NothingToUndoError:
            assert not check_files(place.root)
    check_originals(place.root, [place.batch])
    place.check_kept()
    for litter in place.batch.folder.rglob(".modelcellar-*.partial"):
        # The copy that was being put back when the process died; not yet under a name of the user.
        litter.unlink()
    check_imported(place)


def check_repaired(place: Place) -> None:
    check_originals(place.root, [place.batch])
    imported(place)
    check_imported(place)


def check_created(place: Place) -> None:
    ModelLibrary.create(place.root, settings=settings(place.root)).close()
    check_imported(place)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A change to kill. ``points`` is how many of its calls are tried, evenly spread."""

    action: str
    begin: Callable[[Place], object]
    check: Callable[[Place], object]
    points: int
    big_bytes: int = MIB


SCENARIOS = {
    "create": Scenario("create", not_a_library, check_created, 12),
    "move": Scenario("move", nothing, check_moved, 50, BIG_BYTES),
    "remove": Scenario("remove", imported, check_removed, 30),
    "undo a removal": Scenario("undo", removed, check_removed, 30),
    "undo an import": Scenario("undo", imported, check_undone_import, 30),
    "undo a move": Scenario("undo", moved, check_undone_move, 30),
    "purge": Scenario("purge", removed, check_purged, 20),
    "edit": Scenario("edit", imported, check_imported, 25),
    "verify": Scenario("verify", imported, check_imported, 12),
    "rebuild": Scenario("rebuild", imported, check_imported, 12),
    "repair": Scenario("import", one_model_lost, check_repaired, 25),
    "recovery of copies": Scenario(
        "import", partial(killed_import, "utimensat", 3), check_imported, 15
    ),
    "recovery of content": Scenario(
        "import", partial(killed_import, "renameat2", 3), check_imported, 20
    ),
    "recovery of manifests": Scenario(
        "import", partial(killed_import, "renameat2", 9), check_imported, 20
    ),
}


def places_for(folder: Path, scenario: Scenario) -> Places:
    """Places to kill the scenario in."""
    own = scenario.action == "move" or scenario.begin is moved
    return Places(folder, scenario.begin, big_bytes=scenario.big_bytes, own_originals=own)


def count_calls(places: Places, action: str) -> Mapping[str, int]:
    """How often each call is made by the action, once what a user's first run makes is there."""
    for name in ("warmed-up", "counted"):
        place = places.new(name)
        run = trace(place.command(action), calls=CALLS)
        assert run.exit_code == 0, run.stdout + run.stderr
        places.drop(place)
    return run.calls


def spread(calls: Mapping[str, int], opened_at_start: int, limit: int) -> list[Point]:
    """Points evenly over all calls of all kinds; the first of each kind is always among them."""
    points = [
        (call, nth)
        for call, count in sorted(calls.items())
        for nth in range(opened_at_start + 1 if call == "openat" else 1, count + 1)
    ]
    step = max(1.0, len(points) / limit)
    chosen = {points[int(number * step)] for number in range(int(len(points) / step))}
    first = {(call, 1) for call in calls if call != "openat"}
    return sorted(chosen | first)


def kill_and_check(places: Places, scenario: Scenario, point: Point) -> bool:
    """Whether the kill came; fails where the check does."""
    call, nth = point
    place = places.new(f"{call}-{nth}")
    run = kill_at(place.command(scenario.action), call, nth)
    scenario.check(place)
    places.drop(place)
    return run.exit_code == -signal.SIGKILL


def check_all(kill: Callable[[Point], bool], points: Sequence[Point]) -> int:
    """Try every point, report all that went wrong at once; how many kills came."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tried = [pool.submit(kill, point) for point in points]
    wrong = [
        f"killed at {call} {nth}: {type(error).__name__}: {error}"
        for (call, nth), future in zip(points, tried, strict=True)
        if (error := future.exception()) is not None
    ]
    assert not wrong, f"{len(wrong)} of {len(points)} points:\n" + "\n".join(wrong[:10])
    return sum(future.result() for future in tried)


def kill_at_calls(folder: Path, scenario: Scenario) -> int:
    """Kill the scenario at its calls; how many kills came."""
    require_strace()
    places = places_for(folder, scenario)
    start = trace(places.new("started").command("list"), calls=CALLS)
    calls = count_calls(places, scenario.action)
    points = spread(calls, start.calls.get("openat", 0), scenario.points)
    came = check_all(partial(kill_and_check, places, scenario), points)
    # Threads and SQLite do not make exactly the same calls each time.
    assert came >= len(points) * 0.9
    return came


def test_import_killed_at_every_call(memory: Path) -> None:
    assert kill_at_calls(memory, Scenario("import", nothing, check_imported, 240, BIG_BYTES)) >= 200


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed(name: str, memory: Path) -> None:
    assert kill_at_calls(memory, SCENARIOS[name]) >= 10


def test_import_killed_at_random_moments(tmp_path: Path) -> None:
    """On the disk itself, where calls take their time; the only kills where strace is missing."""
    places = Places(tmp_path, nothing, big_bytes=BIG_BYTES)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    started_s = wall_s(places.new("started").command("list"), environment)
    whole_s = wall_s(places.new("whole").command("import"), environment)
    moments = random.Random(9)

    def kill(point: Point) -> bool:
        place = places.new(f"timed-{point[1]}")
        with subprocess.Popen(
            place.command("import"), stdout=subprocess.DEVNULL, env=environment
        ) as process:
            time.sleep(moments.uniform(started_s / 2, whole_s * 1.1))
            process.kill()
        check_imported(place)
        places.drop(place)
        return process.returncode == -signal.SIGKILL

    check_all(kill, [("moment", number) for number in range(TIMED_KILLS)])


def wall_s(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """How long a process takes from start to end."""
    began = time.monotonic()
    subprocess.run(arguments, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began
