"""Samples that rule out equality, and never prove it."""

from pathlib import Path

import pytest

from modelcellar.io.compare import SAMPLE_BYTES, SAMPLES, could_be_equal

SIZE = 1_000_003


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two files with the same bytes."""
    paths = (tmp_path / "one", tmp_path / "two")
    for path in paths:
        path.write_bytes(bytes(n % 251 for n in range(SIZE)))
    return paths


def change(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff")


def test_equal_files_could_be_equal(pair: tuple[Path, Path]) -> None:
    assert could_be_equal(*pair, SIZE)


@pytest.mark.parametrize("number", [0, 7, SAMPLES - 1])
def test_a_changed_sample_rules_it_out(pair: tuple[Path, Path], number: int) -> None:
    step = (SIZE - SAMPLE_BYTES) // (SAMPLES - 1)
    at_sample = number * step + SAMPLE_BYTES - 1
    change(pair[1], at_sample)
    assert not could_be_equal(*pair, SIZE)


def test_a_change_between_samples_is_not_seen(pair: tuple[Path, Path]) -> None:
    change(pair[1], SAMPLE_BYTES + 10)
    assert could_be_equal(*pair, SIZE)


@pytest.mark.parametrize("size", [0, 1, SAMPLE_BYTES])
def test_small_files_are_compared_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / "one").write_bytes(b"x" * size)
    (tmp_path / "two").write_bytes(b"x" * size)
    assert could_be_equal(tmp_path / "one", tmp_path / "two", size)
    if size:
        (tmp_path / "two").write_bytes(b"x" * (size - 1) + b"y")
        assert not could_be_equal(tmp_path / "one", tmp_path / "two", size)


def test_an_unreadable_library_file_could_be_equal(pair: tuple[Path, Path]) -> None:
    assert could_be_equal(pair[0], pair[0].with_name("missing"), SIZE)
    with pytest.raises(FileNotFoundError):
        could_be_equal(pair[0].with_name("missing"), pair[0], SIZE)
