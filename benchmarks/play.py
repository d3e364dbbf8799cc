"""Plays one contest from a task to a saved result, and judges its bars."""

import functools
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import data, no_sync, results
from benchmarks.arena import Arena
from benchmarks.conftest import ContestOptions
from benchmarks.contenders import F1, Contender, Task, contenders
from benchmarks.contest import Outcome, run_contest
from benchmarks.drives import Place
from benchmarks.quiet import quiet_machine
from benchmarks.results import Bar, Result

FEWEST_ROUNDS = 5
Judge = Callable[[Outcome], list[Bar]]


@contextmanager
def task_in(
    place: Place,
    load: data.Load,
    options: ContestOptions,
    *,
    copy: bool = True,
    durable: bool = True,
    reflink: bool = False,
) -> Iterator[Task]:
    """The task with its sources made in ``place``; everything is removed afterwards."""
    if not durable and not no_sync.available():
        pytest.skip("fsync can be switched off for all on Linux on x86-64 and arm64 only")
    folder = place.path / load.name
    sources = data.make_sources(folder, load.scaled(options.scale))
    target = place.path / "copies" if copy else None
    try:
        yield Task(load.scaled(options.scale), tuple(sources), target, durable, reflink)
    finally:
        shutil.rmtree(folder)
        os.sync()


def play(
    benchmark: BenchmarkFixture,
    task: Task,
    place: Place,
    options: ContestOptions,
    *,
    case: str,
    title: str,
    champion: str,
    judge: Judge,
    notes: Sequence[str] = (),
    only: Collection[str] = (),
) -> Outcome:
    """All contenders against each other; the bars are judged where they count.

    Args:
        champion: which of ours is compared with the best opponent.
        judge: the bars, from the outcome.
        only: the names of those who take part, if not all do.
    """
    arena = Arena(task)
    every = [one for one in contenders(task) if not only or one.name in only]
    present = [one for one in every if not one.missing()]
    absent = [f"not there: {one.name} (no {one.missing()})" for one in every if one.missing()]
    entries = [arena.entry(one) for one in present]
    for entry in entries:
        entry.run()  # the first run of each is compared byte for byte, and not counted
    quiet = quiet_machine(smoke=options.smoke)
    rounds = options.rounds if place.judged else -(-options.rounds // 2)
    contest = functools.partial(run_contest, entries, rounds=rounds, quiet=quiet)
    outcome: Outcome = benchmark.pedantic(contest, rounds=1)  # type: ignore[no-untyped-call]
    arena.clean()
    if not outcome.rounds:
        pytest.fail(f"the machine was never quiet: {outcome.reasons}")
    peers = [one.name for one in present if _does_the_same(one)]
    best, against, verdict = results.against_best_peer(outcome, champion, peers)
    bars = judge(outcome) if place.judged else []
    result = Result(
        case,
        title,
        place.label,
        place.file_system,
        place.judged,
        len(outcome.rounds),
        outcome.discarded,
        options.scale,
        results.make_rows(
            outcome, [(one.name, one.ours) for one in present], F1, task.load.total_bytes
        ),
        bars,
        [*notes, *absent],
        champion,
        best,
        against,
        verdict,
    )
    keep(benchmark, result, options)
    if len(outcome.rounds) < min(FEWEST_ROUNDS, rounds):
        pytest.fail(f"the machine was hardly ever quiet: {outcome.reasons}")
    return outcome


def keep(benchmark: BenchmarkFixture, result: Result, options: ContestOptions) -> None:
    """Save and print a result; then its bars must be met, unless this is a trial."""
    results.save(options.results, result)
    benchmark.extra_info["ratios"] = {row.name: row.ratio.median for row in result.rows}
    benchmark.extra_info["discarded_rounds"] = result.discarded
    print(f"\n{result.title}, {result.place}: {result.kept} rounds, {result.discarded} discarded")
    for row in result.rows:
        print(f"  {row.name:32} {row.ratio!s:>20} x F1  {row.mb_per_s:7.0f} MB/s")
    print(f"  {result.conclusion}")
    report_bars(result.bars, options)


def report_bars(bars: Sequence[Bar], options: ContestOptions) -> None:
    """Print the bars; they must be met, unless this is a trial."""
    for bar in bars:
        print(f"  {'met' if bar.met else 'MISSED'}: {bar.text}: {bar.measured}")
    missed = [f"{bar.text}: {bar.measured}" for bar in bars if not bar.met]
    if missed and not options.smoke:
        pytest.fail("missed: " + "; ".join(missed))


def at_most(outcome: Outcome, name: str, limit: float, *, to: str = F1) -> Bar:
    """The bar that ``name`` takes at most ``limit`` times as long as ``to``."""
    ratio = outcome.ratio(name, to)
    return Bar(f"{name} at most {limit:.2f} x {short(to)}", str(ratio), ratio.median <= limit)


def memory_at_most(outcome: Outcome, name: str, limit_bytes: int) -> Bar:
    """The bar that ``name`` never needs more than ``limit_bytes`` beside what it started with."""
    most = max(outcome.values(name, lambda sample: sample.peak_memory_bytes))
    text = f"{name} at most {limit_bytes >> 20} MiB of memory"
    return Bar(text, f"{most / 2**20:.0f} MiB", most <= limit_bytes)


def short(name: str) -> str:
    """``F1`` for F1, whose name explains itself."""
    return name.partition(":")[0]


def _does_the_same(one: Contender) -> bool:
    return not one.ours and one.sha256 and one.blake3
