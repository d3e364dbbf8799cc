"""What is still unknown is measured: once a device, within bounds, and never against the user."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from modelcellar.io.drives import get_drive
from modelcellar.io.probing import LOOK_AT_ENTRIES, PROBE_MIN_BYTES, Prober, find_probe_file
from modelcellar.records import Confidence, DriveKind, DriveOverride
from tests.support.filesystems import Mounts
from tests.support.machines import MadeUp

SSD, HDD, UNKNOWN = DriveKind.SSD, DriveKind.HDD, DriveKind.UNKNOWN


@dataclass
class Stopwatch:
    """A probe that answers what it is told, and notes what it was asked."""

    seconds: float | None
    asked: list[Path] = field(default_factory=list)

    def __call__(self, path: Path) -> float | None:
        self.asked.append(path)
        return self.seconds


def large(path: Path, size_bytes: int = PROBE_MIN_BYTES) -> Path:
    """A file without holes; its space is only reserved, which is quicker."""
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size_bytes)
    return path


@pytest.fixture
def made(tmp_path: Path) -> MadeUp:
    """A virtual disk, which tells nothing, with a large file on it."""
    (tmp_path / "machine").mkdir()
    made = MadeUp(tmp_path / "machine")
    made.device("vda", rotational=1)
    (tmp_path / "models").mkdir()
    made.mount(str(tmp_path), "ext4", "vda")
    return made


@pytest.mark.parametrize(
    ("seconds", "kind", "confidence", "files"),
    [
        (0.0001, SSD, Confidence.LIKELY, 4),
        (0.000699, SSD, Confidence.LIKELY, 4),
        (0.0007, UNKNOWN, Confidence.GUESS, 1),
        (0.003, UNKNOWN, Confidence.GUESS, 1),
        (0.00301, HDD, Confidence.LIKELY, 1),
    ],
)
def test_verdict(
    made: MadeUp,
    tmp_path: Path,
    seconds: float,
    kind: DriveKind,
    confidence: Confidence,
    files: int,
) -> None:
    large(tmp_path / "models" / "a")
    drive = get_drive(tmp_path, machine=made.machine, prober=Prober(Stopwatch(seconds)))
    assert (drive.kind, drive.confidence, drive.concurrency) == (kind, confidence, files)
    assert f"{seconds * 1000:.2f} ms" in drive.reason
    assert "virtio" in drive.reason


def test_once_for_each_device(made: MadeUp, tmp_path: Path) -> None:
    file = large(tmp_path / "models" / "a")
    made.device("vdb", rotational=1)
    (tmp_path / "other").mkdir()
    made.mount(str(tmp_path / "other"), "ext4", "vdb")
    large(tmp_path / "other" / "b")
    watch = Stopwatch(0.0001)
    prober = Prober(watch)
    for path in (tmp_path / "models", file, tmp_path / "models"):
        assert get_drive(path, machine=made.machine, prober=prober).kind is SSD
    assert watch.asked == [file]
    assert get_drive(tmp_path / "other", machine=made.machine, prober=prober).kind is SSD
    assert watch.asked == [file, tmp_path / "other" / "b"]


def test_what_could_not_be_measured_is_tried_again(made: MadeUp, tmp_path: Path) -> None:
    prober = Prober(watch := Stopwatch(None))
    drive = get_drive(tmp_path, machine=made.machine, prober=prober)
    assert (drive.kind, watch.asked) == (UNKNOWN, [])
    assert "nothing large enough" in drive.reason
    large(tmp_path / "models" / "a")
    drive = get_drive(tmp_path, machine=made.machine, prober=prober)
    assert (drive.kind, len(watch.asked)) == (UNKNOWN, 1)
    assert "cannot be measured" in drive.reason
    watch.seconds = 0.02
    assert get_drive(tmp_path, machine=made.machine, prober=prober).kind is HDD


def test_file_that_fails_to_be_read(made: MadeUp, tmp_path: Path) -> None:
    def failing(path: Path) -> float:
        raise PermissionError(13, "Permission denied", str(path))

    large(tmp_path / "models" / "a")
    assert get_drive(tmp_path, machine=made.machine, prober=Prober(failing)).kind is UNKNOWN


def test_weak_flag_is_measured_and_a_strong_one_is_not(made: MadeUp, tmp_path: Path) -> None:
    watch = Stopwatch(0.009)
    for name, flag, kind in (("vdc", 0, HDD), ("nvme0n1", 0, SSD), ("mmcblk0", 0, SSD)):
        folder = tmp_path / name
        folder.mkdir()
        large(folder / "a")
        made.device(name, rotational=flag)
        made.mount(str(folder), "ext4", name)
        assert get_drive(folder, machine=made.machine, prober=Prober(watch)).kind is kind
    assert watch.asked == [tmp_path / "vdc" / "a"]


@pytest.mark.parametrize("fs_type", ["nfs4", "fuse.mergerfs", "zfs"])
def test_never_measured(made: MadeUp, tmp_path: Path, fs_type: str) -> None:
    folder = tmp_path / "far"
    folder.mkdir()
    large(folder / "a")
    made.mount(str(folder), fs_type, source="x")
    watch = Stopwatch(0.0001)
    assert get_drive(folder, machine=made.machine, prober=Prober(watch)).kind is UNKNOWN
    assert watch.asked == []


def test_a_cache_before_a_disk_is_not_measured(made: MadeUp, tmp_path: Path) -> None:
    made.device("vdd", rotational=1)
    made.device("bcache0", on=("vda", "vdd"))
    folder = tmp_path / "cached"
    folder.mkdir()
    large(folder / "a")
    made.mount(str(folder), "ext4", "bcache0")
    watch = Stopwatch(0.0001)
    assert get_drive(folder, machine=made.machine, prober=Prober(watch)).kind is UNKNOWN
    assert watch.asked == []


def test_the_users_word_spares_the_measurement(made: MadeUp, tmp_path: Path) -> None:
    large(tmp_path / "models" / "a")
    watch = Stopwatch(0.0001)
    for place in (str(tmp_path), "vda"):
        words = [DriveOverride(place, HDD)]
        machine, prober = made.machine, Prober(watch)
        assert get_drive(tmp_path, overrides=words, machine=machine, prober=prober).kind is HDD
    assert watch.asked == []


def test_probe_file_is_the_nearest_good_one(tmp_path: Path) -> None:
    assert find_probe_file(tmp_path) is None
    (tmp_path / "a" / "b" / "c" / "d" / "e").mkdir(parents=True)
    large(tmp_path / "a" / "small", PROBE_MIN_BYTES - 1)
    with (tmp_path / "a" / "holes").open("wb") as file:
        file.truncate(PROBE_MIN_BYTES)
    too_deep = large(tmp_path / "a/b/c/d/e/deep")
    (tmp_path / "link").symlink_to(too_deep)
    (tmp_path / "folder").symlink_to(too_deep.parent)
    assert find_probe_file(tmp_path) is None
    assert find_probe_file(tmp_path / "a" / "small") is None
    assert find_probe_file(too_deep) == too_deep
    assert find_probe_file(tmp_path / "nothing") is None
    good = large(tmp_path / "a/b/c/good")
    assert find_probe_file(tmp_path) == good
    nearer = large(tmp_path / "a/b/nearer")
    assert find_probe_file(tmp_path) == nearer


def test_the_search_is_bounded(tmp_path: Path) -> None:
    for number in range(LOOK_AT_ENTRIES):
        (tmp_path / f"{number}").mkdir()
    large(tmp_path / "0" / "a")
    assert find_probe_file(tmp_path) is None


def test_the_search_stays_on_its_file_system(mounts: Mounts, tmp_path: Path) -> None:
    memory = mounts.tmpfs(2 * PROBE_MIN_BYTES)
    large(memory / "a")
    assert find_probe_file(tmp_path) is None
    assert find_probe_file(memory) == memory / "a"


def test_a_real_disk_image_in_memory_is_fast(mounts: Mounts) -> None:
    volume = mounts.make("ext4")
    (volume.path / "a").write_bytes(os.urandom(PROBE_MIN_BYTES))
    os.sync()
    found = [Prober().kind_of(volume.path, ("loop",)) for _ in range(9)]
    # A busy machine may be slow to answer now and then; a disk that seeks would be each time.
    assert {kind for kind, _ in found} & {SSD, UNKNOWN}
    assert all("a read takes" in reason for _, reason in found)
