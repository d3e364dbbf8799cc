"""A file that arrives in pieces ends as the bytes that were sent, and its digests are theirs."""

import hashlib
import random
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcellar_hashing import ArrivingFile, FileDigests
from tests.hashing_ext.conftest import MIB, permissions_of, wait_for

KIB = 1024
PIECE_BYTES = 64 * KIB
Run = tuple[int, int]


def data_of(size_bytes: int) -> bytes:
    return random.Random(size_bytes).randbytes(size_bytes)


def open_in(
    folder: Path, size_bytes: int, *, piece_bytes: int = PIECE_BYTES, boot_id: str | None = None
) -> ArrivingFile:
    return ArrivingFile(
        folder / "data", folder / "record", size_bytes, piece_bytes=piece_bytes, boot_id=boot_id
    )


def send(file: ArrivingFile, data: bytes, run: Run, *, chunk_bytes: int = 10_000) -> None:
    start, end = run
    for begin in range(start, end, chunk_bytes):
        file.write(begin, data[begin : min(begin + chunk_bytes, end)])


def send_missing(file: ArrivingFile, data: bytes) -> None:
    for run in file.missing():
        send(file, data, run)


def settle(file: ArrivingFile, written_bytes: int) -> None:
    """Wait for the writer."""
    wait_for(lambda: file.written_bytes == written_bytes)


def check(folder: Path, data: bytes, digests: FileDigests, ranges: Sequence[Run] = ()) -> None:
    """By the programs of others."""
    assert (folder / "data").read_bytes() == data
    assert digests.size_bytes == len(data)
    assert digests.sha256 == hashlib.sha256(data).hexdigest()
    command = ["b3sum", "--no-names", folder / "data"]
    assert digests.blake3 == subprocess.check_output(command, text=True).strip()
    wanted = [hashlib.sha256(data[start:end]).hexdigest() for start, end in ranges]
    assert digests.range_sha256 == wanted
    assert not digests.cloned


@pytest.mark.parametrize("size_bytes", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * MIB - 1])
def test_one_piece_after_the_other(size_bytes: int, tmp_path: Path) -> None:
    data = data_of(size_bytes)
    file = open_in(tmp_path, size_bytes)
    file.hash()
    assert not file.is_resumed
    assert permissions_of(tmp_path / "data") == permissions_of(tmp_path / "record") == 0o600
    assert (tmp_path / "data").stat().st_size == size_bytes
    send(file, data, (0, size_bytes))
    assert file.missing() == []
    check(tmp_path, data, file.finish())
    assert file.written_bytes == file.hashed_bytes == file.size_bytes == size_bytes
    file.close()


@given(chance=st.randoms(use_true_random=False), size_bytes=st.integers(0, 5_000))
def test_any_order_of_any_chunks(chance: random.Random, size_bytes: int) -> None:
    """With hashing begun at any moment, and files closed and opened again at any."""
    data = data_of(size_bytes)
    edges = [sorted(chance.choices(range(size_bytes + 1), k=2)) for _ in range(chance.randrange(4))]
    ranges = [(start, end) for start, end in edges]
    piece_bytes = chance.choice([1 << 40, 1000, 64, max(1, size_bytes // 3)])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = open_in(folder, size_bytes, piece_bytes=piece_bytes)
        hashing = False
        while missing := file.missing():
            what = chance.random()
            if what < 0.05:
                file.close()
                file, hashing = open_in(folder, size_bytes), False
                assert file.missing() == missing
            elif what < 0.15 and not hashing:
                file.hash(ranges)
                hashing = True
            else:
                start, end = chance.choice(missing)
                # What follows a piece that is whole empty may be filled as well.
                while (
                    end,
                    min(end + piece_bytes, size_bytes),
                ) in missing and chance.random() < 0.5:
                    end = min(end + piece_bytes, size_bytes)
                file.write(start, data[start : start + chance.randint(1, end - start)])
        if not hashing:
            file.hash(ranges)
        check(folder, data, file.finish(), ranges)
        file.close()


@pytest.mark.parametrize("chunk_bytes", [3_000, MIB - 1, 9 * MIB])
def test_several_threads(chunk_bytes: int, tmp_path: Path) -> None:
    data = data_of(40 * MIB + 5)
    piece_bytes = 3 * MIB
    file = open_in(tmp_path, len(data), piece_bytes=piece_bytes)
    ranges = [(77, len(data)), (0, 77)]
    file.hash(ranges)
    runs = iter(file.missing())
    turn = threading.Lock()

    def work() -> None:
        while True:
            with turn:
                run = next(runs, None)
            if run is None:
                return
            send(file, data, run, chunk_bytes=chunk_bytes)

    workers = [threading.Thread(target=work) for _ in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    check(tmp_path, data, file.finish(), ranges)
    file.close()


def test_ranges_that_the_first_bytes_tell(tmp_path: Path) -> None:
    """A safetensors header says where the data begin; those before are read back."""
    data = data_of(MIB)
    file = open_in(tmp_path, MIB)
    send(file, data, (0, 30_000))
    assert file.hashed_bytes == 0
    ranges = [(20_000, MIB)]
    file.hash(ranges)
    wait_for(lambda: file.hashed_bytes == 30_000)
    send_missing(file, data)
    check(tmp_path, data, file.finish(), ranges)
    file.close()


def test_a_big_chunk_goes_through_the_small_memory(tmp_path: Path) -> None:
    data = data_of(50 * MIB)
    file = open_in(tmp_path, len(data))
    file.hash()
    file.write(0, data[: 20 * MIB])
    file.write(20 * MIB, data[20 * MIB :])
    check(tmp_path, data, file.finish())
    file.close()


def test_wrong_places_are_refused_and_change_nothing(tmp_path: Path) -> None:
    data = data_of(2_500)
    file = open_in(tmp_path, 2_500, piece_bytes=1_000)
    file.write(0, data[:300])
    file.write(2_000, data[2_000:2_010])
    wrong = [(0, 1), (299, 1), (301, 1), (1_001, 1), (300, 1_701), (2_009, 1), (2_010, 491)]
    for offset, length in [*wrong, (2_500, 1), (1 << 63, 1), ((1 << 64) - 1, 2)]:
        with pytest.raises(ValueError, match="byte"):
            file.write(offset, bytes(length))
    with pytest.raises(OverflowError):
        file.write(-1, b"x")
    with pytest.raises(TypeError):
        file.write(300, "text")  # type: ignore[arg-type]
    file.write(7, b"")
    assert file.missing() == [(300, 1_000), (1_000, 2_000), (2_010, 2_500)]
    file.write(300, data[300:2_000])
    file.write(2_010, data[2_010:])
    check(tmp_path, data, file.finish())
    file.close()


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    for piece_bytes in (0, 1):
        with pytest.raises(ValueError, match="no pieces of"):
            open_in(tmp_path, 2 << 20, piece_bytes=piece_bytes)
    assert list(tmp_path.iterdir()) == []
    file = open_in(tmp_path, 10)
    for ranges in ([(0, 11)], [(3, 2)], [(0, 1)] * 17):
        with pytest.raises(ValueError, match="range"):
            file.hash(ranges)
    file.hash()
    with pytest.raises(ValueError, match="already"):
        file.hash()
    with pytest.raises(ValueError, match="missing"):
        file.finish()
    file.write(0, bytes(10))
    assert file.finish().sha256 == file.finish().sha256
    file.close()


def test_restarted_it_is_as_new(tmp_path: Path) -> None:
    data = data_of(3 * MIB)
    file = open_in(tmp_path, len(data))
    file.hash([(0, 5)])
    file.write(0, bytes(MIB))
    file.sync()
    file.write(2 * MIB, bytes(MIB))
    file.restart()
    assert file.written_bytes == file.hashed_bytes == 0
    assert file.missing()[0] == (0, PIECE_BYTES)
    file.hash([(7, 9)])
    send(file, data, (0, len(data)))
    check(tmp_path, data, file.finish(), [(7, 9)])
    file.sync()
    file.restart()
    file.close()
    # The disk knows it, too.
    for boot_id in (None, "another"):
        file = open_in(tmp_path, len(data), boot_id=boot_id)
        assert file.is_resumed
        assert file.written_bytes == 0
        file.close()


def test_restarted_while_others_write(tmp_path: Path) -> None:
    """They may be refused, as what they know has changed; nothing of theirs comes in twice."""
    data = data_of(24 * MIB)
    file = open_in(tmp_path, len(data), piece_bytes=MIB)
    refused = threading.Event()

    def work(numbers: range) -> None:
        for number in numbers:
            try:
                send(file, data, (number * MIB, (number + 1) * MIB), chunk_bytes=100_000)
            except ValueError:
                refused.set()

    for _ in range(20):
        file.hash()
        halves = (range(0, 24, 2), range(1, 24, 2))
        workers = [threading.Thread(target=work, args=(half,)) for half in halves]
        for worker in workers:
            worker.start()
        file.restart()
        for worker in workers:
            worker.join()
        file.restart()
    assert file.written_bytes == 0
    file.hash()
    send(file, data, (0, len(data)))
    check(tmp_path, data, file.finish())
    file.close()


def test_closed(tmp_path: Path) -> None:
    file = open_in(tmp_path, 10)
    file.write(0, bytes(10))
    file.close()
    file.close()
    assert file.written_bytes == 10
    calls = (file.hash, file.missing, file.sync, file.finish, file.restart)
    for call in (*calls, lambda: file.write(0, b"x")):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_closed_under_a_thread_that_waits(tmp_path: Path) -> None:
    file = open_in(tmp_path, 256 * MIB, piece_bytes=256 * MIB)
    block = bytes(MIB)
    told: list[BaseException] = []

    def work() -> None:
        try:
            for offset in range(0, 256 * MIB, MIB):
                file.write(offset, block)
            file.finish()
        except ValueError as error:
            told.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    wait_for(lambda: file.written_bytes > 0)
    file.close()
    worker.join()
    assert "closed" in str(told[0])


def test_digests_tell_how_long_hashing_took(tmp_path: Path) -> None:
    file = open_in(tmp_path, 1)
    file.hash()
    file.write(0, b"x")
    digests = file.finish()
    assert 0 < digests.seconds < 60
    assert repr(digests).startswith("FileDigests(blake3='")
