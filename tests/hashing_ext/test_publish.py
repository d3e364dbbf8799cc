"""Staged files and folders under their final names: all of it or nothing, never over another."""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelcellar_hashing import publish, sync_folder
from tests.hashing_ext.conftest import as_plain_user, inject, names_in
from tests.support.filesystems import MIB, Mounts
from tests.support.strace import fail_at, trace
from tests.support.trees import open_to_all

STEPS = ["create_parents", "sync_content", "rename", "sync_parents"]
FINAL = "models/a/final"


class StopHereError(Exception):
    """What a step is stopped with."""


def stage_file(folder: Path) -> Path:
    staged = folder / "staged"
    staged.write_bytes(b"weights" * 1000)
    return staged


def stage_folder(folder: Path) -> Path:
    staged = folder / "staged"
    (staged / "sub").mkdir(parents=True)
    (staged / "weights").write_bytes(b"weights" * 1000)
    (staged / "sub" / "config").write_bytes(b"{}")
    return staged


file_or_folder = pytest.mark.parametrize("stage", [stage_file, stage_folder])


def content(path: Path) -> object:
    """Everything at or below ``path``, to compare."""
    if path.is_dir():
        return {child.name: content(child) for child in path.iterdir()}
    return path.read_bytes() if path.exists() else None


@file_or_folder
def test_published(stage: Callable[[Path], Path], tmp_path: Path) -> None:
    staged = stage(tmp_path)
    expected = content(staged)
    steps: list[str] = []
    assert publish([(staged, tmp_path / FINAL)], on_step=steps.append) == [True]
    assert steps == STEPS
    assert content(tmp_path / FINAL) == expected
    assert not staged.exists()


@file_or_folder
@pytest.mark.parametrize("stopped", STEPS)
def test_stopped_at_each_step(stopped: str, stage: Callable[[Path], Path], tmp_path: Path) -> None:
    staged, final = stage(tmp_path), tmp_path / FINAL
    expected = content(staged)

    def stop(step: str) -> None:
        if step == stopped:
            raise StopHereError(step)

    with pytest.raises(StopHereError, match=stopped):
        publish([(staged, final)], on_step=stop)
    if stopped == "sync_parents":
        assert (content(staged), content(final)) == (None, expected)
    else:
        assert (content(staged), content(final)) == (expected, None)
        # Nothing stands in the way of another try.
        assert publish([(staged, final)]) == [True]
        assert content(final) == expected


@file_or_folder
@pytest.mark.parametrize("taken_by", ["file", "empty folder", "folder", "dangling link"])
def test_taken_name_is_left_alone(
    taken_by: str, stage: Callable[[Path], Path], tmp_path: Path
) -> None:
    staged, final = stage(tmp_path), tmp_path / "final"
    if taken_by == "file":
        final.write_text("mine")
    elif taken_by == "dangling link":
        final.symlink_to("nowhere")
    else:
        final.mkdir()
    if taken_by == "folder":
        (final / "mine").touch()
    before, expected = content(final), content(staged)

    assert publish([(staged, final)]) == [False]

    assert (content(staged), content(final)) == (expected, before)
    assert final.is_symlink() == (taken_by == "dangling link")


def test_one_flag_an_item(tmp_path: Path) -> None:
    items = []
    for number in range(5):
        (tmp_path / f"staged-{number}").write_text(str(number))
        items.append((tmp_path / f"staged-{number}", tmp_path / f"final-{number}"))
    (tmp_path / "final-1").write_text("mine")
    assert publish(items) == [True, False, True, True, True]
    assert (tmp_path / "final-1").read_text() == "mine"
    assert (tmp_path / "staged-1").read_text() == "1"
    assert (tmp_path / "final-4").read_text() == "4"


def test_nothing_to_publish() -> None:
    assert publish([]) == []


def test_replace_takes_the_place_of_a_file(tmp_path: Path) -> None:
    staged, final = tmp_path / "staged", tmp_path / "final"
    staged.write_text("new")
    final.write_text("old")
    assert publish([(staged, final)], replace=True) == [True]
    assert names_in(tmp_path) == ["final"]
    assert final.read_text() == "new"


def test_replace_is_for_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("file")
    (tmp_path / "folder").mkdir()
    for staged, final in [("folder", "new"), ("folder", "file"), ("file", "folder")]:
        with pytest.raises(IsADirectoryError):
            publish([(tmp_path / staged, tmp_path / final)], replace=True)
    assert names_in(tmp_path) == ["file", "folder"]


def test_missing_staged_item_stops_all_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    items = [(tmp_path / name, tmp_path / "new" / name) for name in ("there", "missing")]
    with pytest.raises(FileNotFoundError) as caught:
        publish(items)
    assert caught.value.filename == str(tmp_path / "missing")
    assert names_in(tmp_path) == ["there"]


def test_link_is_not_published(tmp_path: Path) -> None:
    (tmp_path / "staged").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="Neither a regular file nor a folder"):
        publish([(tmp_path / "staged", tmp_path / "final")])


def test_special_files_inside_a_folder_do_no_harm(tmp_path: Path) -> None:
    staged = stage_folder(tmp_path)
    (staged / "link").symlink_to("nowhere")
    os.mkfifo(staged / "fifo")
    assert publish([(staged, tmp_path / "final")]) == [True]
    assert names_in(tmp_path / "final") == ["fifo", "link", "sub", "weights"]


def test_file_in_the_way_of_a_parent(tmp_path: Path) -> None:
    staged = stage_file(tmp_path)
    (tmp_path / "models").write_text("not a folder")
    with pytest.raises(OSError, match="models") as caught:
        publish([(staged, tmp_path / FINAL)])
    assert caught.value.errno in {errno.EEXIST, errno.ENOTDIR}
    assert staged.exists()


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    staged = os.fsencode(stage_file(tmp_path))
    final = os.fsencode(tmp_path) + b"/\xff/\xfe"
    assert publish([(staged, final)]) == [True]
    assert os.path.exists(final)  # noqa: PTH110


def test_bare_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert publish([("staged", "final")]) == [True]
    assert publish([("final", "a/b/final")]) == [True]
    sync_folder(".")
    assert names_in(tmp_path / "a" / "b") == ["final"]


def test_two_file_systems(tmp_path: Path, mounts: Mounts) -> None:
    staged = stage_file(tmp_path)
    final = mounts.tmpfs(MIB) / "final"
    with pytest.raises(OSError, match="staged") as caught:
        publish([(staged, final)])
    assert caught.value.errno == errno.EXDEV
    assert (caught.value.filename, caught.value.filename2) == (str(staged), str(final))
    assert staged.exists()
    assert not final.exists()


def test_file_nobody_may_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    open_to_all(tmp_path)
    script = (
        "import os; folder = sys.argv[1]\n"
        "os.close(os.open(folder + '/staged', os.O_CREAT, 0))\n"
        "print(modelcellar_hashing.publish([(folder + '/staged', folder + '/final')]))"
    )
    assert as_plain_user(script, tmp_path).stdout.strip() == "[True]"


PUBLISH = (
    "import sys, modelcellar_hashing\n"
    "pairs = list(zip(sys.argv[1::2], sys.argv[2::2]))\n"
    "try: print(modelcellar_hashing.publish(pairs))\n"
    "except OSError as error: print(error.errno, error.filename)\n"
)


def publish_command(*items: tuple[Path, Path]) -> list[str | Path]:
    return [sys.executable, "-c", PUBLISH, *(path for item in items for path in item)]


def test_few_files_are_synced_each(tmp_path: Path) -> None:
    staged = stage_folder(tmp_path)
    run = trace(publish_command((staged, tmp_path / "final")), calls=["fsync", "syncfs"])
    assert run.stdout == "[True]\n"
    # Two files, two folders, and the parent.
    assert run.calls == {"fsync": 5}


def test_each_new_parent_is_synced(tmp_path: Path) -> None:
    command = publish_command((stage_file(tmp_path), tmp_path / FINAL))
    # The file; models/a for the new name; models for a, and tmp_path for models.
    assert trace(command, calls=["fsync", "syncfs"]).calls == {"fsync": 4}


def test_many_files_are_synced_at_once(tmp_path: Path) -> None:
    items = []
    for number in range(9):
        (tmp_path / f"staged-{number}").touch()
        items.append((tmp_path / f"staged-{number}", tmp_path / f"final-{number}"))
    run = trace(publish_command(*items), calls=["fsync", "syncfs"])
    assert run.calls == {"syncfs": 1, "fsync": 1}
    assert names_in(tmp_path) == [f"final-{number}" for number in range(9)]


@file_or_folder
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_failed_sync_of_content_publishes_nothing(
    error: str, stage: Callable[[Path], Path], tmp_path: Path
) -> None:
    staged, final = stage(tmp_path), tmp_path / "final"
    expected = content(staged)
    run = fail_at(publish_command((staged, final)), "fsync", 1, error)
    assert run.stdout.split()[0] == str(getattr(errno, error))
    assert run.calls == {"fsync": 1}, "a failed sync was tried again"
    assert (content(staged), content(final)) == (expected, None)


def test_failed_syncfs_publishes_nothing(tmp_path: Path) -> None:
    staged, final = tmp_path / "staged", tmp_path / "final"
    staged.mkdir()
    for number in range(20):
        (staged / str(number)).touch()
    run = fail_at(publish_command((staged, final)), "syncfs", 1, "EIO")
    assert run.stdout.split() == [str(errno.EIO), str(staged)]
    assert not final.exists()


@pytest.mark.parametrize(("error", "accepted"), [("EINVAL", True), ("EIO", False)])
def test_folder_that_cannot_be_synced(error: str, accepted: bool, tmp_path: Path) -> None:
    final = tmp_path / "folder" / "final"
    final.parent.mkdir()
    command = publish_command((stage_file(tmp_path), final))
    printed = inject(command, f"fsync:error={error}", only=final.parent)
    expected = "[True]" if accepted else f"{errno.EIO} {final.parent}"
    assert printed.strip() == expected
    assert final.exists()


@file_or_folder
@pytest.mark.parametrize("error", ["EINVAL", "ENOSYS"])
@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("taken", [True, False], ids=["taken", "free"])
def test_without_a_rename_that_refuses_to_replace(
    taken: bool, links: bool, error: str, stage: Callable[[Path], Path], tmp_path: Path
) -> None:
    """Old kernels, and file systems such as NTFS and FAT by FUSE."""
    staged, final = stage(tmp_path), tmp_path / "final"
    expected = content(staged)
    if taken:
        final.write_text("mine")
    failing = [f"renameat2:error={error}"] + ([] if links else ["linkat:error=EPERM"])
    printed = inject(publish_command((staged, final)), *failing)
    assert printed.strip() == str([not taken])
    after = (expected, b"mine") if taken else (None, expected)
    assert (content(staged), content(final)) == after


def test_sync_folder(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    sync_folder(os.fsencode(tmp_path))
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "missing")
    with pytest.raises(NotADirectoryError):
        sync_folder(stage_file(tmp_path))
