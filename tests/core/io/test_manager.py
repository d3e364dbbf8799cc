"""Which files are read together, in what order and by how many streams."""

import functools
import itertools
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from modelcellar.io import hashing
from modelcellar.io import manager as manager_module
from modelcellar.io.manager import MEASURED_FROM_BYTES, IoManager
from modelcellar.io.plans import Plan
from modelcellar.io.tokens import Tokens
from modelcellar.records import (
    Confidence,
    CopyJob,
    Drive,
    DriveKind,
    DriveOverride,
    HashedFile,
)

SSD, HDD, UNKNOWN = DriveKind.SSD, DriveKind.HDD, DriveKind.UNKNOWN


class Drives:
    """Answers for folders as if each were a drive; counts how often it is asked."""

    def __init__(self, **by_name: tuple[DriveKind, str, int]) -> None:
        self.by_name = by_name
        self.asked: list[Path] = []

    def __call__(
        self,
        path: Path,
        *,
        overrides: Sequence[DriveOverride] = (),
        prober: object = "measures",
    ) -> Drive:
        del overrides
        self.asked += [path] if prober is not None else []
        kind, device, files = next(
            self.by_name[part] for part in reversed(path.parts) if part in self.by_name
        )
        return Drive(os.fspath(path), kind, Confidence.CERTAIN, (device,), "told", files)


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """A large and a few small files, on one file system."""
    folder = tmp_path / "from"
    folder.mkdir()
    paths = []
    for number in range(5):
        path = folder / f"{4 - number}"
        path.write_bytes(random.Random(number).randbytes(1000 + number))
        paths.append(path)
    os.truncate(paths[2], MEASURED_FROM_BYTES)
    return paths


def plans(drives: Drives, sources: Sequence[Path], target: Path | None) -> list[Plan]:
    return list(IoManager(drive_of=drives).plan(sources, target))


@pytest.mark.parametrize(
    ("source", "target", "streams", "alternate"),
    [
        ((SSD, "nvme0n1", 8), None, 0, False),
        ((SSD, "nvme0n1", 8), (SSD, "nvme0n1", 8), 0, False),
        ((SSD, "mmcblk0", 1), None, 1, False),
        ((SSD, "nvme0n1", 8), (HDD, "sda", 1), 1, False),
        ((HDD, "sda", 1), (SSD, "nvme0n1", 8), 1, False),
        ((HDD, "sda", 1), (HDD, "sdb", 1), 1, False),
        ((HDD, "sda", 1), (HDD, "sda", 1), 1, True),
        ((HDD, "md0", 2), None, 2, False),
        ((HDD, "md0", 2), (HDD, "md1", 2), 1, False),
        ((SSD, "nvme0n1", 8), (HDD, "md1", 2), 1, False),
        ((UNKNOWN, "vda", 1), None, 1, False),
        ((UNKNOWN, "vda", 1), (UNKNOWN, "vda", 1), 1, False),
        ((UNKNOWN, "md0", 4), (SSD, "nvme0n1", 8), 4, False),
    ],
)
def test_streams_by_drive(
    source: tuple[DriveKind, str, int],
    target: tuple[DriveKind, str, int] | None,
    streams: int,
    alternate: bool,
    sources: list[Path],
    tmp_path: Path,
) -> None:
    # One st_dev is asked for once, so the target must be another file system to be another drive.
    to = Path("/dev/shm") if target is not None and target[1] != source[1] else None
    if target is not None and target[1] == source[1]:
        to = tmp_path
    if to is not None and to != tmp_path and to.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs /dev/shm to be a file system of its own")
    drives = Drives(**{"from": source, tmp_path.name: source, "shm": target or source})
    [plan] = plans(drives, sources, to)
    assert (plan.streams, plan.alternate) == (streams, alternate)
    assert sorted(plan.order) == list(range(len(sources)))


def test_a_disk_that_seeks_is_read_in_the_order_of_the_disk(sources: list[Path]) -> None:
    def place(number: int) -> tuple[int, int]:
        path = sources[number]
        return hashing.first_extent(path) or 0, path.stat().st_ino

    [plan] = plans(Drives(**{"from": (HDD, "sda", 1)}), sources, None)
    assert list(plan.order) == sorted(range(len(sources)), key=place)
    [plan] = plans(Drives(**{"from": (SSD, "sda", 1)}), sources, None)
    assert plan.order == tuple(range(len(sources)))


def test_little_work_is_not_worth_measuring_the_drive(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"x")
    drives = Drives(**{tmp_path.name: (UNKNOWN, "a", 1)})
    assert plans(drives, [path], tmp_path) == [Plan((0,), 0)]
    assert drives.asked == []


def test_little_work_on_a_drive_that_seeks_is_done_in_its_order(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "ab"]
    for path in paths:
        path.write_bytes(b"x")
    (plan,) = plans(Drives(**{tmp_path.name: (HDD, "a", 1)}), paths, tmp_path)
    assert (plan.streams, plan.alternate, set(plan.shares)) == (1, True, {"a"})


def test_a_drive_is_asked_for_once(sources: list[Path], tmp_path: Path) -> None:
    drives = Drives(**{"from": (SSD, "a", 4), tmp_path.name: (SSD, "a", 4)})
    manager = IoManager(drive_of=drives)
    for _ in range(3):
        list(manager.plan(sources, tmp_path))
    # The largest file is what an unknown drive is measured with.
    assert len(drives.asked) == 1


def test_two_file_systems_on_one_disk_are_one_queue(sources: list[Path], tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs /dev/shm to be a file system of its own")
    there = other / f"modelcellar-test-{os.getpid()}"
    there.write_bytes(b"")
    os.truncate(there, MEASURED_FROM_BYTES)
    try:
        one = Drives(**{"from": (HDD, "sda", 1), "shm": (HDD, "sda", 1)})
        assert [len(plan.order) for plan in plans(one, [*sources, there], None)] == [6]
        two = Drives(**{"from": (HDD, "sda", 1), "shm": (HDD, "sdb", 1)})
        found = plans(two, [*sources, there], None)
        assert [len(plan.order) for plan in found] == [5, 1]
        assert sorted(itertools.chain(*(plan.order for plan in found))) == list(range(6))
    finally:
        there.unlink()


@pytest.mark.parametrize("kind", [SSD, HDD, UNKNOWN])
def test_results_and_callbacks_keep_the_numbers_of_the_caller(
    kind: DriveKind, sources: list[Path], tmp_path: Path
) -> None:
    target = tmp_path / "to"
    target.mkdir()
    drives = Drives(**{"from": (kind, "sda", 1), "to": (kind, "sda", 1)})
    manager = IoManager(drive_of=drives)
    missing = [*sources, tmp_path / "from" / "missing"]
    told: dict[int, HashedFile | OSError] = {}
    steps: list[tuple[int, int]] = []
    jobs = [CopyJob(path, target / f"copy-{number}") for number, path in enumerate(missing)]
    results = manager.copy_many(
        jobs, on_done=told.__setitem__, progress=lambda *of: steps.append(of)
    )
    assert [told[number] for number in range(len(jobs))] == results
    assert steps[-1][0] == steps[-1][1]
    for job, result in zip(jobs[:-1], results, strict=False):
        assert isinstance(result, HashedFile)
        assert result.path == os.fspath(job.source)
        assert result.digests == hashing.hash_file(job.target).digests
    assert isinstance(results[-1], FileNotFoundError)
    hashed = manager.hash_many(missing)
    assert [getattr(one, "digests", None) for one in hashed] == [
        getattr(one, "digests", None) for one in results
    ]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    folder = Path("/dev/shm") / f"modelcellar-test-{os.getpid()}"
    if not folder.parent.exists() or folder.parent.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs /dev/shm to be a file system of its own")
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def on_two_disks(sources: list[Path], elsewhere: Path) -> list[Path]:
    there = elsewhere / "there"
    there.write_bytes(b"there")
    os.truncate(there, MEASURED_FROM_BYTES)
    return [*sources, there]


class Engine:
    """The engine, and how many calls of it run at the same time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lock = threading.Lock()
        self.meet: threading.Barrier | None = None
        self.running = self.most = 0
        self.streams: list[int] = []
        for name in ("hash_many", "copy_many"):
            real = getattr(hashing, name)
            monkeypatch.setattr(hashing, name, functools.partial(self.watched, real))

    def watched(self, real: Callable[..., object], *args: object, **how: Any) -> object:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.streams.append(how["streams"])
        try:
            if self.meet is not None:
                self.meet.wait(10)
            return real(*args, **how)
        finally:
            with self.lock:
                self.running -= 1


@pytest.mark.parametrize("count", [1, 2])
def test_a_callback_that_asks_for_more_is_told_that_it_would_wait_for_itself(
    tmp_path: Path, count: int
) -> None:
    places = {name: (SSD, name, 1) for name in ("one", "two")}
    paths = [tmp_path / name / "file" for name in list(places)[:count]]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(b"x")
    manager = IoManager(drive_of=Drives(**places), tokens=Tokens())

    def more(_number: int, _result: object) -> None:
        IoManager(drive_of=manager.drive_of, tokens=manager.tokens).hash_many(paths)

    with pytest.raises(RuntimeError, match="wait for itself"):
        manager.hash_many(paths, on_done=more)
    assert len(manager.hash_many(paths)) == count


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    return Engine(monkeypatch)


def test_two_disks_work_at_the_same_time(on_two_disks: list[Path], engine: Engine) -> None:
    drives = Drives(**{"from": (HDD, "sda", 1), "shm": (HDD, "sdb", 1)})
    engine.meet = threading.Barrier(2)
    steps: list[tuple[int, int]] = []
    here = threading.get_ident()
    threads: set[int] = set()

    def progress(*step: int) -> None:
        threads.add(threading.get_ident())
        steps.append(step)  # type: ignore[arg-type]

    told: dict[int, HashedFile | OSError] = {}
    manager = IoManager(drive_of=drives)
    results = manager.hash_many(on_two_disks, on_done=told.__setitem__, progress=progress)
    assert engine.most == 2
    assert results == [told[number] for number in range(6)]
    engine.meet = None
    wanted = [hashing.hash_file(path).digests for path in on_two_disks]
    assert [one.digests for one in results if isinstance(one, HashedFile)] == wanted
    # The caller need not know that there were threads.
    assert threads == {here}
    total = sum(path.stat().st_size for path in on_two_disks)
    assert steps[-1] == (total, total)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_two_disks_wait_for_each_other_where_they_are_written_to_one_that_seeks(
    on_two_disks: list[Path], tmp_path: Path, engine: Engine
) -> None:
    # One st_dev is asked for once, and one source lies with the target here.
    target = tmp_path / "to"
    target.mkdir()
    seeks = (HDD, "sda", 1)
    drives = Drives(**{"from": seeks, "to": seeks, "shm": (SSD, "sdb", 4)})
    manager = IoManager(drive_of=drives)
    jobs = [CopyJob(path, target / str(at)) for at, path in enumerate(on_two_disks)]
    assert all(isinstance(one, HashedFile) for one in manager.copy_many(jobs))
    assert engine.most == 1
    assert len(engine.streams) == 2


def test_the_jobs_of_others_are_waited_for(on_two_disks: list[Path]) -> None:
    tokens = Tokens()
    manager = IoManager(drive_of=Drives(**{"from": (HDD, "sda", 1), "shm": (SSD, "sdb", 4)}))
    manager.tokens = tokens
    done = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with tokens.hold({"sda": Fraction(1)}):
            told: list[int] = []

            def tell(number: int, _result: object) -> None:
                told.append(number)
                done.set()

            running = pool.submit(manager.hash_many, on_two_disks, on_done=tell)
            assert done.wait(10)
            assert told == [5]
        assert len(running.result(10)) == 6
    assert sorted(told) == list(range(6))


def test_a_callback_that_raises_ends_the_work_on_all_disks(
    on_two_disks: list[Path], engine: Engine
) -> None:
    drives = Drives(**{"from": (HDD, "sda", 1), "shm": (HDD, "sdb", 1)})
    manager = IoManager(drive_of=drives, tokens=Tokens())

    def fail(*_: object) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        manager.hash_many(on_two_disks, progress=fail)
    assert engine.running == 0
    with manager.tokens.hold({"sda": Fraction(1), "sdb": Fraction(1)}):
        pass


CTRL_C = """
import os, signal, sys, threading, time
from pathlib import Path
from modelcellar.io.manager import IoManager
from modelcellar.records import Confidence, Drive, DriveKind

def drive_of(path, *, overrides):
    name = path.parts[1]
    return Drive(str(path), DriveKind.HDD, Confidence.CERTAIN, (name,), "told", 1)

begin = []
def interrupt():
    begin.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
timer = threading.Timer(0.3, interrupt)
timer.start()
try:
    IoManager(drive_of=drive_of).hash_many([Path(one) for one in sys.argv[1:]])
except KeyboardInterrupt:
    print(time.perf_counter() - begin[0])
"""


def test_ctrl_c_ends_the_work_on_all_disks(tmp_path: Path, elsewhere: Path) -> None:
    large = [tmp_path / "large", elsewhere / "large"]
    for path in large:
        with path.open("wb") as file:
            file.truncate(64 << 30)
    script = subprocess.run(
        [sys.executable, "-c", CTRL_C, *map(os.fspath, large)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert script.stderr == ""
    assert float(script.stdout) < 2


def test_an_unknown_drive_is_tried_out_once(
    sources: list[Path], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager_module, "SLICE_BYTES", 1000)
    manager = IoManager(drive_of=Drives(**{"from": (UNKNOWN, "vda", 1)}))
    many = sources * 8
    first = manager.hash_many(many)
    assert engine.streams[:2] == [1, 2]
    assert len(engine.streams) > 2
    wanted = [hashing.hash_file(path).digests for path in sources] * 8
    assert [one.digests for one in first if isinstance(one, HashedFile)] == wanted
    [climb] = manager._climbs.values()
    assert climb.settled
    engine.streams.clear()
    manager.hash_many(many)
    assert engine.streams == [climb.streams]
