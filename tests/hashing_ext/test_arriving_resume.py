"""A file that arrives goes on where it was, or begins anew; it can be stopped at any moment."""

import errno
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from modelcellar.io import hashing
from modelcellar_hashing import ArrivingFile
from tests.hashing_ext.conftest import MIB, as_plain_user, inject, names_in, wait_for
from tests.hashing_ext.test_arriving import (
    PIECE_BYTES,
    check,
    data_of,
    open_in,
    send,
    send_missing,
    settle,
)

PROMISED_S = 0.2
DATA = data_of(MIB)


def begin(folder: Path, *, boot_id: str | None = None) -> None:
    """A file of which 150,000 bytes are durable and 250,000 written, in two pieces each."""
    file = open_in(folder, MIB, boot_id=boot_id)
    send(file, DATA, (0, 100_000))
    send(file, DATA, (4 * PIECE_BYTES, 4 * PIECE_BYTES + 50_000))
    settle(file, 150_000)
    file.sync()
    send(file, DATA, (100_000, 200_000))
    file.close()


def test_in_a_new_process(tmp_path: Path) -> None:
    script = (
        "import sys, modelcellar_hashing as m\n"
        "file = m.ArrivingFile(sys.argv[1], sys.argv[2], 1 << 20, piece_bytes=65536)\n"
        "file.write(0, bytes(100_000)); file.close()\n"
    )
    command = [sys.executable, "-c", script, tmp_path / "data", tmp_path / "record"]
    subprocess.run(command, check=True)
    file = open_in(tmp_path, MIB)
    assert file.is_resumed
    assert file.written_bytes == 100_000
    data = bytes(100_000) + DATA[100_000:]
    send_missing(file, data)
    check(tmp_path, data, file.finish())
    file.close()


def test_pieces_are_those_that_the_file_was_begun_with(tmp_path: Path) -> None:
    begin(tmp_path)
    file = open_in(tmp_path, MIB, piece_bytes=1)
    assert file.piece_bytes == PIECE_BYTES
    assert file.written_bytes == 250_000
    assert file.missing()[0] == (200_000, 4 * PIECE_BYTES)
    send_missing(file, DATA)
    check(tmp_path, DATA, file.finish())
    file.close()


@pytest.mark.parametrize(
    ("first", "second", "written_bytes"),
    [
        ("one", "one", 250_000),
        ("one", "two", 150_000),
        (None, "two", 150_000),
        ("one", None, 150_000),
        ("", "one", 150_000),
        ("", "", 150_000),
    ],
)
def test_after_another_start_of_the_system_what_was_synced_counts(
    first: str | None, second: str | None, written_bytes: int, tmp_path: Path
) -> None:
    begin(tmp_path, boot_id=first)
    file = open_in(tmp_path, MIB, boot_id=second)
    assert file.is_resumed
    assert file.written_bytes == written_bytes
    file.close()
    # What did not count does not come back.
    file = open_in(tmp_path, MIB, boot_id=second)
    assert file.written_bytes == written_bytes
    send_missing(file, DATA)
    check(tmp_path, DATA, file.finish())
    file.close()


def test_every_byte_of_the_record_matters(tmp_path: Path) -> None:
    """Torn and spoilt ones are no error; at worst the bytes come again."""
    begin(tmp_path)
    whole = (tmp_path / "record").read_bytes()
    assert len(whole) == 64 + 16 * 16
    torn = [whole[:size] for size in range(0, len(whole), 7)]
    headers = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(64)]
    impossible = [whole[:64] + b"\xff" * 256, whole + b"\0", os.urandom(len(whole))]
    for content in [*torn, *headers, *impossible]:
        (tmp_path / "record").write_bytes(content)
        file = open_in(tmp_path, MIB)
        assert not file.is_resumed
        assert file.written_bytes == 0
        file.close()
    assert open_in(tmp_path, MIB).is_resumed


def test_of_another_size_it_begins_anew(tmp_path: Path) -> None:
    begin(tmp_path)
    file = open_in(tmp_path, MIB - 1)
    assert not file.is_resumed
    assert (tmp_path / "data").stat().st_size == MIB - 1
    file.close()


@pytest.mark.parametrize("what", ["missing", "short", "long", "link", "pipe", "no record"])
def test_without_its_data_it_begins_anew(what: str, tmp_path: Path) -> None:
    begin(tmp_path)
    data = tmp_path / "data"
    other = tmp_path / "other"
    match what:
        case "missing":
            data.unlink()
        case "short" | "long":
            os.truncate(data, MIB + (1 if what == "long" else -1))
        case "link":
            data.rename(other)
            data.symlink_to(other)
        case "pipe":
            data.unlink()
            os.mkfifo(data)
        case _:
            (tmp_path / "record").unlink()
    file = open_in(tmp_path, MIB)
    assert not file.is_resumed
    send_missing(file, bytes(MIB))
    check(tmp_path, bytes(MIB), file.finish())
    file.close()
    if what == "link":
        assert other.read_bytes()[:100_000] == DATA[:100_000], "somebody else's"


def test_beginning_anew_leaves_other_names_of_the_file_alone(tmp_path: Path) -> None:
    begin(tmp_path)
    os.link(tmp_path / "data", tmp_path / "kept")
    (tmp_path / "record").unlink()
    file = open_in(tmp_path, MIB)
    file.write(0, bytes(MIB))
    file.close()
    assert (tmp_path / "kept").read_bytes()[:200_000] == DATA[:200_000]


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(IsADirectoryError) as raised:
        open_in(tmp_path, MIB)
    assert raised.value.filename == str(tmp_path / "data")
    assert names_in(tmp_path) == ["data"]


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        open_in(tmp_path / "none", MIB)
    assert raised.value.errno == errno.ENOENT
    assert raised.value.filename == str(tmp_path / "none" / "data")


def test_what_may_not_be_opened_is_not_begun_anew(tmp_path: Path) -> None:
    """Bytes that are there are not thrown away for a failure that may pass."""
    begin(tmp_path)
    for name in ("data", "record"):
        (tmp_path / name).chmod(0)
    script = (
        "try: modelcellar_hashing.ArrivingFile(*sys.argv[1:], 1 << 20, piece_bytes=1 << 16)\n"
        "except PermissionError as error: print(error.filename)\n"
    )
    done = as_plain_user(script, tmp_path / "data", tmp_path / "record")
    assert done.stdout.strip() == str(tmp_path / "data"), done.stderr
    for name in ("data", "record"):
        (tmp_path / name).chmod(0o600)
    assert open_in(tmp_path, MIB).is_resumed


def test_dropped_it_is_closed(tmp_path: Path) -> None:
    file = open_in(tmp_path, 12 * MIB)
    data = data_of(12 * MIB)
    file.hash()
    send(file, data, (0, 12 * MIB), chunk_bytes=MIB)
    del file
    gc.collect()
    assert (tmp_path / "data").read_bytes() == data
    assert not [name for name in thread_names() if name.startswith("cellar-")]


def thread_names() -> list[str]:
    tasks = Path("/proc/self/task")
    return [(task / "comm").read_text().strip() for task in tasks.iterdir()]


def test_left_at_the_end_of_the_interpreter(tmp_path: Path) -> None:
    script = (
        "import sys, modelcellar_hashing as m\n"
        "file = m.ArrivingFile(sys.argv[1], sys.argv[2], 1 << 20, piece_bytes=65536)\n"
        "file.hash(); file.write(0, bytes(100_000)); sys.modules['kept'] = file\n"
    )
    command = [sys.executable, "-c", script, tmp_path / "data", tmp_path / "record"]
    done = subprocess.run(command, check=True, capture_output=True, timeout=30)
    assert done.stderr == b""


def interrupt_soon(after_s: float) -> list[float]:
    """Ctrl-C from another thread; the list gets the time of it."""
    sent: list[float] = []

    def interrupt() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Timer(after_s, interrupt).start()
    return sent


def test_control_c_while_it_finishes(tmp_path: Path) -> None:
    block = data_of(MIB)
    file = open_in(tmp_path, 512 * MIB, piece_bytes=512 * MIB)
    for offset in range(0, 512 * MIB, MIB):
        file.write(offset, block)
    settle(file, 512 * MIB)
    sent = interrupt_soon(0.05)
    with pytest.raises(KeyboardInterrupt):
        file.finish()
    assert time.monotonic() - sent[0] <= PROMISED_S * 2
    digests = file.finish()
    assert digests.sha256 == hashing.hash_file(tmp_path / "data").digests.sha256
    file.close()


STUCK = """
import os, signal, sys, threading, time
import modelcellar_hashing as m
file = m.ArrivingFile(sys.argv[1], sys.argv[2], 64 << 20, piece_bytes=64 << 20)
sent = []
def interrupt():
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(0.5, interrupt).start()
begun_s = time.monotonic()
try:
    for offset in range(0, 64 << 20, 1 << 20):
        file.write(offset, bytes(1 << 20))
except KeyboardInterrupt:
    print(offset >> 20, time.monotonic() - sent[0])
    sys.stdout.flush()
os._exit(0)
"""


def test_control_c_while_the_disk_hangs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STUCK, tmp_path / "data", tmp_path / "record"]
    told = inject(command, "pwrite64:delay_enter=3000000:when=2+")
    queued, latency_s = told.split()
    assert int(queued) == 16, "16 MiB wait, and no more"
    assert float(latency_s) <= PROMISED_S * 2


MEMORY = """
import sys, modelcellar_hashing as m
def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) << 10
size = 512 << 20
file = m.ArrivingFile(sys.argv[1], sys.argv[2], size, piece_bytes=32 << 20)
file.hash()
order = range(0, size, 1 << 20)
if sys.argv[3] == "backwards":
    pieces = reversed(range(0, size, 32 << 20))
    order = [piece + at for piece in pieces for at in range(0, 32 << 20, 1 << 20)]
before = peak()
for number, offset in enumerate(order):
    file.write(offset, number.to_bytes(4, "little") * (1 << 18))
file.finish()
print(peak() - before)
"""


@pytest.mark.parametrize("order", ["forwards", "backwards"])
def test_memory_is_bounded(order: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEMORY, tmp_path / "data", tmp_path / "record", order]
    grown_bytes = int(subprocess.check_output(command, text=True))
    # 16 MiB queued, 8 MiB kept, two chunks at work, one in the making.
    assert grown_bytes <= 32 * MIB


def test_bytes_are_let_go_of_once_they_are_written(tmp_path: Path) -> None:
    file = open_in(tmp_path, 2 * MIB)
    block = data_of(MIB)
    before = sys.getrefcount(block)
    file.write(0, block)
    settle(file, MIB)
    # Any call of the module does it, as the writer never touches the interpreter itself.
    wait_for(lambda: file.written_bytes == MIB and sys.getrefcount(block) == before)
    file.close()


def test_by_way_of_the_library(tmp_path: Path) -> None:
    file: ArrivingFile = hashing.ArrivingFile(
        tmp_path / "data", tmp_path / "record", MIB, piece_bytes=MIB
    )
    file.hash([(5, 10)])
    file.write(0, DATA)
    found = hashing.finish_arriving(file, tmp_path / "data")
    file.close()
    wanted = hashing.hash_file(tmp_path / "data", ranges=[(5, 10)])
    assert (found.path, found.size_bytes) == (str(tmp_path / "data"), MIB)
    assert (found.digests, found.range_sha256) == (wanted.digests, wanted.range_sha256)
