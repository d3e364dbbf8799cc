"""Eight large files, and 10,000 small ones."""

import statistics

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import ContestOptions
from benchmarks.contenders import COMMAND, EXTENSION, LOOP
from benchmarks.contest import Outcome
from benchmarks.data import EIGHT, SMALL
from benchmarks.drives import Place
from benchmarks.play import at_most, memory_at_most, play, task_in
from benchmarks.results import Bar

NEEDED_BYTES = 2 * EIGHT.total_bytes
MAX_EIGHT = 0.65
MAX_EIGHT_HASH = 0.50
MAX_MEMORY_BYTES = 160 << 20
MIN_TIMES_LOOP = 3
MIN_FILES_PER_S = 8_000
MIN_MODELS_PER_S = 1_000


def _eight_bars(outcome: Outcome) -> list[Bar]:
    return [
        at_most(outcome, EXTENSION, MAX_EIGHT),
        memory_at_most(outcome, EXTENSION, MAX_MEMORY_BYTES),
    ]


@pytest.mark.parametrize("durable", [False, True], ids=["written", "durable"])
def test_eight_copies(
    benchmark: BenchmarkFixture, drive: Place, contest_options: ContestOptions, durable: bool
) -> None:
    """Eight files of 256 MiB, where several SHA-256 chains can run side by side."""
    when = "durable" if durable else "written, fsync off"
    with task_in(drive, EIGHT, contest_options, durable=durable) as task:
        play(
            benchmark,
            task,
            drive,
            contest_options,
            case=f"eight {'durable' if durable else 'written'}",
            title=f"Copy and both digests, {task.load}, {when}",
            champion=EXTENSION,
            # With fsync on, the disk has its say; the bar is about processors.
            judge=lambda outcome: [] if durable else _eight_bars(outcome),
        )


def test_eight_hashes(
    benchmark: BenchmarkFixture, drive: Place, contest_options: ContestOptions
) -> None:
    """The same without a copy."""
    with task_in(drive, EIGHT, contest_options, copy=False) as task:
        play(
            benchmark,
            task,
            drive,
            contest_options,
            case="eight hash",
            title=f"Both digests, {task.load}",
            champion=EXTENSION,
            judge=lambda outcome: [at_most(outcome, EXTENSION, MAX_EIGHT_HASH)],
        )


def test_small_copies(
    benchmark: BenchmarkFixture, drive: Place, contest_options: ContestOptions
) -> None:
    """10,000 files of 16 KiB, durable; for ``cellar import`` they are as many models."""
    with task_in(drive, SMALL, contest_options) as task:
        files = task.load.files
        play(
            benchmark,
            task,
            drive,
            contest_options,
            case="small durable",
            title=f"Copy and both digests, {task.load}, durable",
            champion=EXTENSION,
            judge=lambda outcome: _small_bars(outcome, files),
            notes=[
                f"`{LOOP}` calls fsync for each file; `{LOOP}, one sync` once for all of them.",
            ],
        )


def _small_bars(outcome: Outcome, files: int) -> list[Bar]:
    return [
        at_most(outcome, EXTENSION, 1 / MIN_TIMES_LOOP, to=LOOP),
        _rate(outcome, EXTENSION, files, MIN_FILES_PER_S, "files"),
        _rate(outcome, COMMAND, files, MIN_MODELS_PER_S, "models"),
    ]


def _rate(outcome: Outcome, name: str, files: int, least: int, unit: str) -> Bar:
    seconds = statistics.median(outcome.values(name, lambda sample: sample.seconds))
    rate = files / seconds
    return Bar(f"{name} at least {least:,} {unit}/s", f"{rate:,.0f} {unit}/s", rate >= least)
