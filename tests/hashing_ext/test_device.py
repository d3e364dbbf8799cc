"""What is asked of the storage below a file: the time of a read, and where the data begin."""

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelcellar_hashing import first_extent, probe_latency
from tests.hashing_ext.conftest import MIB, as_plain_user, inject
from tests.support.filesystems import JOURNALLING, Mounts
from tests.support.trees import open_to_all

ENOUGH = 64 * MIB


def written(path: Path, size_bytes: int, block: bytes = b"") -> Path:
    """A file whose bytes have reached the disk."""
    block = block or os.urandom(MIB)
    with path.open("wb") as file:
        for _ in range(size_bytes // MIB):
            file.write(block)
        file.write(block[: size_bytes % MIB])
        file.flush()
        os.fsync(file.fileno())
    return path


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_time_of_a_read(mounts: Mounts, kind: str) -> None:
    path = written(mounts.make(kind).path / "model", ENOUGH)
    for seed in (None, 0, 2**64 - 1):
        seconds = probe_latency(path, seed=seed)
        # An image in memory, or on the disk of this machine.
        assert seconds is not None
        assert 0 < seconds < 0.1


PROBE = (
    "import sys, time, modelcellar_hashing\n"
    "begin = time.monotonic()\n"
    "try: print(modelcellar_hashing.probe_latency(sys.argv[1]))\n"
    "except OSError as error: print(error.errno, error.filename)\n"
    "print(time.monotonic() - begin)\n"
)


def probed(path: Path, injection: str) -> tuple[str, float]:
    """What a probe says when its reads are slow or fail, and how long it takes."""
    answer, seconds = inject([sys.executable, "-c", PROBE, path], injection, only=path).split("\n")[
        :2
    ]
    return answer, float(seconds)


def test_device_that_is_slow(mounts: Mounts) -> None:
    path = written(mounts.make("ext4").path / "model", ENOUGH)
    answer, _ = probed(path, "pread64:delay_enter=4000")
    assert 0.004 <= float(answer) < 0.1


def test_device_that_takes_all_the_time(mounts: Mounts) -> None:
    path = written(mounts.make("ext4").path / "model", ENOUGH)
    # The one that does not count, and one that does: nine would take 0.54 s.
    answer, seconds = probed(path, "pread64:delay_enter=60000")
    assert 0.06 <= float(answer) < 0.3
    assert seconds < 0.4
    assert probed(path, "pread64:delay_enter=110000")[0] == "None"


def test_reads_that_fail(mounts: Mounts) -> None:
    path = written(mounts.make("ext4").path / "model", ENOUGH)
    assert probed(path, "pread64:error=EINVAL")[0] == "None"
    assert probed(path, "pread64:error=EIO:when=2+")[0] == f"{errno.EIO} {path}"


def test_file_system_that_refuses_direct_reads(mounts: Mounts) -> None:
    path = written(mounts.make("ext4").path / "model", ENOUGH)
    answer = inject([sys.executable, "-c", PROBE, path], "fcntl:error=EINVAL", only=path)
    assert answer.startswith("None\n")


def test_too_small_by_one_byte(mounts: Mounts) -> None:
    path = written(mounts.make("ext4").path / "model", ENOUGH)
    os.truncate(path, ENOUGH - 1)
    assert probe_latency(path) is None


def test_holes_and_reserved_space_say_nothing(mounts: Mounts) -> None:
    folder = mounts.make("ext4").path
    holes = folder / "holes"
    with holes.open("wb") as file:
        file.truncate(ENOUGH)
    assert probe_latency(holes) is None
    # As many blocks as bytes, and still a read would not touch the disk.
    reserved = folder / "reserved"
    with reserved.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, ENOUGH)
        file.flush()
        os.fsync(file.fileno())
    assert reserved.stat().st_blocks * 512 >= ENOUGH
    assert probe_latency(reserved) is None


def test_compressed_data_say_nothing(mounts: Mounts) -> None:
    folder = mounts.make("btrfs").path / "folder"
    folder.mkdir()
    subprocess.run(["btrfs", "property", "set", folder, "compression", "zstd"], check=True)
    path = written(folder / "model", ENOUGH, b"word " * (MIB // 5 + 1))
    assert first_extent(path) is not None
    assert probe_latency(path) is None


def test_a_file_system_in_memory_has_no_extents(mounts: Mounts) -> None:
    path = written(mounts.tmpfs(4 * MIB) / "model", 100)
    assert first_extent(path) is None


@pytest.mark.parametrize("kind", JOURNALLING)
def test_first_extent_is_what_filefrag_says(mounts: Mounts, kind: str) -> None:
    if shutil.which("filefrag") is None:
        pytest.skip("needs filefrag (Debian package e2fsprogs)")
    folder = mounts.make(kind).path
    for number in range(3):
        path = written(folder / f"model{number}", 3 * MIB)
        shown = subprocess.run(
            ["filefrag", "-e", "-b1", path], capture_output=True, text=True, check=True
        ).stdout
        match = re.search(r"^\s+0:\s+0\.\.\s*\d+:\s+(\d+)\.\.", shown, re.MULTILINE)
        assert match is not None, shown
        assert first_extent(path) == int(match[1])


def test_no_extent_before_there_is_data(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    assert first_extent(empty) is None
    assert first_extent(tmp_path) is None
    assert probe_latency(tmp_path) is None


@pytest.mark.parametrize("ask", [first_extent, probe_latency])
def test_errors_name_the_file(ask: Callable[[Path], object], tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(FileNotFoundError) as raised:
        ask(missing)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, str(missing))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert first_extent(pipe) is None
    assert probe_latency(pipe) is None


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seed_out_of_range(seed: int, tmp_path: Path) -> None:
    with pytest.raises(OverflowError):
        probe_latency(tmp_path, seed=seed)


def test_file_that_may_not_be_read(make_file: Callable[..., Path]) -> None:
    source = make_file(10)
    source.chmod(0)
    open_to_all(source)
    done = as_plain_user(
        "for ask in (modelcellar_hashing.first_extent, modelcellar_hashing.probe_latency):\n"
        "    try: ask(sys.argv[1])\n"
        "    except PermissionError as error: print(error.filename)",
        source,
    )
    assert done.stdout.split() == [str(source)] * 2, done.stderr
