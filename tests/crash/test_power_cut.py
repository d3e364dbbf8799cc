"""What is left under a name after the power went away, on real file systems.

First plain recipes, whose different outcomes prove that this method tells a durable write from one
that only looks like it; then our own calls, which have to be complete every time.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import modelcellar_hashing
from tests.support.filesystems import JOURNALLING, MIB, Mounts, Volume
from tests.support.strace import kill_at, trace

OLD = b"old" * 50_000
NEW = bytes(range(256)) * 256
MANY = 300

_libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
RENAME_NOREPLACE = 1


@pytest.fixture(params=JOURNALLING)
def volume(request: pytest.FixtureRequest, mounts: Mounts) -> Volume:
    return mounts.make(request.param)


def sync_path(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert _libc.syncfs(descriptor) == 0, os.strerror(ctypes.get_errno())
    finally:
        os.close(descriptor)


def rename_without_replacing(source: Path, target: Path) -> None:
    names = os.fsencode(source), os.fsencode(target)
    done = _libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_NOREPLACE)
    assert done == 0, os.strerror(ctypes.get_errno())


def link_and_unlink(source: Path, target: Path) -> None:
    os.link(source, target)
    source.unlink()


def state(path: Path) -> str:
    """What a reader finds under a name."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return "absent"
    return {b"": "empty", OLD: "old", NEW: "complete"}.get(content, "torn")


# Recipes: each makes `new` in the folder, from `temp`.


def write_rename(folder: Path) -> None:
    (folder / "temp").write_bytes(NEW)
    (folder / "temp").rename(folder / "new")


def write_rename_sync_folder(folder: Path) -> None:
    write_rename(folder)
    sync_path(folder)


def write_sync_rename(folder: Path) -> None:
    (folder / "temp").write_bytes(NEW)
    sync_path(folder / "temp")
    (folder / "temp").rename(folder / "new")


def durable(publish: Callable[[Path, Path], object]) -> Callable[[Path], None]:
    def recipe(folder: Path) -> None:
        (folder / "temp").write_bytes(NEW)
        sync_path(folder / "temp")
        publish(folder / "temp", folder / "new")
        sync_path(folder)

    return recipe


def unnamed_then_linked(folder: Path) -> None:
    descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o644)
    try:
        assert os.write(descriptor, NEW) == len(NEW)
        os.fsync(descriptor)
        # The folder's descriptor makes Python call linkat, which alone can follow this link.
        target = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.link(f"/proc/self/fd/{descriptor}", "new", dst_dir_fd=target, follow_symlinks=True)
        os.close(target)
    finally:
        os.close(descriptor)
    sync_path(folder)


RECIPES = {
    "write, rename": (write_rename, "absent"),
    "write, rename, fsync folder": (write_rename_sync_folder, "empty"),
    "write, fsync, rename": (write_sync_rename, "absent"),
    "write, fsync, rename, fsync folder": (durable(Path.rename), "complete"),
    "write, fsync, rename NOREPLACE, fsync folder": (durable(rename_without_replacing), "complete"),
    "write, fsync, link, unlink, fsync folder": (durable(link_and_unlink), "complete"),
    "O_TMPFILE, write, fsync, linkat, fsync folder": (unnamed_then_linked, "complete"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_new_name(name: str, volume: Volume, mounts: Mounts) -> None:
    recipe, expected = RECIPES[name]
    recipe(volume.path)
    assert state(volume.path / "new") == "complete"

    mounts.power_cut(volume)

    assert state(volume.path / "new") == expected


def test_fsynced_temporary_survives_a_lost_rename(volume: Volume, mounts: Mounts) -> None:
    write_sync_rename(volume.path)
    mounts.power_cut(volume)
    assert state(volume.path / "temp") == "complete"


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        pytest.param(write_rename, "old", id="write, rename"),
        pytest.param(write_sync_rename, "old", id="write, fsync, rename"),
        pytest.param(durable(Path.rename), "complete", id="write, fsync, rename, fsync folder"),
    ],
)
def test_replaced_name(
    recipe: Callable[[Path], None], expected: str, volume: Volume, mounts: Mounts
) -> None:
    (volume.path / "new").write_bytes(OLD)
    sync_file_system(volume.path)

    recipe(volume.path)
    mounts.power_cut(volume)

    assert state(volume.path / "new") == expected


def test_new_subfolder_synced_without_its_parent(volume: Volume, mounts: Mounts) -> None:
    """These three keep the folder's own name as well; POSIX promises no such thing."""
    (volume.path / "sub").mkdir()
    durable(Path.rename)(volume.path / "sub")
    mounts.power_cut(volume)
    assert state(volume.path / "sub" / "new") == "complete"


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (("syncfs", "rename"), "absent"),
        (("syncfs", "rename", "fsync"), "complete"),
        (("rename", "syncfs"), "complete"),
    ],
    ids=", ".join,
)
def test_many_names_by_one_syncfs(
    steps: tuple[str, ...], expected: str, volume: Volume, mounts: Mounts
) -> None:
    folder = volume.path
    for number in range(5):
        (folder / f"temp{number}").write_bytes(NEW)
    for step in steps:
        if step == "syncfs":
            sync_file_system(folder)
        elif step == "fsync":
            sync_path(folder)
        else:
            for number in range(5):
                (folder / f"temp{number}").rename(folder / f"new{number}")

    mounts.power_cut(volume)

    assert {state(folder / f"new{number}") for number in range(5)} == {expected}


# Our own calls.


def stage_file(root: Path) -> list[tuple[Path, Path]]:
    (root / "staged").write_bytes(NEW)
    return [(root / "staged", root / "final")]


def stage_below_new_parents(root: Path) -> list[tuple[Path, Path]]:
    (root / "staged").write_bytes(NEW)
    return [(root / "staged", root / "a" / "b" / "c" / "final")]


def stage_tree(root: Path) -> list[tuple[Path, Path]]:
    for name in ("model.gguf", "vae/weights", "vae/deep/er/config.json", "unet/weights"):
        path = root / "staged" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(NEW)
    return [(root / "staged", root / "models" / "final")]


def stage_many(root: Path) -> list[tuple[Path, Path]]:
    (root / "staging").mkdir()
    items = [(root / "staging" / f"{n}", root / "models" / f"{n}") for n in range(MANY)]
    for staged, _ in items:
        staged.write_bytes(NEW)
    return items


STAGED = {
    "file": stage_file,
    "new parents": stage_below_new_parents,
    "tree": stage_tree,
    "many files": stage_many,
}


def contents(path: Path) -> dict[str, str]:
    """The state of a file, or of every file below a folder; empty when there is nothing."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if not file.is_dir())
        return {str(file.relative_to(path)): state(file) for file in files}
    return {"": state(path)} if path.exists() else {}


@pytest.mark.parametrize("name", STAGED)
def test_published_is_complete(name: str, volume: Volume, mounts: Mounts) -> None:
    items = STAGED[name](volume.path)
    staged = [contents(path) for path, _ in items]

    done = modelcellar_hashing.publish(items)
    mounts.power_cut(volume)

    assert done == [True] * len(items)
    assert [contents(final) for _, final in items] == staged
    assert all(set(files.values()) == {"complete"} for files in staged)


@pytest.mark.parametrize("name", STAGED)
def test_publish_cut_before_each_step(name: str, volume: Volume, mounts: Mounts) -> None:
    items = STAGED[name](volume.path)
    whole = [contents(path) for path, _ in items]
    images: dict[str, Path] = {}
    modelcellar_hashing.publish(
        items, on_step=lambda step: images.update({step: volume.snapshot(step)})
    )
    assert list(images) == ["create_parents", "sync_content", "rename", "sync_parents"]

    for step, image in images.items():
        mounts.mount(volume, image)
        for (staged, final), files in zip(items, whole, strict=True):
            assert contents(final) in ({}, files), step
            if step in {"rename", "sync_parents"}:
                # The content is on the disk by now, under the one name or the other.
                assert files in (contents(staged), contents(final)), step


def test_publish_that_replaces(volume: Volume, mounts: Mounts) -> None:
    (volume.path / "final").write_bytes(OLD)
    sync_file_system(volume.path)
    images: dict[str, Path] = {}

    modelcellar_hashing.publish(
        stage_file(volume.path),
        replace=True,
        on_step=lambda step: images.update({step: volume.snapshot(step)}),
    )
    mounts.power_cut(volume)
    assert state(volume.path / "final") == "complete"

    for step, image in images.items():
        mounts.mount(volume, image)
        assert state(volume.path / "final") in {"old", "complete"}, step


def test_copy_is_complete(volume: Volume, mounts: Mounts, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(NEW)

    copied = modelcellar_hashing.copy_with_hashing(source, volume.path / "final")
    mounts.power_cut(volume)

    assert copied.size_bytes == len(NEW)
    assert state(volume.path / "final") == "complete"
    assert [path.name for path in volume.path.iterdir() if path.name != "lost+found"] == ["final"]


def test_copy_killed_anywhere_and_then_cut(volume: Volume, mounts: Mounts, tmp_path: Path) -> None:
    """The worst disk for this: it holds everything that was written before the kill."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(5 * MIB))
    copy = "import sys, modelcellar_hashing as m; m.copy_with_hashing(sys.argv[1], sys.argv[2])"
    command = [sys.executable, "-c", copy, str(source)]
    whole = trace([*command, volume.path / "final"])
    assert whole.exit_code == 0, whole.stderr
    assert {"fsync", "pwrite64", "renameat2"} <= set(whole.calls)

    # A strace older than the kernel cannot stop at calls that it has no name for.
    named = {call: count for call, count in whole.calls.items() if not call.startswith("syscall_")}
    points = [(call, n) for call, count in named.items() for n in range(1, count + 1)]
    finals = [volume.path / f"{call}-{nth}" for call, nth in points]
    for (call, nth), final in zip(points, finals, strict=True):
        killed = kill_at([*command, final], call, nth)
        assert killed.exit_code == -signal.SIGKILL, (call, nth)
    sync_file_system(volume.path)
    mounts.power_cut(volume)

    published = [final for final in finals if final.exists()]
    # Killed before the rename there is no final name, killed after it there is one.
    assert 0 < len(published) < len(finals)
    assert {path.read_bytes() == source.read_bytes() for path in published} == {True}


def test_publish_syncs_every_new_parent(volume: Volume) -> None:
    """A power cut cannot show this here (see above), so the calls are counted."""
    [(staged, final)] = stage_below_new_parents(volume.path)
    publish = "import sys, modelcellar_hashing as m; m.publish([(sys.argv[1], sys.argv[2])])"

    run = trace([sys.executable, "-c", publish, staged, final])

    assert run.exit_code == 0, run.stderr
    # The file, then c, which holds its name, then b, a and the folder that was there before.
    assert run.calls["fsync"] == 5
