"""Copies that are read back from the disk, and buffered copies that wait for it."""

import errno
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelcellar_hashing import FileDigests, copy_many, copy_with_hashing
from tests.hashing_ext.conftest import MIB, inject, names_in, sha256_of
from tests.support.filesystems import Mounts
from tests.support.strace import require_strace

SIZES = (0, 1, 4095, 4096, 5000, 300_000, 9 * MIB + 1)

MANY = """
import sys
from modelcellar_hashing import copy_many
folder, streams, *sources = sys.argv[1:]
jobs = [(s, f"{folder}/{n}") for n, s in enumerate(sources)]
how = {"alternate": True} if streams == "alternate" else {"streams": int(streams)}
before = int(open("/proc/self/io").read().split("read_bytes: ")[1].split()[0])
results = copy_many(jobs, publish=False, verify="disk", **how)
after = int(open("/proc/self/io").read().split("read_bytes: ")[1].split()[0])
print(after - before, [getattr(one, "errno", 0) for one in results])
"""


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
@pytest.mark.parametrize("streams", ["0", "1", "alternate"])
def test_the_disk_is_what_answers(
    kind: str, streams: str, make_file: Callable[..., Path], mounts: Mounts
) -> None:
    folder = mounts.make(kind).path
    sources = [make_file(size, f"s{size}") for size in SIZES]
    command = [sys.executable, "-c", MANY, folder, streams, *sources]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    read_bytes, errors = done.stdout.split(" ", 1)
    assert errors.strip() == str([0] * len(SIZES))
    # The sources were just written and come from memory. btrfs keeps small files in its metadata.
    assert int(read_bytes) >= sum(size for size in SIZES if size > 4096)
    for number, source in enumerate(sources):
        assert sha256_of(folder / str(number)) == sha256_of(source)


@pytest.mark.parametrize("streams", ["0", "1", "alternate"])
def test_a_disk_that_gives_back_other_bytes(
    streams: str, make_file: Callable[..., Path], target_folder: Path
) -> None:
    sources = [make_file(size, f"s{size}") for size in (9 * MIB, 100_000, 3000)]
    command = [sys.executable, "-c", MANY, target_folder, streams, *sources]
    wrong = "pread64:poke_exit=@arg2=ff00ff00"
    printed = inject(command, wrong, only=target_folder / "1")
    assert printed.split(" ", 1)[1].strip() == str([0, errno.EIO, 0])
    assert names_in(target_folder) == ["0", "2"]


def test_a_disk_that_gives_back_other_bytes_of_one_copy(
    make_file: Callable[..., Path], target_folder: Path
) -> None:
    script = (
        "import sys, modelcellar_hashing as m\n"
        "try: m.copy_with_hashing(*sys.argv[1:], publish=False, verify='disk')\n"
        "except OSError as error: print(error.errno, error.strerror)\n"
    )
    target = target_folder / "copy"
    command = [sys.executable, "-c", script, make_file(9 * MIB), target]
    printed = inject(command, "pread64:poke_exit=@arg2=ff00ff00:when=3", only=target)
    assert printed == f"{errno.EIO} The disk gives back other bytes than were written to it\n"
    assert names_in(target_folder) == []
    assert inject(command, "pread64:error=EIO:when=2", only=target).startswith(f"{errno.EIO} ")
    assert names_in(target_folder) == []


def test_without_direct_reads_too(make_file: Callable[..., Path], mounts: Mounts) -> None:
    folder = mounts.tmpfs(64 * MIB)
    sources = [make_file(size, f"s{size}") for size in SIZES]
    results = copy_many([(one, folder / one.name) for one in sources], verify="disk")
    assert [one.sha256 for one in results if isinstance(one, FileDigests)] == list(
        map(sha256_of, sources)
    )
    one = copy_with_hashing(sources[-1], folder / "copy", verify="disk")
    assert one.sha256 == sha256_of(folder / "copy")


def test_progress_counts_what_is_read_back_and_nobody_is_told_before(
    make_file: Callable[..., Path], target_folder: Path
) -> None:
    source = make_file(40 * MIB)
    steps: list[tuple[int, int]] = []
    told: list[int] = []

    def tell(number: int, _result: object) -> None:
        told.append(number)

    jobs = [(source, target_folder / str(number)) for number in range(3)]
    copy_many(jobs, verify="disk", on_done=tell, progress=lambda *step: steps.append(step))
    assert steps[-1] == (240 * MIB, 240 * MIB)
    assert sorted(told) == [0, 1, 2]


def test_stopped_while_reading_back_nothing_is_left(
    make_file: Callable[..., Path], target_folder: Path
) -> None:
    source = make_file(300 * MIB)
    for publish in (True, False):

        def stop(done_bytes: int, total_bytes: int) -> None:
            if done_bytes > total_bytes // 2:
                raise LookupError

        with pytest.raises(LookupError):
            copy_many(
                [(source, target_folder / "copy")], verify="disk", publish=publish, progress=stop
            )
        assert names_in(target_folder) == []


@pytest.mark.parametrize("alternate", [False, True])
def test_a_copy_that_vanishes_before_it_is_read_back_is_not_the_end_of_the_others(
    make_file: Callable[..., Path], target_folder: Path, alternate: bool
) -> None:
    # The last one takes long enough for several reports.
    sources = [make_file(size, f"s{size}") for size in (100_000, 3000, 400 * MIB)]
    targets = [target_folder / str(number) for number in range(3)]

    def take_away(_done_bytes: int, _total_bytes: int) -> None:
        if targets[2].exists():
            targets[1].unlink(missing_ok=True)

    results = copy_many(
        list(zip(sources, targets, strict=True)),
        publish=False,
        verify="disk",
        streams=1,
        alternate=alternate,
        progress=take_away,
    )
    assert [getattr(one, "errno", None) for one in results] == [None, errno.ENOENT, None]
    for number in (0, 2):
        assert sha256_of(targets[number]) == sha256_of(sources[number])


def test_no_such_check(make_file: Callable[..., Path], target_folder: Path) -> None:
    with pytest.raises(ValueError, match="'perhaps'"):
        copy_many([(make_file(1), target_folder / "x")], verify="perhaps")  # type: ignore[arg-type]


PLAIN = """
import sys
from modelcellar_hashing import copy_many
folder, *sources = sys.argv[1:]
for one in copy_many([(s, f"{folder}/{n}") for n, s in enumerate(sources)], publish=False):
    one.sha256
"""


def syncs(folder: Path, sources: list[Path], log: Path) -> int:
    """How often the disk is waited for while ``sources`` are copied."""
    require_strace()
    strace = ["strace", "-f", "-qq", "-o", log, "-e", "trace=fdatasync,fsync,syncfs"]
    subprocess.run([*strace, "--", sys.executable, "-c", PLAIN, folder, *sources], check=True)
    return len(re.findall(r"(?:fdatasync|fsync|syncfs)\(\d+\)", log.read_text()))


def test_buffered_copies_wait_for_the_disk_before_they_fill_the_memory(
    make_file: Callable[..., Path], mounts: Mounts, tmp_path: Path
) -> None:
    """tmpfs is written through the page cache, as are btrfs, NTFS, exFAT and network shares."""
    folder = mounts.tmpfs(1024 * MIB)
    large = make_file(420 * MIB)
    # Every 192 MiB, and at the end of a large file.
    assert syncs(folder, [large], tmp_path / "log") == 3
    (folder / "0").unlink()
    small = make_file(6 * MIB)
    assert syncs(folder, [small] * 70, tmp_path / "log") == 2
    for path in folder.iterdir():
        path.unlink()
    assert syncs(folder, [small] * 10, tmp_path / "log") == 0
    large.unlink()


SMALL = """
import sys
import modelcellar_hashing as m
m.copy_many([(sys.argv[1], sys.argv[2], ())], verify="disk")
"""


def test_small_files_are_read_past_the_page_cache_too(
    make_file: Callable[..., Path], mounts: Mounts, tmp_path: Path
) -> None:
    require_strace()
    target = mounts.make("ext4").path / "copy"
    log = tmp_path / "log"
    command = [sys.executable, "-c", SMALL, str(make_file(70_001, "s")), str(target)]
    trace = ["strace", "-f", "-qq", "-y", "-o", str(log), "-e", "trace=pread64"]
    subprocess.run([*trace, *command], check=True, capture_output=True)
    reads = [line for line in log.read_text().splitlines() if str(target.parent) in line]
    assert reads
    assert not [line for line in reads if "EINVAL" in line]
