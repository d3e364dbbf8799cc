"""Which files are read together, in what order and by how many streams."""

import itertools
import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from modelcellar.io import hashing
from modelcellar.io.manager import MEASURED_FROM_BYTES, UNKNOWN_STREAMS, IoManager, Plan
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

    def __call__(self, path: Path, *, overrides: Sequence[DriveOverride] = ()) -> Drive:
        del overrides
        self.asked.append(path)
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
        ((UNKNOWN, "vda", 1), None, UNKNOWN_STREAMS, False),
        ((UNKNOWN, "vda", 1), (UNKNOWN, "vda", 1), UNKNOWN_STREAMS, False),
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


def test_little_work_is_not_worth_a_look_at_the_drive(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"x")
    drives = Drives()
    assert plans(drives, [path], tmp_path) == [Plan((0,), 0)]
    assert drives.asked == []


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
