"""The library's own disk gets full, at any byte; and what happens once there is room again."""

import errno
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from modelcellar import ModelLibrary
from modelcellar.records import EditChanges
from modelcellar.reports import ImportReport, ImportStatus
from tests.support.command import CommandResult
from tests.support.filesystems import MIB, Mounts
from tests.support.invariants import (
    Batch,
    check_files,
    check_library,
    check_originals,
    files_below,
    make_batch,
    sha256,
)
from tests.support.worker import settings

KIB = 1024
BIG_BYTES = 2 * MIB
EMPTY_BYTES = 256 * KIB
"""More than a library takes that holds nothing."""
ROOMS_BYTES = random.Random(8).sample(range(16 * KIB, BIG_BYTES + MIB), 24)
LEFT_BYTES = [*range(0, 32 * KIB, 4 * KIB), 48 * KIB, 64 * KIB, 96 * KIB]


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return make_batch(tmp_path / "source", big_bytes=BIG_BYTES)


@contextmanager
def only_no_space() -> Iterator[None]:
    """What is inside may fail, but only so that a user knows why and where."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is None:
            raise


def make_room(folder: Path) -> None:
    """Somebody buys a bigger disk."""
    subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)


def fill(folder: Path, left_bytes: int) -> None:
    """Take all the room but ``left_bytes``."""
    with (folder / "filler").open("wb", buffering=0) as file:
        block = bytes(4 * KIB)
        with suppress(OSError):
            while True:
                file.write(block)
        file.truncate(max(0, file.tell() - left_bytes))


def failures(report: ImportReport) -> set[str]:
    """The codes of what failed."""
    failed = (result for result in report.results if result.status is ImportStatus.FAILED)
    return {result.error.code for result in failed if result.error is not None}


@pytest.mark.parametrize("room_bytes", ROOMS_BYTES)
def test_import_until_full(room_bytes: int, batch: Batch, mounts: Mounts) -> None:
    disk = mounts.tmpfs(EMPTY_BYTES + room_bytes)
    root = disk / "library"
    with ModelLibrary.create(root, settings=settings(root)) as library:
        report = library.import_paths([batch.folder])
    assert failures(report) <= {"no_space"}
    if EMPTY_BYTES + room_bytes < BIG_BYTES:
        assert failures(report), "the big file cannot have come in"
    check_originals(root, [batch])
    check_files(root)

    make_room(disk)

    check_library(root, [batch])


@pytest.mark.parametrize("size_bytes", [KIB, *range(16 * KIB, 400 * KIB, 48 * KIB)])
def test_no_room_for_the_library_itself(size_bytes: int, batch: Batch, mounts: Mounts) -> None:
    disk = mounts.tmpfs(size_bytes)
    root = disk / "library"
    with only_no_space(), ModelLibrary.create(root, settings=settings(root)) as library:
        assert failures(library.import_paths([batch.folder])) == {"no_space"}
    check_originals(root, [batch])

    make_room(disk)

    ModelLibrary.create(root, settings=settings(root)).close()
    check_library(root, [batch])


ACTIONS: dict[str, Callable[[ModelLibrary], object]] = {
    "list": lambda library: library.list_models(),
    "edit": lambda library: library.edit("big", EditChanges(note="n" * 3000)),
    "remove": lambda library: library.remove("text"),
    "undo": lambda library: library.undo(),
    "verify": lambda library: library.verify(),
    "rebuild": lambda library: library.rebuild(),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_other_changes_on_a_full_disk(action: str, batch: Batch, mounts: Mounts) -> None:
    disk = mounts.tmpfs(16 * MIB)
    root = disk / "library"
    with ModelLibrary.create(root, settings=settings(root)) as library:
        library.import_paths([batch.folder])
    for left_bytes in LEFT_BYTES:
        fill(disk, left_bytes)
        with only_no_space(), ModelLibrary(root, settings=settings(root)) as library:
            ACTIONS[action](library)
        check_originals(root, [batch])
        check_files(root)
        kept = {sha256(path) for name in ("models", "trash") for path in files_below(root / name)}
        assert frozenset().union(*batch.models) <= kept
        (disk / "filler").unlink()
        check_library(root, [batch])


def test_the_command_says_no_space(
    cellar: Callable[..., CommandResult], batch: Batch, mounts: Mounts
) -> None:
    disk = mounts.tmpfs(MIB)
    place = {"MODELCELLAR_LIBRARY": str(disk / "library"), "MODELCELLAR_MIN_FREE_BYTES": "0"}
    big = batch.folder / "big.safetensors"

    run = cellar("import", big, "--json", env=place, check=False)

    assert run.exit_code == 8, run.stderr
    assert [found["error"]["code"] for found in run.json()["results"]] == ["no_space"]
    fill(disk, 0)
    small = batch.folder / "small-0.safetensors"
    run = cellar("import", small, "--json", env=place, check=False)
    assert run.exit_code == 8, run.stdout + run.stderr
    make_room(disk)
    cellar("import", batch.folder / "text", env=place)
