"""A file that arrives loses nothing by a kill, and nothing that was synced by a power cut.

Nor does it claim anything that is not there: neither after those, nor on a full or a failing disk.
"""

import errno
import json
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from modelcellar_hashing import ArrivingFile
from tests.support.filesystems import JOURNALLING, MIB, Mounts, Volume
from tests.support.strace import fail_at, kill_at, trace

KIB = 1024
PIECE_BYTES = 256 * KIB
CHUNK_BYTES = 100_000
SIZE_BYTES = 6 * MIB
DATA = random.Random(9).randbytes(SIZE_BYTES)

# Four threads send what is missing, in chunks of any length, the same in every run. Says how it
# ended, if it did.
CHILD = """
import json, os, random, sys, threading
import modelcellar_hashing as m
folder, sync_each = sys.argv[1], int(sys.argv[2])
data = random.Random(9).randbytes(6 << 20)
told = []
def work(runs):
    try:
        for start, end in runs:
            chance = random.Random(start)
            while start < end:
                stop = min(start + chance.randint(1, 100_000), end)
                file.write(start, data[start:stop])
                start = stop
            if sync_each:
                file.sync()
    except OSError as error:
        told.append([error.errno, error.filename])
try:
    file = m.ArrivingFile(folder + "/data", folder + "/record", len(data), piece_bytes=256 << 10)
    print(file.is_resumed, file.written_bytes, flush=True)
    file.hash()
    missing = file.missing()
    workers = [threading.Thread(target=work, args=(missing[n::4],)) for n in range(4)]
    for worker in workers: worker.start()
    for worker in workers: worker.join()
    told = told or [file.finish().sha256]
except OSError as error:
    told = [[error.errno, error.filename]]
print(json.dumps(told[0]))
"""


def child(folder: Path, *, sync: bool = False) -> list[str]:
    return [sys.executable, "-c", CHILD, str(folder), "1" if sync else "0"]


def open_in(
    folder: Path, *, size_bytes: int = SIZE_BYTES, boot_id: str | None = None
) -> ArrivingFile:
    return ArrivingFile(
        folder / "data", folder / "record", size_bytes, piece_bytes=PIECE_BYTES, boot_id=boot_id
    )


def check(folder: Path, *, boot_id: str | None = None, chunks_lost: int = 1) -> int:
    """What is claimed is there, and next to nothing else; how many bytes that are."""
    content = (folder / "data").read_bytes()
    file = open_in(folder, boot_id=boot_id)
    missing = file.missing()
    written_bytes = file.written_bytes
    file.close()
    assert written_bytes == SIZE_BYTES - sum(end - start for start, end in missing)
    at, unclaimed_bytes = 0, 0
    for start, end in [*missing, (SIZE_BYTES, SIZE_BYTES)]:
        assert content[at:start] == DATA[at:start], f"claimed, but not there: {at} to {start}"
        unclaimed_bytes += len(content[start:end].rstrip(b"\0"))
        at = end
    assert unclaimed_bytes <= chunks_lost * CHUNK_BYTES
    return written_bytes


def complete(folder: Path) -> None:
    """It goes on from there to the end."""
    file = open_in(folder)
    for start, end in file.missing():
        file.write(start, DATA[start:end])
    file.finish()
    file.close()
    assert (folder / "data").read_bytes() == DATA


def test_killed_at_any_moment(memory: Path) -> None:
    chance = random.Random(4)
    cut_short = 0
    for number in range(25):
        folder = memory / str(number)
        folder.mkdir()
        written_bytes = 0
        for _ in range(20):
            with subprocess.Popen(child(folder), stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                resumed, found = process.stdout.readline().split()
                assert (resumed == "True", int(found)) == (written_bytes > 0, written_bytes)
                time.sleep(chance.random() * 0.008)
                process.kill()
            if process.returncode == 0:
                break
            cut_short += 1
            written_bytes = check(folder)
            if written_bytes in {0, SIZE_BYTES}:
                break
        complete(folder)
    assert cut_short > 20


@pytest.mark.parametrize("call", ["pwrite64", "fallocate", "ftruncate", "unlink", "unlinkat"])
def test_killed_at_any_call(call: str, memory: Path) -> None:
    """Where it had begun, it goes on; where it had not, nothing is claimed."""
    (memory / "whole").mkdir()
    whole = trace(child(memory / "whole"))
    assert whole.stdout.splitlines()[0] == "False 0"
    count = whole.calls.get(call, 0)
    for nth in [*range(1, min(count, 6) + 1), *range(7, count, 40)]:
        folder = memory / str(nth)
        folder.mkdir()
        killed = kill_at(child(folder), call, nth)
        assert killed.exit_code == -signal.SIGKILL
        if (folder / "data").exists() and (folder / "data").stat().st_size == SIZE_BYTES:
            check(folder)
        complete(folder)
    assert count or call in {"unlink", "unlinkat"}


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("nth", [1, 2, 3, 20, 21])
def test_a_write_that_fails_counts_as_not_written(nth: int, error: str, memory: Path) -> None:
    """The first calls of the writer: the bytes, then their counter, and so on."""
    failed = fail_at(child(memory), "pwrite64", nth, error)
    number, name = json.loads(failed.stdout.splitlines()[-1])
    assert errno.errorcode[number] == error
    if nth == 1:
        # This one fails the thread that makes the record as well, which comes first.
        assert name == str(memory / "record")
        assert list(memory.iterdir()) == []
        return
    assert name == str(memory / ("record" if nth % 2 == 0 else "data"))
    check(memory)
    complete(memory)


def test_a_sync_that_fails_takes_back_what_it_was_to_keep(memory: Path) -> None:
    """The kernel may have dropped those pages: they must come again, also before the next start."""
    failed = fail_at(child(memory, sync=True), "fdatasync", 1, "EIO")
    number, name = json.loads(failed.stdout.splitlines()[-1])
    assert (number, name) == (errno.EIO, str(memory / "data"))
    assert check(memory, chunks_lost=SIZE_BYTES) == 0
    complete(memory)


def test_no_space_to_reserve_leaves_nothing(mounts: Mounts) -> None:
    disk = mounts.tmpfs(4 * MIB)
    with pytest.raises(OSError, match="No space") as raised:
        open_in(disk)
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(disk / "data")
    assert list(disk.iterdir()) == []


def test_no_space_for_the_record_leaves_nothing(mounts: Mounts) -> None:
    disk = mounts.tmpfs(SIZE_BYTES)
    with pytest.raises(OSError, match="No space") as raised:
        open_in(disk)
    assert raised.value.filename == str(disk / "record")
    assert list(disk.iterdir()) == []


def test_reserved_space_is_there_on_a_full_disk(mounts: Mounts) -> None:
    disk = mounts.tmpfs(SIZE_BYTES + 64 * KIB)
    file = open_in(disk)
    with pytest.raises(OSError, match="No space"):
        (disk / "filler").write_bytes(bytes(MIB))
    file.close()
    complete(disk)


def test_where_nothing_can_be_reserved(mounts: Mounts) -> None:
    """And the space ends before the file does: what is claimed is there."""
    volume = mounts.make("ntfs")
    complete(volume.path)
    (volume.path / "data").unlink()
    with (volume.path / "filler").open("wb", buffering=0) as filler:
        written = [filler.write(bytes(MIB)) for _ in range(20)]
    assert sum(written) == 20 * MIB
    file = open_in(volume.path, size_bytes=64 * MIB)
    with suppress(OSError):
        for offset in range(0, 64 * MIB, SIZE_BYTES):
            file.write(offset, DATA[: min(SIZE_BYTES, 64 * MIB - offset)])
        file.finish()
    for call in (file.missing, file.sync, file.finish, file.restart):
        with pytest.raises(OSError, match="No space"):
            call()
    written_bytes = file.written_bytes
    file.close()
    assert 0 < written_bytes < 64 * MIB
    content = (volume.path / "data").read_bytes()
    file = open_in(volume.path, size_bytes=64 * MIB)
    assert file.written_bytes == written_bytes
    start = file.missing()[0][0]
    assert content[:start] == (DATA * 11)[:start]
    file.close()


@pytest.fixture(params=JOURNALLING)
def volume(request: pytest.FixtureRequest, mounts: Mounts) -> Volume:
    return mounts.make(request.param)


def test_power_cut_after_a_sync(volume: Volume, mounts: Mounts) -> None:
    file = open_in(volume.path)
    half = SIZE_BYTES // 2
    file.write(0, DATA[:half])
    while file.written_bytes < half:
        time.sleep(0.001)
    file.sync()
    file.write(half, DATA[half:])
    while file.written_bytes < SIZE_BYTES:
        time.sleep(0.001)
    image = volume.snapshot("cut")
    file.close()

    mounts.mount(volume, image)

    assert check(volume.path, boot_id="after the cut", chunks_lost=SIZE_BYTES) == half
    complete(volume.path)


def test_power_cut_without_a_sync(volume: Volume, mounts: Mounts) -> None:
    file = open_in(volume.path)
    file.write(0, DATA)
    file.close()

    mounts.power_cut(volume)

    file = open_in(volume.path, boot_id="after the cut")
    assert file.written_bytes == 0
    file.close()
    complete(volume.path)


@pytest.mark.parametrize(
    ("call", "nth"),
    [("fdatasync", 1), ("fdatasync", 2), ("fdatasync", 5), ("fsync", 1), ("pwrite64", 40)],
)
def test_power_cut_at_a_call(call: str, nth: int, volume: Volume, mounts: Mounts) -> None:
    """While threads sync and write; a second content, of which the first says nothing."""
    file = open_in(volume.path)
    file.write(0, bytes(SIZE_BYTES))
    while file.written_bytes < SIZE_BYTES:
        time.sleep(0.001)
    file.sync()
    file.restart()
    file.close()
    killed = kill_at(child(volume.path, sync=True), call, nth)
    assert killed.exit_code == -signal.SIGKILL

    mounts.power_cut(volume)

    claimed_bytes = check(volume.path, boot_id="after the cut", chunks_lost=SIZE_BYTES)
    # A sync is two of these calls, so that two are done.
    assert claimed_bytes > 0 or (call, nth) != ("fdatasync", 5)
    complete(volume.path)
