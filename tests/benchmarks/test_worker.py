"""What a contender is measured by, on tiny files."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import data, no_sync
from benchmarks.arena import ROOT, Arena, WrongResultError
from benchmarks.calls import CALLS
from benchmarks.contenders import COMMAND, EXTENSION, F1, LIBRARY, Contender, Task, contenders

LINUX_ONLY = pytest.mark.skipif(not no_sync.available(), reason="needs Linux on x86-64 or arm64")
LOAD = data.Load("tiny", 3, 40_000)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="benchmarks need Linux")


@pytest.fixture
def task(tmp_path: Path) -> Task:
    sources = data.make_sources(tmp_path / "sources", LOAD)
    return Task(LOAD, tuple(sources), tmp_path / "copies", durable=True)


def test_the_same_seed_makes_the_same_file_and_never_zeros(tmp_path: Path) -> None:
    names = ("a", "b", "c")
    for name, seed in zip(names, ("1", "1", "2"), strict=True):
        data.write_seeded_model(tmp_path / name, 100_000, seed)
    first, same, other = ((tmp_path / name).read_bytes() for name in names)
    assert first == same != other
    assert len(first) == 100_000
    assert first.count(0) < 1000
    assert (tmp_path / "a").stat().st_blocks * 512 >= 100_000


def test_loads_are_scaled_by_size_or_by_number() -> None:
    assert data.LARGE.scaled(0.5).size_bytes == data.LARGE.size_bytes // 2
    assert data.SMALL.scaled(0.01) == data.Load("small", 100, 16384)
    assert [str(load) for load in (data.LARGE, data.EIGHT, data.SMALL)] == [
        "one file of 1 GiB",
        "8 x 256 MiB",
        "10,000 x 16 KiB",
    ]


def test_every_contender_does_what_it_says(task: Task) -> None:
    arena = Arena(task)
    present = [one for one in contenders(task) if not one.missing()]
    assert {F1, EXTENSION, COMMAND, LIBRARY} <= {one.name for one in present}
    for one in present:
        found = arena.run(one)
        assert found.seconds > 0, one.name
        assert found.read_call_bytes >= LOAD.total_bytes, one.name
        assert (found.write_call_bytes >= LOAD.total_bytes) == one.copies, one.name
    arena.clean()
    assert task.target is not None
    assert not task.target.exists()


def test_hashing_alone(task: Task) -> None:
    task = dataclasses.replace(task, target=None)
    arena = Arena(task)
    for one in contenders(task):
        if not one.missing():
            assert arena.run(one).write_call_bytes < LOAD.total_bytes, one.name


def test_who_copies_nothing_is_out(task: Task) -> None:
    liar = Contender("liar", ({"call": "thread_pool"},))
    task_without_copy = dataclasses.replace(task, target=None)
    assert Arena(task_without_copy).run(liar)
    hasher = Contender("hasher", ({"commands": [["sha256sum", *map(str, task.sources)]]},))
    with pytest.raises(WrongResultError, match="3 digests missing"):
        Arena(task).run(hasher)
    with pytest.raises(WrongResultError, match="0 of 3 copied"):
        Arena(task).run(dataclasses.replace(hasher, blake3=False))


def test_who_copies_other_bytes_is_out(task: Task) -> None:
    script = 'for name; do head -c 40000 /dev/zero > "$name"; done'
    command = ["sh", "-c", script, "sh", *(dst for _, dst in task.jobs)]
    zeros = Contender("zeros", ({"commands": [command]},), sha256=False, blake3=False)
    with pytest.raises(WrongResultError, match="0 of 3 copied"):
        Arena(task).run(zeros)


def test_a_failing_program_is_not_a_fast_one(task: Task) -> None:
    with pytest.raises(WrongResultError, match="'false'"):
        Arena(task).run(Contender("fails", ({"commands": [["false"]]},)))


def test_all_functions_can_be_called_by_name() -> None:
    assert set(CALLS) >= {"sha256_alone", "python_loop", "python_threads", "cellar_batch"}


@LINUX_ONLY
def test_fsync_off_means_no_fsync(tmp_path: Path) -> None:
    """A flush of a pipe fails with EINVAL; with the filter it does nothing and succeeds."""
    script = (
        "import os; from benchmarks import no_sync; inlet = os.pipe()[1]\n"
        "try: os.fsync(inlet)\n"
        "except OSError: print('refused')\n"
        "no_sync.switch_fsync_off(); os.fsync(inlet); os.fdatasync(inlet); os.sync()\n"
        "os.mkdir('made'); print(os.path.isdir('made'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert done.stdout.split() == ["refused", "True"]


@LINUX_ONLY
def test_fsync_is_off_for_contenders_and_programs_of_a_task_that_is_not_durable(task: Task) -> None:
    script = "import os; os.fsync(os.pipe()[1])"
    step = {"commands": [[sys.executable, "-c", script]]}
    flusher = Contender("flusher", (step,), sha256=False, blake3=False, copies=False)
    with pytest.raises(WrongResultError, match="Invalid argument"):
        Arena(task).run(flusher)
    off = Arena(dataclasses.replace(task, durable=False))
    assert off.run(flusher)
    assert off.run(contenders(task)[1])
