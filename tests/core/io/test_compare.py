"""Samples that rule out equality, and never prove it."""

from pathlib import Path

import pytest

from modelcellar.io.compare import SAMPLE_BYTES, SAMPLES, Samples

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


def test_equal_files_may_be_twins(pair: tuple[Path, Path]) -> None:
    assert Samples().may_be_twins(pair, SIZE) == set(pair)


@pytest.mark.parametrize("number", [0, 7, SAMPLES - 1])
def test_a_changed_sample_rules_it_out(pair: tuple[Path, Path], number: int) -> None:
    step = (SIZE - SAMPLE_BYTES) // (SAMPLES - 1)
    at_sample = number * step + SAMPLE_BYTES - 1
    change(pair[1], at_sample)
    assert not Samples().may_be_twins(pair, SIZE)


def test_a_change_between_samples_is_not_seen(pair: tuple[Path, Path]) -> None:
    change(pair[1], SAMPLE_BYTES + 10)
    assert Samples().may_be_twins(pair, SIZE) == set(pair)


def test_only_those_that_are_alike_to_the_end_may_be_twins(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    other, late = tmp_path / "other", tmp_path / "late"
    other.write_bytes(b"\xff" * SIZE)
    late.write_bytes(pair[0].read_bytes()[:-1] + b"\xff")
    assert Samples().may_be_twins([*pair, other, late], SIZE) == set(pair)


@pytest.mark.parametrize("size", [0, 1, SAMPLE_BYTES])
def test_small_files_are_compared_whole(tmp_path: Path, size: int) -> None:
    paths = (tmp_path / "one", tmp_path / "two")
    for path in paths:
        path.write_bytes(b"x" * size)
    assert Samples().may_be_twins(paths, size) == set(paths)
    if size:
        paths[1].write_bytes(b"x" * (size - 1) + b"y")
        assert not Samples().may_be_twins(paths, size)


def test_any_may_be_the_twin_of_an_unreadable_file(pair: tuple[Path, Path]) -> None:
    change(pair[1], 0)
    three = {*pair, pair[0].with_name("missing")}
    assert Samples().may_be_twins(three, SIZE) == three


def test_each_sample_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pair by pair, a thousand files of one size would be read half a million times."""
    paths = [tmp_path / str(n) for n in range(30)]
    for number, path in enumerate(paths):
        path.write_bytes(b"head" * 2048 + number.to_bytes(2) * 50_000)
    opened = 0
    original = Path.open

    def count(self: Path, *args: object, **kwargs: object) -> object:
        nonlocal opened
        opened += 1
        return original(self, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", count)
    samples = Samples()
    for end in (10, 20, 30):
        assert not samples.may_be_twins(paths[:end], paths[0].stat().st_size)
    assert opened == 60
