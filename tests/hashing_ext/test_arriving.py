"""A file that arrives in pieces ends as the bytes that were sent, and its digests are theirs."""

import hashlib
import random
import subprocess
from pathlib import Path

import pytest

from modelcellar_hashing import ArrivingFile, FileDigests
from tests.hashing_ext.conftest import MIB, permissions_of

KIB = 1024
Run = tuple[int, int]


def data_of(size_bytes: int) -> bytes:
    return random.Random(size_bytes).randbytes(size_bytes)


def open_in(
    folder: Path, size_bytes: int, *, piece_bytes: int = 64 * KIB, boot_id: str | None = None
) -> ArrivingFile:
    return ArrivingFile(
        folder / "data", folder / "record", size_bytes, piece_bytes=piece_bytes, boot_id=boot_id
    )


def send(
    file: ArrivingFile, data: bytes, start: int, end: int, *, chunk_bytes: int = 10_000
) -> None:
    for begin in range(start, end, chunk_bytes):
        file.write(begin, data[begin : min(begin + chunk_bytes, end)])


def send_missing(file: ArrivingFile, data: bytes) -> None:
    for start, end in file.missing():
        send(file, data, start, end)


def b3sum_of(path: Path) -> str:
    done = subprocess.run(["b3sum", "--no-names", path], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def check(folder: Path, data: bytes, digests: FileDigests, ranges: list[Run] | None = None) -> None:
    """By the programs of others."""
    assert (folder / "data").read_bytes() == data
    assert digests.size_bytes == len(data)
    assert digests.sha256 == hashlib.sha256(data).hexdigest()
    assert digests.blake3 == b3sum_of(folder / "data")
    wanted = [hashlib.sha256(data[start:end]).hexdigest() for start, end in ranges or []]
    assert digests.range_sha256 == wanted
    assert not digests.cloned


@pytest.mark.parametrize("size_bytes", [0, 1, 64 * KIB, 64 * KIB + 1, 3 * MIB - 1])
def test_one_piece_after_the_other(size_bytes: int, tmp_path: Path) -> None:
    data = data_of(size_bytes)
    file = open_in(tmp_path, size_bytes)
    file.hash()
    assert not file.is_resumed
    assert permissions_of(tmp_path / "data") == permissions_of(tmp_path / "record") == 0o600
    assert (tmp_path / "data").stat().st_size == size_bytes
    send(file, data, 0, size_bytes)
    assert file.missing() == []
    check(tmp_path, data, file.finish())
    assert file.written_bytes == file.hashed_bytes == file.size_bytes == size_bytes
    file.close()


def test_resumed(tmp_path: Path) -> None:
    data = data_of(MIB)
    file = open_in(tmp_path, MIB)
    send(file, data, 0, 100_000)
    file.close()
    file = open_in(tmp_path, MIB, piece_bytes=1)
    assert file.is_resumed
    assert file.piece_bytes == 64 * KIB
    assert file.written_bytes == 100_000
    send_missing(file, data)
    check(tmp_path, data, file.finish())
