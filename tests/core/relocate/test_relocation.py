"""Moving a library: by renaming, by copying, on, to and from other file systems, and again."""

import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.downloads.shelf import Shelf
from modelcellar.errors import (
    CellarError,
    LibraryBusyError,
    LibraryMovedError,
    LibraryNotFoundError,
    UsageError,
)
from modelcellar.io import hashing
from modelcellar.library import ModelLibrary
from modelcellar.records import EditChanges
from modelcellar.relocate.relocation import RelocateOptions, relocate
from modelcellar.relocate.transfer import Transfer
from modelcellar.reports import Progress, RelocateReport
from modelcellar.store import Store
from tests.support.doctor import Doctor
from tests.support.filesystems import JOURNALLING, MIB, Mounts
from tests.support.installations import write_comfyui
from tests.support.models import write_diffusers_folder, write_gguf, write_safetensors
from tests.support.trees import tree

COPY = RelocateOptions(copy=True)
DERIVED = frozenset({"catalog", ".lock", "library.json", "library.moved.json"})


@pytest.fixture
def root(settings: Settings, source_folder: Path) -> Path:
    """A library with three models, one of them edited, and a fourth in the trash."""
    write_gguf(source_folder / "one.gguf", seed=1)
    write_safetensors(source_folder / "two.safetensors", seed=2)
    write_diffusers_folder(source_folder / "pipe", seed=3)
    write_gguf(source_folder / "gone.gguf", seed=4)
    os.utime(source_folder / "one.gguf", (1_000_000_000, 1_000_000_000))
    with ModelLibrary.create(settings.library, settings=settings) as library:
        library.import_paths([source_folder], lookup=False)
        library.edit("one", EditChanges(note="mine"))
        library.remove("gone")
    return settings.library


def open_at(place: Path, settings: Settings) -> ModelLibrary:
    return ModelLibrary(place, settings=replace(settings, library=place))


def assert_whole(place: Path, settings: Settings, *, models: int = 3) -> None:
    """Every model is found and reads as it did, and what was removed can be brought back."""
    with open_at(place, settings) as library:
        report = library.verify()
        assert (report.checked, report.ok) == (models, models)
        assert library.get("one").note == "mine"
        assert library.search("pipe").total == 1
        assert library.undo().command == "remove"
        assert library.verify().ok == models + 1
    assert Doctor(place, replace(settings, library=place)).bad() == {}


def assert_moved(report: RelocateReport, root: Path, settings: Settings) -> None:
    """The old folder is as it was, but for its mark, and no command takes it for a library."""
    assert report.switched
    assert report.old_is_kept
    assert report.old_is_marked
    assert report.damaged == ()
    with pytest.raises(LibraryMovedError, match="was moved to"):
        open_at(root, settings)
    with pytest.raises(LibraryMovedError):
        ModelLibrary.create(root, settings=settings)


def test_on_one_disk_the_folder_is_renamed(root: Path, settings: Settings, tmp_path: Path) -> None:
    before, inode = tree(root, without=DERIVED), root.stat().st_ino
    library_id = open_at(root, settings).library_id
    target = tmp_path / "new" / "place"
    report = relocate(root, target, settings)
    assert (report.how, report.switched, report.copied_bytes) == ("renamed", True, 0)
    assert target.stat().st_ino == inode
    assert tree(target, without=DERIVED) == before
    assert not root.exists()
    with open_at(target, settings) as library:
        assert library.library_id == library_id
    assert_whole(target, settings)


def test_into_an_empty_folder(root: Path, settings: Settings, tmp_path: Path) -> None:
    target = tmp_path / "empty"
    target.mkdir()
    assert relocate(root, target, settings).how == "renamed"
    assert_whole(target, settings)


def test_by_copying(root: Path, settings: Settings, tmp_path: Path) -> None:
    before = tree(root, without=DERIVED)
    library_id = open_at(root, settings).library_id
    seen: list[Progress] = []
    report = relocate(root, tmp_path / "new", settings, COPY, progress=seen.append)
    assert report.how == "copied"
    assert (report.models, report.copied_bytes) == (3, report.size_bytes)
    assert seen[-1].bytes_done == seen[-1].bytes_total == report.size_bytes
    assert_moved(report, root, settings)
    assert tree(root, without=DERIVED) == before
    # Modes and all: what is not made anew is the same in both places.
    assert tree(tmp_path / "new", without=DERIVED) == before
    assert not (tmp_path / "new" / ".relocating.json").exists()
    one = next((tmp_path / "new").glob("models/one*/one.gguf"))
    assert one.stat().st_mtime == 1_000_000_000
    with open_at(tmp_path / "new", settings) as library:
        assert library.library_id == library_id
    assert_whole(tmp_path / "new", settings)


def test_the_time_in_the_trash_goes_on(root: Path, settings: Settings, tmp_path: Path) -> None:
    (entry,) = (root / "trash").iterdir()
    os.utime(entry, (1_000_000_000, 1_000_000_000))
    relocate(root, tmp_path / "new", settings, COPY)
    assert (tmp_path / "new" / "trash" / entry.name).stat().st_mtime == 1_000_000_000


@pytest.mark.parametrize("kind", JOURNALLING)
def test_to_another_file_system(kind: str, root: Path, settings: Settings, mounts: Mounts) -> None:
    volume = mounts.make(kind)
    target = volume.path / "library"
    report = relocate(root, target, settings)
    assert report.how == "copied"
    assert_moved(report, root, settings)
    mounts.power_cut(volume)
    # The mode of a folder is set after it got its name, which btrfs need not have written yet.
    Doctor(target, replace(settings, library=target)).mend()
    assert_whole(target, settings)


def test_to_the_top_of_a_file_system_and_back(
    root: Path, settings: Settings, mounts: Mounts, tmp_path: Path
) -> None:
    volume = mounts.make("ext4")  # where mkfs has made lost+found
    assert relocate(root, volume.path, settings).switched
    report = relocate(volume.path, tmp_path / "back", settings)
    assert (report.how, report.switched, report.left) == ("copied", True, ("lost+found",))
    assert_whole(tmp_path / "back", settings)


def test_to_a_file_system_without_permissions(
    root: Path, settings: Settings, mounts: Mounts
) -> None:
    volume = mounts.make("fuseblk")
    assert relocate(root, volume.path / "library", settings).switched
    with open_at(volume.path / "library", settings) as library:
        assert library.verify().ok == 3


def test_a_copy_in_two_subvolumes_shares_data(
    root: Path, settings: Settings, mounts: Mounts
) -> None:
    volume = mounts.make("btrfs")
    relocate(root, volume.path / "first", settings)
    report = relocate(volume.path / "first", volume.path / "second", settings, COPY)
    assert report.copied_bytes == report.size_bytes
    assert_whole(volume.path / "second", settings)


def test_from_a_disk_that_can_only_be_read(
    root: Path, settings: Settings, mounts: Mounts, tmp_path: Path
) -> None:
    place = mounts.tmpfs(32 * MIB)
    relocate(root, place / "library", settings)
    subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    report = relocate(place / "library", tmp_path / "saved", settings)
    assert (report.switched, report.old_is_kept, report.old_is_marked) == (True, True, False)
    # Once more: the new place may have changed since, so nothing is copied into it.
    with pytest.raises(UsageError, match="not empty"):
        relocate(place / "library", tmp_path / "saved", settings)
    assert_whole(tmp_path / "saved", settings)


def test_a_full_disk(root: Path, settings: Settings, mounts: Mounts) -> None:
    before = tree(root, without=DERIVED)
    place = mounts.tmpfs(64 * 1024)
    with (place / "filler").open("wb") as filler:
        filler.write(bytes(44 * 1024))
    with pytest.raises(OSError, match="no space") as caught:
        relocate(root, place / "library", settings)
    assert caught.value.errno == errno.ENOSPC
    assert not (place / "library").exists()
    # Also where it fills up while the copy is made.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modelcellar.relocate.relocation.remaining_bytes", lambda *_: 0)
        with pytest.raises(OSError, match="No space left") as caught:
            relocate(root, place / "library", settings)
    assert caught.value.errno == errno.ENOSPC
    assert tree(root, without=DERIVED) == before
    assert open_at(root, settings).totals()[0] == 3
    (place / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=32m", place], check=True)
    report = relocate(root, place / "library", settings)
    assert report.switched
    assert_whole(place / "library", settings)


@pytest.mark.parametrize("what", ["itself", "inside", "around", "file", "full", "library", "link"])
def test_places_that_are_refused(what: str, root: Path, settings: Settings, tmp_path: Path) -> None:
    other = tmp_path / "other"
    if what == "library":
        ModelLibrary.create(other, settings=settings).close()
    elif what == "full":
        other.mkdir()
        (other / "mine.txt").write_text("mine")
    elif what == "file":
        other.write_text("mine")
    elif what == "link":
        other.symlink_to(root)
    target = {"itself": root, "inside": root / "x", "around": root.parent}.get(what, other)
    before = tree(tmp_path, without=frozenset({".lock"}))
    for options in (RelocateOptions(), COPY):
        with pytest.raises(UsageError) as caught:
            relocate(root, target, settings, options)
        assert caught.value.hint
    assert tree(tmp_path, without=frozenset({".lock"})) == before


def test_a_dry_run_writes_nothing(root: Path, settings: Settings, tmp_path: Path) -> None:
    before = tree(root, without=DERIVED)
    report = relocate(root, tmp_path / "new", settings, RelocateOptions(dry_run=True))
    assert (report.how, report.switched, report.models) == ("renamed", False, 3)
    report = relocate(root, tmp_path / "new", settings, RelocateOptions(copy=True, dry_run=True))
    assert (report.how, report.switched) == ("copied", False)
    assert not (tmp_path / "new").exists()
    assert tree(root, without=DERIVED) == before


def test_without_a_library(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(LibraryNotFoundError):
        relocate(tmp_path / "none", tmp_path / "new", settings)
    assert not (tmp_path / "new").exists()


def break_one(root: Path, how: str) -> str:
    """Damage the file of the model called "one"; its id."""
    path = next(root.glob("models/one*/one.gguf"))
    path.parent.chmod(0o755)
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(data if how == "flipped" else data[:-1])
        path.chmod(0o444)
    path.parent.chmod(0o555)
    return path.parent.name


@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_a_damaged_model_keeps_the_library_where_it_is(
    how: str, root: Path, settings: Settings, tmp_path: Path
) -> None:
    model_id = break_one(root, how)
    report = relocate(root, tmp_path / "new", settings, COPY)
    assert not report.switched
    assert [(one.model_id, one.path) for one in report.damaged] == [(model_id, "one.gguf")]
    with open_at(root, settings) as library:
        assert library.totals()[0] == 3
        with pytest.raises(LibraryMovedError, match="not all of it is there"):
            open_at(tmp_path / "new", settings)
        library.remove("one")
    again = relocate(root, tmp_path / "new", settings, COPY)
    assert again.switched
    # What was copied by the first run was only read.
    assert again.copied_bytes < again.kept_bytes
    with open_at(tmp_path / "new", settings) as library:
        assert library.verify().ok == 2


@pytest.mark.parametrize("kind", JOURNALLING)
def test_the_power_goes_before_all_is_there(
    kind: str, root: Path, settings: Settings, mounts: Mounts
) -> None:
    """What was published is on the disk by then; whatever else is there is read, not believed."""
    volume = mounts.make(kind)
    target = volume.path / "library"
    break_one(root, "flipped")
    before = relocate(root, target, settings)
    assert not before.switched
    mounts.power_cut(volume)
    with open_at(root, settings) as library:
        library.remove("one")
    report = relocate(root, target, settings)
    assert report.switched
    assert 0 < report.kept_bytes < report.kept_bytes + report.copied_bytes
    assert_same(root, target)
    with open_at(target, settings) as library:
        assert library.verify().ok == 2


@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_damaged_models_can_be_taken_along(
    how: str, root: Path, settings: Settings, tmp_path: Path
) -> None:
    model_id = break_one(root, how)
    options = RelocateOptions(copy=True, with_damaged=True)
    report = relocate(root, tmp_path / "new", settings, options)
    assert report.switched
    assert [one.model_id for one in report.damaged] == [model_id]
    with open_at(tmp_path / "new", settings) as library:
        found = library.verify()
        assert (found.ok, len(found.damaged) + len(found.missing)) == (2, 1)


def test_a_good_copy_of_what_went_bad_since_is_kept(
    root: Path, settings: Settings, tmp_path: Path
) -> None:
    """A disk that dies during the move: what was saved is not given up."""
    whole = tmp_path / "whole"
    shutil.copytree(root, whole)
    two = next(root.glob("models/two*/two.safetensors"))
    two.chmod(0o644)
    two.write_bytes(b"bad")
    assert not relocate(root, tmp_path / "new", settings, COPY).switched
    break_one(root, "missing")
    shutil.copyfile(next(whole.glob("models/two*/two.safetensors")), two)
    report = relocate(root, tmp_path / "new", settings, COPY)
    assert (report.switched, report.damaged) == (True, ())
    with open_at(tmp_path / "new", settings) as library:
        assert library.verify().ok == 3


def test_what_an_earlier_run_left_counts_by_its_digest_only(
    root: Path, settings: Settings, tmp_path: Path
) -> None:
    break_one(root, "flipped")
    target = tmp_path / "new"
    relocate(root, target, settings, COPY)
    two = next(target.glob("models/two*/two.safetensors"))
    data = bytearray(two.read_bytes())
    data[-1] ^= 1
    two.parent.chmod(0o755)
    two.chmod(0o644)
    two.write_bytes(data)
    extra = next(target.glob("models/pipe*"))
    extra.chmod(0o755)
    (extra / "stranger").write_text("x")
    (target / "manifests" / "left-over-01234567.json").write_text("{}")
    (target / "models" / "left-over-01234567").mkdir()
    with open_at(root, settings) as library:
        library.remove("one")
    report = relocate(root, target, settings, COPY)
    assert report.switched
    assert report.copied_bytes > two.stat().st_size
    assert_same(root, target)


def assert_same(root: Path, target: Path) -> None:
    assert tree(target, without=DERIVED) == tree(root, without=DERIVED)


def test_changes_while_it_is_copied_come_along(
    root: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_units = Transfer.bring_units
    done = []

    def bring(self: Transfer, inventory: object) -> None:
        bring_units(self, inventory)  # type: ignore[arg-type]
        if not done:
            done.append(True)
            path = write_gguf(tmp_path / "more" / "late.gguf", seed=9)
            with open_at(root, settings) as library:
                library.import_paths([path], lookup=False)
                library.remove("two")
                library.edit("pipe", EditChanges(note="changed"))

    monkeypatch.setattr(Transfer, "bring_units", bring)
    report = relocate(root, tmp_path / "new", settings, COPY)
    assert report.switched
    assert_same(root, tmp_path / "new")
    with open_at(tmp_path / "new", settings) as library:
        assert [library.search(word).total for word in ("late", "two")] == [1, 0]
        assert library.get("pipe").note == "changed"
        assert library.verify().ok == 3


def test_whoever_opened_it_before_can_change_nothing_any_more(
    root: Path, settings: Settings, tmp_path: Path
) -> None:
    with open_at(root, settings) as library:
        relocate(root, tmp_path / "new", settings, COPY)
        before = tree(root)
        with pytest.raises(LibraryMovedError):
            library.remove("one")
        with pytest.raises(LibraryMovedError):
            library.import_paths([write_gguf(tmp_path / "x.gguf", seed=8)], lookup=False)
        assert tree(root) == before


def test_whoever_opened_it_before_does_not_make_the_old_folder_anew(
    root: Path, settings: Settings, tmp_path: Path
) -> None:
    """As a copy of hours does that is published at last."""
    store = Store(root, lock_timeout_s=5.0)
    assert relocate(root, tmp_path / "new", settings).how == "renamed"
    with pytest.raises(LibraryNotFoundError), store.lock():
        pass
    assert not root.exists()
    # It can be moved back there.
    assert relocate(tmp_path / "new", root, settings).how == "renamed"
    assert_whole(root, settings)


def test_a_second_run_at_the_same_time(root: Path, settings: Settings, tmp_path: Path) -> None:
    code = (
        "import sys; from modelcellar.io.locking import try_lock; from pathlib import Path;"
        "lock = try_lock(Path(sys.argv[1]), 0); print('held', flush=True); sys.stdin.read()"
    )
    target = tmp_path / "new"
    break_one(root, "flipped")
    relocate(root, target, settings, COPY)
    with subprocess.Popen(
        [sys.executable, "-c", code, target / ".lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(LibraryBusyError):
            relocate(root, target, settings, COPY)
        process.communicate(b"")


def test_strangers_stay(root: Path, settings: Settings, tmp_path: Path) -> None:
    (root / "notes.txt").write_text("mine")
    (root / "models" / "mine").mkdir()
    one = next(root.glob("models/one*"))
    one.chmod(0o755)
    (one / "link").symlink_to("/etc/passwd")
    options = RelocateOptions(copy=True, delete_old=True)
    report = relocate(root, tmp_path / "new", settings, options)
    assert set(report.left) == {"notes.txt", "models/mine", f"models/{one.name}/link"}
    # Deleting the old place would take them away.
    assert report.old_is_kept
    assert (root / "notes.txt").read_text() == "mine"
    assert len(list((root / "models").iterdir())) == 4


def test_content_without_a_manifest_comes_along(
    root: Path, settings: Settings, tmp_path: Path
) -> None:
    (manifest,) = (root / "manifests").glob("two*.json")
    manifest.unlink()
    assert relocate(root, tmp_path / "new", settings, COPY).switched
    assert_same(root, tmp_path / "new")


def test_the_old_place_is_deleted_on_request(
    root: Path, settings: Settings, tmp_path: Path
) -> None:
    report = relocate(root, tmp_path / "a", settings, COPY)
    assert report.old_is_kept
    again = RelocateOptions(delete_old=True)
    report = relocate(root, tmp_path / "a", settings, again)
    assert (report.how, report.old_is_kept) == ("moved before", False)
    assert not root.exists()
    report = relocate(tmp_path / "a", tmp_path / "b", settings, replace(again, copy=True))
    assert not report.old_is_kept
    assert not (tmp_path / "a").exists()
    assert_whole(tmp_path / "b", settings)


def test_a_later_run_tells_of_links_too(root: Path, settings: Settings, tmp_path: Path) -> None:
    app = write_comfyui(tmp_path / "ComfyUI")
    with open_at(root, settings) as library:
        library.applications.add("comfyui", app)
    assert relocate(root, tmp_path / "new", settings, COPY).has_links
    assert relocate(root, tmp_path / "new", settings, RelocateOptions(delete_old=True)).has_links


def test_strangers_are_not_deleted_by_a_later_run(
    root: Path, settings: Settings, tmp_path: Path
) -> None:
    (root / "models" / "notes.txt").write_text("mine")
    (entry,) = (root / "trash").iterdir()
    (entry / "my folder").mkdir()
    (entry / "my folder" / "more.txt").write_text("mine too")
    first = relocate(root, tmp_path / "new", settings, COPY)
    before = tree(root)
    report = relocate(root, tmp_path / "new", settings, RelocateOptions(delete_old=True))
    strangers = {"models/notes.txt", f"trash/{entry.name}/my folder"}
    assert set(first.left) == set(report.left) == strangers
    assert report.old_is_kept
    assert tree(root) == before


def test_what_could_not_be_copied_is_not_deleted_by_a_later_run(
    root: Path, settings: Settings, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    assert relocate(root, new, settings, COPY).switched
    (lost,) = (new / "models").glob("one*")
    lost.chmod(0o755)
    (lost / "one.gguf").unlink()
    before = tree(root)
    again = RelocateOptions(delete_old=True)
    report = relocate(root, new, settings, again)
    assert [(one.path, one.actual) for one in report.damaged] == [("one.gguf", "not copied")]
    assert report.old_is_kept
    assert tree(root) == before
    # A model that was removed at the new place is not missed.
    with open_at(new, settings) as library:
        library.remove("one")
    assert not relocate(root, new, settings, again).old_is_kept


def test_nothing_is_deleted_that_is_not_marked(
    root: Path, settings: Settings, tmp_path: Path
) -> None:
    relocate(root, tmp_path / "a", settings, COPY)
    mark = root / "library.moved.json"
    mark.write_text(json.dumps({**json.loads(mark.read_bytes()), "library_id": "other"}))
    before = tree(root)
    with pytest.raises(UsageError, match="not marked"):
        relocate(root, tmp_path / "a", settings, RelocateOptions(delete_old=True))
    assert tree(root) == before


def test_a_switch_that_fails_leaves_the_old_place_the_library(
    root: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(root, without=frozenset({"catalog"}))
    publish = hashing.publish

    def fail(items: list[tuple[Path, Path]], **keywords: bool) -> list[bool]:
        if any(final == tmp_path / "new" / "library.json" for _, final in items):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(tmp_path / "new"))
        return publish(items, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(hashing, "publish", fail)
        with pytest.raises(OSError, match="Input/output"):
            relocate(root, tmp_path / "new", settings, COPY)
    assert tree(root, without=frozenset({"catalog"})) == before
    assert_moved(relocate(root, tmp_path / "new", settings, COPY), root, settings)
    assert_whole(tmp_path / "new", settings)


def test_verified_from_the_disk(root: Path, settings: Settings, tmp_path: Path) -> None:
    report = relocate(root, tmp_path / "new", settings, replace(COPY, verify="disk"))
    assert report.switched
    assert_whole(tmp_path / "new", settings)


def test_names_that_are_not_utf_8(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    write_safetensors(folder / os.fsdecode(b"gr\xfc\xdfe.safetensors"), seed=5)
    with ModelLibrary.create(settings.library, settings=settings) as library:
        library.import_paths([folder], lookup=False)
    target = tmp_path / os.fsdecode(b"n\xfcu")
    assert relocate(settings.library, target, settings, COPY).switched
    with open_at(target, settings) as library:
        assert library.verify().ok == 1


def test_errors_are_ours(root: Path, settings: Settings, tmp_path: Path) -> None:
    """A place where nothing may be made is told before anything is done."""
    blocked = tmp_path / "file" / "below"
    (tmp_path / "file").write_text("x")
    with pytest.raises((CellarError, OSError)):
        relocate(root, blocked, settings)
    assert open_at(root, settings).totals()[0] == 3


@pytest.mark.parametrize("name", ["0123.part", "0123.file"])
def test_unfinished_downloads_are_not_deleted_with_the_old_folder(
    name: str, root: Path, settings: Settings, tmp_path: Path
) -> None:
    """What has come of them may be days of waiting, and is nowhere else."""
    part = root / "staging" / "downloads" / name
    part.parent.mkdir()
    part.write_bytes(b"days of waiting")
    options = RelocateOptions(copy=True, delete_old=True)
    report = relocate(root, tmp_path / "new", settings, options)
    assert report.switched
    assert report.old_is_kept
    assert "staging/downloads" in report.left
    assert part.read_bytes() == b"days of waiting"


def test_locks_of_downloads_that_are_over_are_no_downloads(
    root: Path, settings: Settings, tmp_path: Path
) -> None:
    lock = root / "staging" / "downloads" / "0123.lock"
    lock.parent.mkdir()
    lock.touch()
    options = RelocateOptions(copy=True, delete_old=True)
    report = relocate(root, tmp_path / "new", settings, options)
    assert (report.left, report.old_is_kept) == ((), False)


def test_a_library_is_not_renamed_under_a_download(
    root: Path, settings: Settings, tmp_path: Path
) -> None:
    with closing(Shelf(root)) as shelf:
        assert shelf.claim("0123")
        with pytest.raises(LibraryBusyError, match="download"):
            relocate(root, tmp_path / "new", settings)
    assert (root / "library.json").exists()
    assert relocate(root, tmp_path / "new", settings).how == "renamed"
