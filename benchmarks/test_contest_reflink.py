"""File systems with reflinks: the copy costs nothing, so only the digests are left to do."""

import dataclasses
import statistics

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import native
from benchmarks.conftest import ContestOptions
from benchmarks.contenders import EXTENSION
from benchmarks.contest import Outcome
from benchmarks.data import EIGHT, LARGE, Load
from benchmarks.drives import Place, clones
from benchmarks.play import at_most, play, task_in
from benchmarks.results import Bar

NEEDED_BYTES = 2 * EIGHT.total_bytes
MAX_ONE = 0.90
# What the file system notes of a clone is not data of the file.
MAX_WRITTEN_BYTES = 64 << 10

pytestmark = pytest.mark.skipif(
    not native.HAS_BATCHES, reason="needs copy_many of modelcellar-hashing"
)


def _bars(outcome: Outcome, load: Load) -> list[Bar]:
    written = statistics.median(outcome.values(EXTENSION, lambda sample: sample.write_call_bytes))
    bars = [
        Bar(f"{EXTENSION} writes no data", f"{written:,.0f} bytes", written <= MAX_WRITTEN_BYTES)
    ]
    if load.files == 1:
        bars.append(at_most(outcome, EXTENSION, MAX_ONE))
    return bars


@pytest.mark.parametrize("load", [LARGE, EIGHT], ids=["one", "eight"])
def test_reflink(
    benchmark: BenchmarkFixture, drive: Place, contest_options: ContestOptions, load: Load
) -> None:
    """Clones and both digests; here the bars count on loop devices, nothing being written."""
    if not clones(drive.path):
        pytest.skip(f"{drive.label} has no reflinks")
    with task_in(drive, load, contest_options, reflink=True) as task:
        play(
            benchmark,
            task,
            dataclasses.replace(drive, judged=True),
            contest_options,
            case=f"{load.name} reflink",
            title=f"Reflink and both digests, {task.load}, durable",
            champion=EXTENSION,
            judge=lambda outcome: _bars(outcome, task.load),
        )
