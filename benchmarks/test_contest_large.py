"""One large file: a copy with both digests, or the digests alone."""

import dataclasses

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import ContestOptions
from benchmarks.contenders import COMMAND, EXTENSION, F1, THREADS
from benchmarks.contest import Outcome
from benchmarks.data import LARGE, LARGEST
from benchmarks.drives import Place
from benchmarks.play import at_most, memory_at_most, play, task_in
from benchmarks.results import Bar

NEEDED_BYTES = 2 * LARGE.total_bytes
MAX_EXTENSION = 0.95
MAX_COMMAND = 1.10
MAX_MEMORY_BYTES = 160 << 20


def _bars(outcome: Outcome) -> list[Bar]:
    return [
        at_most(outcome, EXTENSION, MAX_EXTENSION),
        at_most(outcome, EXTENSION, 1.0, to=THREADS),
        at_most(outcome, COMMAND, MAX_COMMAND),
        memory_at_most(outcome, EXTENSION, MAX_MEMORY_BYTES),
    ]


@pytest.mark.parametrize("durable", [False, True], ids=["written", "durable"])
def test_copy(
    benchmark: BenchmarkFixture, drive: Place, contest_options: ContestOptions, durable: bool
) -> None:
    """The copy with both digests, with fsync for everybody and without it for everybody."""
    when = "durable" if durable else "written, fsync off"
    with task_in(drive, LARGE, contest_options, durable=durable) as task:
        play(
            benchmark,
            task,
            drive,
            contest_options,
            case=f"large {'durable' if durable else 'written'}",
            title=f"Copy and both digests, {task.load}, {when}",
            champion=EXTENSION,
            judge=_bars,
        )


def test_hash(benchmark: BenchmarkFixture, drive: Place, contest_options: ContestOptions) -> None:
    """Both digests without a copy; SHA-256 of one file is a chain, so F1 is the floor."""
    with task_in(drive, LARGE, contest_options, copy=False) as task:
        play(
            benchmark,
            task,
            drive,
            contest_options,
            case="large hash",
            title=f"Both digests, {task.load}",
            champion=EXTENSION,
            judge=lambda _: [],
        )


def test_largest(
    benchmark: BenchmarkFixture, drive: Place, contest_options: ContestOptions
) -> None:
    """Four times the size needs no more memory; few rounds, for the memory is what counts."""
    if not drive.judged:
        pytest.skip("on named drives only")
    options = dataclasses.replace(contest_options, rounds=min(3, contest_options.rounds))
    with task_in(drive, LARGEST, options) as task:
        play(
            benchmark,
            task,
            drive,
            options,
            case="largest durable",
            title=f"Copy and both digests, {task.load}, durable",
            champion=EXTENSION,
            judge=lambda outcome: [
                memory_at_most(outcome, name, MAX_MEMORY_BYTES) for name in (EXTENSION, COMMAND)
            ],
            only={F1, EXTENSION, COMMAND, THREADS},
        )
