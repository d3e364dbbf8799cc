"""A reader that fails costs one file, and its failure is in the log."""

import logging
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelcellar.formats import inspect_file, inspect_model
from modelcellar.formats.cursor import damaged
from modelcellar.formats.last_resort import guarded, reader_failed
from tests.core.formats.builders import samples, torch_zip_entries, zip_file


def dive(depth: int = 0) -> int:
    return dive(depth + 1)


def raising(error: Exception) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    "work",
    [
        dive,
        *map(
            raising,
            (
                *(ValueError("x"), KeyError("x"), IndexError(1), OverflowError("x"), MemoryError()),
                *(AttributeError("x"), TypeError("x"), UnicodeDecodeError("a", b"", 0, 1, "x")),
                *(struct.error("x"), zlib.error("x"), damaged("x"), AssertionError("x")),
            ),
        ),
    ],
)
def test_any_failure_becomes_a_value(
    work: Callable[[], int], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert guarded(work, 7) == 7
    assert caplog.records[0].exc_info


def test_errors_of_the_disk_come_through() -> None:
    with pytest.raises(OSError, match="disk"):
        guarded(raising(OSError(5, "disk")), 7)
    assert guarded(lambda: 3, 7) == 3


def test_the_file_is_refused() -> None:
    refusal = reader_failed().refusal
    assert refusal is not None
    assert refusal.code == "reader_failed"
    assert reader_failed().security.verdict == "not_checked"


@pytest.fixture
def little_room() -> Iterator[Callable[[int], None]]:
    """Lets calls go only so much deeper than here, so that readers fail at some depth."""
    limit = sys.getrecursionlimit()
    depth = 0
    frame = sys._getframe()
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    logging.disable(logging.CRITICAL)  # The handlers need more room than the readers.
    try:
        yield lambda more: sys.setrecursionlimit(depth + more)
    finally:
        sys.setrecursionlimit(limit)
        logging.disable(logging.NOTSET)


def test_files_are_looked_at_under_guard(
    tmp_path: Path, little_room: Callable[[int], None]
) -> None:
    path = tmp_path / "model"
    path.write_bytes(zip_file(torch_zip_entries()))
    inspect_file(path)
    inspect_model([path], {})
    usual = sys.getrecursionlimit()
    outcomes = set()
    for room in range(5, 60):
        try:
            little_room(room)
            found = inspect_file(path)
            told = inspect_model([path], {})
        except RecursionError:
            continue  # Not even the guard was reached.
        finally:
            sys.setrecursionlimit(usual)
        outcomes.add((found.refusal and found.refusal.code, bool(told)))
    assert ("reader_failed", False) in outcomes
    assert found.refusal is None


@pytest.mark.parametrize("name", samples())
def test_ordinary_files_do_not_need_it(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "model"
    path.write_bytes(samples()[name])
    assert inspect_file(path).refusal is None
    assert not caplog.records
