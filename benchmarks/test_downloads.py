"""Downloads beside ``curl`` and the Hub's own program, from a server in a process of its own.

The server is the fake Hub of the tests on the loopback; what is compared are runs of one round,
each a whole command from start to end. Ours takes both digests meanwhile, and what it brought is
durable in the end.
"""

import functools
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import GIB, MIB, ContestOptions, write_model
from benchmarks.contest import Entry, Outcome, run_contest
from benchmarks.downloaders import CELLAR, CURL, HF, Downloads, Job, remove
from benchmarks.figures import figure
from benchmarks.quiet import quiet_machine
from tests.support.fake_server import fake_server

NEEDED_BYTES = 3 * GIB
CURL_SHARE = 0.9
HF_FACTOR = 1.5
HF_FACTOR_SMALL = 3.0
MAX_MEMORY_BYTES = 200 * MIB
FAR_BYTES = 512 * MIB
ONE_WAY_MS = 40
CONNECTIONS = 8
SMALL_FILES = 1000
MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def repos(contest_options: ContestOptions) -> Iterator[Path]:
    """A large file, one for a long way, and many small ones; in memory, where there is room."""
    base = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=base, prefix="modelcellar-bench-") as folder:
        for name, size in {"large": GIB, "far": FAR_BYTES}.items():
            path = Path(folder, "acme", name, "model.safetensors")
            path.parent.mkdir(parents=True)
            write_model(path, int(size * contest_options.scale))
        write_small(
            Path(folder, "acme", "small"), max(10, int(SMALL_FILES * contest_options.scale))
        )
        yield Path(folder)


def write_small(folder: Path, count: int) -> None:
    """One model with small files of configuration, a hundred to a folder, as pipelines have."""
    folder.mkdir(parents=True)
    write_model(folder / "model.safetensors", 64 << 10)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    for number in range(count - 2):
        path = folder / f"part-{number // 100:02}" / f"settings-{number:04}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"number": number, "text": "x" * (number * 7 % 3000)}))


@pytest.fixture(params=["memory", "disk"])
def target(request: pytest.FixtureRequest, place: Path) -> Iterator[Path]:
    """Where the programs download to."""
    base = MEMORY if request.param == "memory" else place
    with tempfile.TemporaryDirectory(dir=base, prefix="modelcellar-bench-") as folder:
        yield Path(folder, request.param)
        remove(Path(folder, request.param))


def contest(
    benchmark: BenchmarkFixture, options: ContestOptions, entries: Sequence[Entry]
) -> Outcome:
    """Every program once a round, after a first run that does not count."""
    for entry in entries:
        entry.run()
    quiet = quiet_machine(smoke=options.smoke)
    play = functools.partial(run_contest, entries, rounds=options.rounds, quiet=quiet)
    outcome: Outcome = benchmark.pedantic(play, rounds=1)  # type: ignore[no-untyped-call]
    if not outcome.rounds:
        pytest.skip(f"the machine was never quiet: {outcome.reasons}")
    return outcome


def tell(outcome: Outcome, entries: Sequence[Entry], size_bytes: int) -> None:
    """Print what each took."""
    print(f"\n  {len(outcome.rounds)} rounds, {outcome.discarded} discarded")
    for entry in entries:
        seconds = figure(outcome.values(entry.name, lambda sample: sample.seconds)).median
        cpu_s = figure(outcome.values(entry.name, lambda sample: sample.cpu_s)).median
        peak = max(outcome.values(entry.name, lambda sample: sample.peak_memory_bytes)) / MIB
        ratio = outcome.ratio(entry.name, entries[0].name)
        print(
            f"  {entry.name:28} {seconds:7.2f} s  {size_bytes / 1e6 / seconds:7.1f} MB/s"
            f"  {cpu_s:6.2f} s CPU  {peak:5.0f} MiB  {ratio!s} x {entries[0].name}"
        )


def test_a_large_file(
    benchmark: BenchmarkFixture, contest_options: ContestOptions, repos: Path, target: Path
) -> None:
    """The bars: 0.9 of the rate of ``curl``, 1.5 of that of ``hf download``, 200 MiB."""
    with fake_server(repos) as server:
        job = Job(
            "acme/large", repos / "acme" / "large", server.hub_url, target, "model.safetensors"
        )
        made = Downloads(job)
        entries = [made.curl(), made.curl_and_sync(), made.hf(), made.call(), made.cellar()]
        outcome = contest(benchmark, contest_options, entries)
    tell(outcome, entries, job.size_bytes)
    assert peak_bytes(outcome) <= MAX_MEMORY_BYTES
    if contest_options.smoke:
        return
    assert outcome.ratio(CELLAR, CURL).median <= 1 / CURL_SHARE
    assert outcome.ratio(CELLAR, HF).median <= 1 / HF_FACTOR


def test_many_small_files(
    benchmark: BenchmarkFixture, contest_options: ContestOptions, repos: Path, target: Path
) -> None:
    """The bar: three times as fast as ``hf download``."""
    with fake_server(repos) as server:
        job = Job("acme/small", repos / "acme" / "small", server.hub_url, target)
        made = Downloads(job)
        entries = [made.hf(), made.call(), made.cellar()]
        outcome = contest(benchmark, contest_options, entries)
    tell(outcome, entries, job.size_bytes)
    assert peak_bytes(outcome) <= MAX_MEMORY_BYTES
    if not contest_options.smoke:
        assert outcome.ratio(CELLAR, HF).median <= 1 / HF_FACTOR_SMALL


@pytest.mark.parametrize("connections", [1, CONNECTIONS])
def test_a_long_way(
    benchmark: BenchmarkFixture,
    contest_options: ContestOptions,
    repos: Path,
    target: Path,
    connections: int,
) -> None:
    """The bar: as fast as ``curl`` with as many connections, 80 ms of round trip away."""
    if target.name != "memory":
        pytest.skip("it is the way that is slow here")
    with fake_server(repos, "--delay-ms", str(ONE_WAY_MS)) as server:
        job = Job("acme/far", repos / "acme" / "far", server.hub_url, target, "model.safetensors")
        made = Downloads(job, connections=connections)
        entries = [made.curl_in_parts(), made.call(), made.cellar()]
        outcome = contest(benchmark, contest_options, entries)
    tell(outcome, entries, job.size_bytes)
    if not contest_options.smoke:
        assert outcome.ratio(CELLAR, entries[0].name).median <= 1.0


def peak_bytes(outcome: Outcome) -> float:
    """The most memory that ours has had."""
    return max(outcome.values(CELLAR, lambda sample: sample.peak_memory_bytes))
