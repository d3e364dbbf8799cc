"""SHA-256 of byte ranges, taken in the same read as the digests of the whole file."""

import hashlib
import random
from pathlib import Path

import pytest

from modelcellar_hashing import FileDigests, SourceChangedError, copy_with_hashing, hash_file
from tests.hashing_ext.conftest import MIB, names_in

SIZES = (0, 1, 63, 64, 65, 512 * 1024, 4 * MIB - 1, 4 * MIB, 9 * MIB + 5)


def of_ranges(data: bytes, ranges: list[tuple[int, int]]) -> list[str]:
    return [hashlib.sha256(data[start:end]).hexdigest() for start, end in ranges]


def both(path: Path, ranges: list[tuple[int, int]]) -> list[FileDigests]:
    target = path.with_name("copy")
    copied = copy_with_hashing(path, target, ranges=ranges)
    assert target.read_bytes() == path.read_bytes()
    target.unlink()
    return [hash_file(path, ranges=ranges), copied]


@pytest.mark.parametrize("size_bytes", SIZES)
def test_are_those_of_hashlib(tmp_path: Path, size_bytes: int) -> None:
    path = tmp_path / "source"
    path.write_bytes(random.Random(size_bytes).randbytes(size_bytes))
    rng = random.Random(5)
    edges = [0, size_bytes, size_bytes // 2, *(rng.randint(0, size_bytes) for _ in range(3))]
    ranges = [(start, end) for start in edges for end in edges if start <= end][:16]
    data = path.read_bytes()
    plain = hash_file(path)
    assert plain.range_sha256 == []
    for found in both(path, ranges):
        assert found.range_sha256 == of_ranges(data, ranges)
        assert (found.sha256, found.blake3) == (plain.sha256, plain.blake3)
        assert found.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("shift", [0, 1, 7, 63, 64, 65, 4096, 512 * 1024 - 1, 512 * 1024 + 1])
def test_long_range_beside_the_whole_file(tmp_path: Path, shift: int) -> None:
    path = tmp_path / "source"
    path.write_bytes(random.Random(shift).randbytes(6 * MIB + 11))
    size_bytes = path.stat().st_size
    ranges = [(MIB, MIB + 65536), (shift, size_bytes), (shift, size_bytes - shift)]
    for found in both(path, ranges):
        assert found.range_sha256 == of_ranges(path.read_bytes(), ranges)


def test_over_the_holes_of_a_sparse_file(tmp_path: Path) -> None:
    path = tmp_path / "source"
    with path.open("wb") as file:
        file.write(b"head")
        file.seek(20 * MIB)
        file.write(b"tail")
    ranges = [(2, 20 * MIB + 2), (MIB, 19 * MIB)]
    for found in both(path, ranges):
        assert found.range_sha256 == of_ranges(path.read_bytes(), ranges)


@pytest.mark.parametrize("ranges", [[(2, 1)], [(0, 11)], [(11, 11)], [(0, 1)] * 17])
def test_that_the_file_does_not_have(tmp_path: Path, ranges: list[tuple[int, int]]) -> None:
    path, target = tmp_path / "source", tmp_path / "copy"
    path.write_bytes(bytes(10))
    with pytest.raises(ValueError, match="range"):
        copy_with_hashing(path, target, ranges=ranges)
    with pytest.raises(ValueError, match="range"):
        hash_file(path, ranges=ranges)
    assert [found.name for found in tmp_path.iterdir()] == ["source"]


def test_negative_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "source"
    path.write_bytes(bytes(10))
    with pytest.raises((OverflowError, ValueError)):
        hash_file(path, ranges=[(-1, 5)])


EDGES = [0, 1, 63, 64, 65, 512 * 1024 - 1, 512 * 1024, 512 * 1024 + 1, 6 * MIB + 10, 6 * MIB + 11]


@pytest.mark.parametrize("start", EDGES)
def test_that_begin_and_end_at_the_edges_of_buffers(tmp_path: Path, start: int) -> None:
    path = tmp_path / "source"
    path.write_bytes(random.Random(start).randbytes(6 * MIB + 11))
    ranges = [(start, end) for end in EDGES if start <= end]
    for found in both(path, ranges):
        assert found.range_sha256 == of_ranges(path.read_bytes(), ranges)


def test_of_more_bits_than_fit_in_32(tmp_path: Path) -> None:
    path = tmp_path / "source"
    with path.open("wb") as file:
        file.truncate(513 * MIB)
        file.seek(7)
        file.write(b"not only zeros")
    found = hash_file(path, ranges=[(3, 513 * MIB)])
    with path.open("rb") as file:
        assert found.sha256 == hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(3)
        assert found.range_sha256 == [hashlib.file_digest(file, "sha256").hexdigest()]


def test_of_a_source_that_changes_meanwhile(big_source: Path, target_folder: Path) -> None:
    def change(done_bytes: int, total_bytes: int) -> None:
        if done_bytes < total_bytes:
            with big_source.open("r+b") as file:
                file.write(b"changed")

    ranges = [(8, big_source.stat().st_size)]
    with pytest.raises(SourceChangedError):
        copy_with_hashing(big_source, target_folder / "copy", ranges=ranges, progress=change)
    assert names_in(target_folder) == []
