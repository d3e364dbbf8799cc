"""Several processes on one library at once: nothing is lost, and no one sees half a change."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from modelcellar import ModelLibrary
from modelcellar.errors import LibraryBusyError
from modelcellar.reports import Progress
from tests.support.command import CommandResult
from tests.support.filesystems import MIB
from tests.support.invariants import Batch, check_library, make_batch
from tests.support.worker import command, settings

STORM_S = 8.0
TIMEOUT_S = 120.0
HOLD = """
import sys, time, filelock
with filelock.FileLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def batches(memory: Path) -> list[Batch]:
    """Three folders; the last two hold models of the first as well."""
    made = [make_batch(memory / f"source-{n}", big_bytes=MIB, seed=100 * n) for n in range(3)]
    first = made[0]
    for other in made[1:]:
        for name in ("big.safetensors", "text/model.safetensors"):
            copy = other.folder / f"again-{Path(name).name}"
            copy.write_bytes((first.folder / name).read_bytes())
    return [Batch.of(batch.folder) for batch in made]


@pytest.fixture
def root(memory: Path) -> Path:
    return memory / "library"


def start(commands: Sequence[Sequence[str]]) -> list[subprocess.Popen[str]]:
    return [
        subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for arguments in commands
    ]


def answers(processes: Sequence[subprocess.Popen[str]]) -> list[Any]:
    """What each said that came to its end by itself."""
    try:
        ended = [(*process.communicate(timeout=TIMEOUT_S), process) for process in processes]
    finally:
        for process in processes:
            process.kill()
    told = []
    for out, err, process in ended:
        if process.returncode >= 0:
            assert process.returncode == 0, out + err
            told.append(json.loads(out)["done"])
    return told


@pytest.mark.parametrize("count", [2, 4])
def test_created_by_several_at_once(count: int, memory: Path) -> None:
    for attempt in range(5):
        root = memory / f"library-{attempt}"
        ids = answers(start([command(root, "create")] * count))
        assert len(set(ids)) == 1
        assert not list(root.glob(".library.json*"))


@pytest.mark.parametrize("count", [2, 4])
def test_the_same_imported_by_several_at_once(count: int, root: Path, batches: list[Batch]) -> None:
    ModelLibrary.create(root, settings=settings(root)).close()
    folders = [batch.folder for batch in batches]
    orders = [random.Random(n).sample(folders, len(folders)) for n in range(count)]

    told = answers(start([command(root, "import", *order) for order in orders]))

    statuses = Counter(status for results in told for _, status, _ in results)
    models = frozenset().union(*(batch.models for batch in batches))
    assert statuses["imported"] == len(models)
    assert set(statuses) == {"imported", "duplicate", "refused"}
    check_library(root, batches)


@pytest.mark.parametrize(("count", "killed"), [(2, 0), (4, 2)])
def test_everything_at_once(count: int, killed: int, root: Path, batches: list[Batch]) -> None:
    ModelLibrary.create(root, settings=settings(root)).close()
    folders = [batch.folder for batch in batches]
    storm = [command(root, "storm", str(seed), str(STORM_S), *folders) for seed in range(count)]
    processes = start(storm)
    for process in processes[:killed]:
        time.sleep(STORM_S / (killed + 1))
        process.kill()

    told = answers(processes)

    assert len(told) == count - killed
    done = sum((Counter(found) for found in told), Counter())
    assert min(done[name] for name in ("_take_in", "_throw_out", "_take_back", "_look")) > 0, done
    check_library(root, batches)


@contextmanager
def held(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_busy_library(root: Path, batches: list[Batch]) -> None:
    ModelLibrary.create(root, settings=settings(root)).close()
    with (
        held(root / ".lock"),
        ModelLibrary(root, settings=settings(root, lock_timeout_s=0.5)) as library,
    ):
        began = time.monotonic()
        with pytest.raises(LibraryBusyError):
            library.import_paths([batches[0].folder])
        assert 0.5 <= time.monotonic() - began < 5
        assert library.list_models().total == 0
    check_library(root, batches)


def test_library_busy_while_publishing(root: Path, batches: list[Batch]) -> None:
    """Taken by another process between the copy and the publish: said for each source."""
    ModelLibrary.create(root, settings=settings(root)).close()
    with ExitStack() as stack:
        copying = ModelLibrary(root, settings=settings(root, lock_timeout_s=0.5))
        library = stack.enter_context(copying)
        taken = False

        def take_the_lock(progress: Progress) -> None:
            nonlocal taken
            if progress.phase == "copy" and not taken:
                taken = True
                stack.enter_context(held(root / ".lock"))

        report = library.import_paths([batches[0].folder], progress=take_the_lock)
    codes = {found.error.code for found in report.results if found.error is not None}
    assert "library_busy" in codes
    assert not report.models
    check_library(root, batches)


def test_the_command_says_busy(
    cellar: Callable[..., CommandResult], root: Path, batches: list[Batch]
) -> None:
    place = {"MODELCELLAR_LIBRARY": str(root), "MODELCELLAR_LOCK_TIMEOUT_S": "0.5"}
    cellar("init", root)
    with held(root / ".lock"):
        run = cellar("import", batches[0].folder, "--json", env=place, check=False)
        assert run.exit_code == 7, run.stderr
        assert run.json_error()["code"] == "library_busy"
        assert cellar("list", "--json", env=place).json()["total"] == 0


def test_next_one_goes_on_when_the_holder_is_killed(root: Path, batches: list[Batch]) -> None:
    ModelLibrary.create(root, settings=settings(root)).close()
    with held(root / ".lock") as holder:
        waiting = start([command(root, "import", batches[0].folder)])
        time.sleep(0.5)
        assert waiting[0].poll() is None
        holder.kill()
        told = answers(waiting)
    assert {status for _, status, _ in told[0]} == {"imported", "duplicate", "refused"}
    check_library(root, batches)
