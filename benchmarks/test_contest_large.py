"""One large file: a copy with both digests, or the digests alone."""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import ContestOptions
from benchmarks.contenders import COMMAND, EXTENSION, F1, THREADS
from benchmarks.contest import Outcome
from benchmarks.data import LARGE
from benchmarks.drives import Place
from benchmarks.play import at_most, play, task_in
from benchmarks.results import Bar

NEEDED_BYTES = 2 * LARGE.total_bytes
MAX_EXTENSION = 0.95
MAX_COMMAND = 1.10
MAX_MEMORY_BYTES = 160 << 20


def _bars(outcome: Outcome) -> list[Bar]:
    memory = max(outcome.values(EXTENSION, lambda sample: sample.peak_memory_bytes))
    return [
        at_most(outcome, EXTENSION, MAX_EXTENSION),
        at_most(outcome, EXTENSION, 1.0, to=THREADS),
        at_most(outcome, COMMAND, MAX_COMMAND),
        Bar(
            f"{EXTENSION} at most {MAX_MEMORY_BYTES >> 20} MiB of memory",
            f"{memory / 2**20:.0f} MiB",
            memory <= MAX_MEMORY_BYTES,
        ),
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
            judge=lambda outcome: [at_most(outcome, EXTENSION, 1.0, to=F1)],
        )
