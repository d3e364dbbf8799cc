"""Disks that seek, without one: traced requests replayed through a model, and a slow FUSE file."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import block_trace, data, drives, native, results, slow_disk
from benchmarks.arena import run_worker
from benchmarks.conftest import ContestOptions
from benchmarks.contenders import Contender, Task
from benchmarks.data import EIGHT, Load
from benchmarks.drives import Place
from benchmarks.figures import figure
from benchmarks.hdd_model import Replay, Request, parameter_sets, replay
from benchmarks.play import report_bars
from benchmarks.results import CLOCK, MODEL, Bar, SeekResult, SeekRow
from tests.support.filesystems import require_mounts

ROUNDS = 3
MIN_EFFICIENCY = {"from": 0.92, "to": 0.92, "same": 0.93}
WALL_LOAD = Load("wall", 8, 24 << 20)
OURS = "extension"
TITLES = {
    "from": "Eight files from a disk that seeks to one that does not",
    "to": "Eight files to a disk that seeks from one that does not",
    "same": "Eight files from a disk that seeks to the same disk",
}


@dataclass(frozen=True, slots=True)
class Bench:
    """A disk that seeks, and a place in memory that stands for one that does not."""

    disk: Place
    memory: Path


def _contenders(case: str) -> list[Contender]:
    options = {"streams": 1, "alternate": case == "same"}
    copies = tuple(
        (name, ({"call": call, "options": given},), name == OURS)
        for name, call, given in (
            (OURS, "cellar_batch", options),
            ("Python loop, file by file", "python_loop", {}),
            ("Python thread pool, eight streams", "thread_pool", {}),
            ("hash, then copy (two reads)", "two_passes", {}),
        )
    )
    return [Contender(name, steps, ours=ours) for name, steps, ours in copies]


def _eight_shells(task: Task) -> Contender:
    commands = [["cp", "--reflink=never", src, dst] for src, dst in task.jobs]
    flush = {"commands": [["sync", *(dst for _, dst in task.jobs)]]}
    return Contender("eight cp at once (no digests)", ({"commands": commands}, flush))


@pytest.fixture(params=["ext4"])
def traced(request: pytest.FixtureRequest, contest_options: ContestOptions) -> Iterator[Bench]:
    """A loop device whose requests can be traced."""
    require_mounts()
    if not block_trace.available():
        pytest.skip("needs the kernel's tracing (tracefs)")
    total = EIGHT.scaled(contest_options.scale).total_bytes
    size = drives.image_bytes(2 * total)
    with drives.loop_file_system(request.param, size) as disk, _memory(total) as memory:
        _call_it_rotating(disk)
        yield Bench(disk, memory)


@pytest.mark.parametrize("case", ["from", "to", "same"])
def test_modelled(traced: Bench, contest_options: ContestOptions, case: str) -> None:
    """What the disk is asked for, replayed through the model with three sets of parameters."""
    load = EIGHT.scaled(contest_options.scale)
    task = _task(traced, load, case)
    contenders = [*_contenders(case), _eight_shells(task)]
    sectors = int(drives.command("blockdev", "--getsz", traced.disk.device))
    disks = parameter_sets(sectors)
    replays: dict[tuple[str, str], list[Replay]] = {}
    rounds = min(ROUNDS, contest_options.rounds)
    for _ in range(rounds):
        for one in contenders:
            requests = _traced_run(traced, task, one)
            for disk in disks:
                replays.setdefault((one.name, disk.name), []).append(replay(requests, disk))
    job_bytes = load.total_bytes * (2 if case == "same" else 1)
    ours = {one.name for one in contenders if one.ours}
    rows = [
        SeekRow(
            name,
            name in ours,
            disk,
            figure([one.efficiency(job_bytes) for one in found]),
            figure([one.seconds for one in found]).median,
            figure([one.seeks_per_gib for one in found]).median,
        )
        for (name, disk), found in replays.items()
    ]
    bars = [_bar(row, MIN_EFFICIENCY[case]) for row in rows if row.name == OURS][:1]
    title = f"{TITLES[case]}, {load}"
    result = SeekResult(
        f"hdd {case}", title, MODEL, rounds, contest_options.scale, rows, bars, _notes()
    )
    _keep(result, contest_options)


@pytest.mark.parametrize("case", ["from", "to", "same"])
def test_by_the_clock(contest_options: ContestOptions, case: str) -> None:
    """The same on a disk that really takes its time; shown, not judged."""
    require_mounts()
    if not slow_disk.available():
        pytest.skip("needs FUSE and mfusepy (Debian package fuse3)")
    load = WALL_LOAD.scaled(contest_options.scale)
    size = drives.image_bytes(2 * load.total_bytes)
    efficiencies: dict[str, list[float]] = {}
    ours = set()
    with (
        _memory(size + load.total_bytes) as memory,
        slow_disk.slow_file(memory, size) as image,
        drives.loop_file_system("ext4", size, image=image) as disk,
    ):
        _call_it_rotating(disk)
        bench = Bench(disk, memory)
        task = _task(bench, load, case)
        rounds = min(ROUNDS, contest_options.rounds)
        ideal_s = load.total_bytes * (2 if case == "same" else 1) / slow_disk.BYTES_PER_S
        for _ in range(rounds):
            for one in _contenders(case):
                _prepare(bench, task)
                seconds = run_worker(one, task)["seconds"]
                began = time.perf_counter()
                drives.command("sync", "--file-system", disk.path)
                seconds += time.perf_counter() - began
                efficiencies.setdefault(one.name, []).append(ideal_s / seconds)
                ours |= {one.name} if one.ours else set()
    parameters = slow_disk.constant_rate_disk(size).name
    rows = [
        SeekRow(name, name in ours, parameters, figure(found), ideal_s / figure(found).median)
        for name, found in efficiencies.items()
    ]
    title = f"{TITLES[case]}, {load}, by the clock"
    result = SeekResult(f"hdd {case}", title, CLOCK, rounds, contest_options.scale, rows)
    _keep(result, contest_options)


def _task(bench: Bench, load: Load, case: str) -> Task:
    """The task of a case, its sources made where they belong."""
    source = bench.memory if case == "to" else bench.disk.path
    target = bench.memory if case == "from" else bench.disk.path
    sources = data.make_sources(source / load.name, load)
    return Task(load, tuple(sources), target / "copies", durable=True)


def _prepare(bench: Bench, task: Task) -> None:
    """An empty target, and nothing of the disk in memory."""
    assert task.target is not None
    data.remove_tree(task.target)
    task.target.mkdir()
    os.sync()
    drives.remount(bench.disk)


def _traced_run(bench: Bench, task: Task, one: Contender) -> list[Request]:
    """The requests of one run, until everything is written."""
    _prepare(bench, task)
    with block_trace.tracing(bench.disk.device) as trace:
        run_worker(one, task)
        drives.command("sync", "--file-system", bench.disk.path)
    return trace.requests


def _call_it_rotating(disk: Place) -> None:
    """Let the kernel believe that the loop device rotates, as detection would see it."""
    queue = Path("/sys/block") / Path(disk.device).name / "queue" / "rotational"
    queue.write_text("1\n", encoding="ascii")


@contextmanager
def _memory(needed_bytes: int) -> Iterator[Path]:
    """A folder in memory; skips without room for ``needed_bytes`` and as much again."""
    base = drives.MEMORY
    if not base.is_dir() or shutil.disk_usage(base).free < 2 * needed_bytes:
        pytest.skip("needs room in /dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="modelcellar-bench-", dir=base))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _bar(row: SeekRow, least: float) -> Bar:
    met = row.efficiency.median >= least
    return Bar(f"{row.name}: {least:.0%} of ideal, {row.disk}", f"{row.efficiency.median:.1%}", met)


def _notes() -> list[str]:
    if native.HAS_BATCHES:
        return []
    return ["This version of modelcellar-hashing does not order its work by the disk yet."]


def _keep(result: SeekResult, options: ContestOptions) -> None:
    results.save(options.results, result)
    print(f"\n{result.title}: {result.rounds} rounds")
    for row in result.rows:
        seeks = "" if row.seeks_per_gib is None else f"{row.seeks_per_gib:8.0f} seeks/GiB"
        print(
            f"  {row.name:34} {row.efficiency!s} of ideal {row.seconds:7.1f} s {seeks} {row.disk}"
        )
    report_bars(result.bars, options)
