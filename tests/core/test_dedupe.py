"""Equal files found and their space given back; no byte of the user's ever differs afterwards."""

import os
import random
import shutil
import stat
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelcellar.dedupe import DedupeOptions, Deduper, records_folder, take_last_back
from modelcellar.dedupe_records import DedupeKind, DedupeReport
from modelcellar.errors import LibraryBusyError, NothingToUndoError
from modelcellar.io.cloning import clone_file
from modelcellar.io.manager import IoManager
from modelcellar.library import ModelLibrary
from modelcellar.link_records import LinkKind
from modelcellar.swaps import only_one
from tests.support.filesystems import MIB, Mounts
from tests.support.models import safetensors_bytes, write_safetensors
from tests.support.trees import stamps, tree

REFLINK, HARDLINK = LinkKind.REFLINK, LinkKind.HARDLINK


def run(*paths: Path, link: LinkKind = REFLINK, apply: bool = True) -> DedupeReport:
    """Dedupe without a library."""
    options = DedupeOptions(link, apply)
    return Deduper(records_folder(), options=options, disks=IoManager()).run(paths)


def kinds(report: DedupeReport) -> list[str]:
    return [one.action.value for group in report.groups for one in group.actions]


def filled(path: Path, seed: int, size_bytes: int = 3 * MIB) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(seed).randbytes(size_bytes))
    return path


def used_bytes(place: Path) -> int:
    os.sync()
    return shutil.disk_usage(place).used


def has_freed(place: Path, used: int, wanted: int) -> bool:
    """Whether so much less is used than before; XFS frees in the background."""
    deadline = time.monotonic() + 20
    while abs(used - used_bytes(place) - wanted) >= 2 * MIB:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def look_alikes(folder: Path) -> tuple[Path, Path]:
    """Equal in size and in their first and last 8 MiB, as two checkpoints of one training are."""
    one = bytearray(safetensors_bytes(seed=1, size_bytes=24 * MIB))
    a, b = folder / "a.safetensors", folder / "b.safetensors"
    folder.mkdir(parents=True, exist_ok=True)
    a.write_bytes(one)
    one[12 * MIB + 12345] ^= 1
    b.write_bytes(one)
    return a, b


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
@pytest.mark.parametrize("link", [REFLINK, HARDLINK])
def test_files_that_differ_in_one_byte_in_the_middle_are_never_merged(
    kind: str, link: LinkKind, mounts: Mounts
) -> None:
    folder = mounts.make(kind).path / "models"
    a, b = look_alikes(folder)
    before = tree(folder)
    report = run(folder, link=link)
    assert report.groups == ()
    assert tree(folder) == before
    assert a.stat().st_ino != b.stat().st_ino


def test_look_alikes_that_were_adopted_are_no_twins(
    library: ModelLibrary, source_folder: Path
) -> None:
    look_alikes(source_folder)
    before = tree(source_folder)
    assert len(library.adopt([source_folder], link=HARDLINK).models) == 2
    assert library.dedupe([source_folder], link=HARDLINK, apply=True).groups == ()
    assert library.verify().twins == ()
    assert library.dedupe([source_folder], link=HARDLINK, apply=True).groups == ()
    digests = {file.digests for model in library.list_models().models for file in model.files}
    assert len(digests) == 2
    assert tree(source_folder) == before


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_sharing_gives_back_what_the_plan_says(kind: str, mounts: Mounts) -> None:
    volume = mounts.make(kind).path
    folder = volume / "models"
    for name in ("a", "b/c", "b/d"):
        filled(folder / name, 1, 8 * MIB)
    filled(folder / "other", 2, 8 * MIB)
    before, stamped = tree(folder), stamps(folder)
    os.sync()
    plan = run(folder, apply=False)
    assert (plan.reclaims_bytes, kinds(plan)) == (16 * MIB, ["share", "share"])
    used = used_bytes(volume)
    done = run(folder)
    assert done.reclaims_bytes == plan.reclaims_bytes
    assert has_freed(volume, used, 16 * MIB)
    assert tree(folder) == before
    # Inode and time of the last change are what they were: the file was not replaced.
    assert [one[:2] for one in stamps(folder).values()] == [one[:2] for one in stamped.values()]
    assert not list(records_folder().glob("*.jsonl"))
    again = run(folder)
    assert (again.reclaims_bytes, kinds(again)) == (0, ["shared", "shared"])
    assert again.bytes_read == 0


@pytest.mark.parametrize("kind", ["xfs", "btrfs"])
def test_a_clone_has_nothing_to_give_back(kind: str, mounts: Mounts) -> None:
    folder = mounts.make(kind).path / "models"
    clone_file(filled(folder / "a", 1), folder / "b")
    report = run(folder, apply=False)
    assert (report.reclaims_bytes, kinds(report), report.bytes_read) == (0, ["shared"], 0)


def test_without_sharing_nothing_happens_but_advice(mounts: Mounts) -> None:
    folder = mounts.make("ext4").path / "models"
    filled(folder / "a", 1)
    filled(folder / "b", 1)
    before = tree(folder)
    report = run(folder)
    ((action,),) = [group.actions for group in report.groups]
    assert (action.action, report.reclaims_bytes) == (DedupeKind.SKIP, 0)
    assert "--link hardlink" in action.reason
    assert tree(folder) == before


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_hard_links_give_back_space_and_are_taken_back(kind: str, mounts: Mounts) -> None:
    volume = mounts.make(kind).path
    folder = volume / "models"
    a, b = filled(folder / "a", 1, 8 * MIB), filled(folder / "sub" / "b", 1, 8 * MIB)
    b.chmod(0o640)
    os.utime(b, ns=(1_500_000_000_000_000_001, 1_600_000_000_000_000_002))
    os.utime(a, ns=(1_400_000_000_000_000_001, 1_400_000_000_000_000_002))
    os.setxattr(b, "user.note", b"mine")
    before, stamped = tree(folder), b.stat()
    plan = run(folder, link=HARDLINK, apply=False)
    assert (kinds(plan), plan.reclaims_bytes, plan.entry_id) == (["link"], 8 * MIB, None)
    used = used_bytes(volume)
    report = run(folder, link=HARDLINK)
    assert has_freed(volume, used, 8 * MIB)
    assert report.entry_id is not None
    assert a.samefile(b)
    assert b.read_bytes() == filled(folder / "again", 1, 8 * MIB).read_bytes()
    (folder / "again").unlink()
    assert take_last_back() == ([b], [])
    assert tree(folder) == before
    assert not a.samefile(b)
    assert b.stat().st_mtime_ns == stamped.st_mtime_ns
    assert os.getxattr(b, "user.note") == b"mine"
    with pytest.raises(NothingToUndoError):
        take_last_back()


def test_files_with_one_inode_count_once(tmp_path: Path) -> None:
    a = filled(tmp_path / "d" / "a", 1)
    os.link(a, tmp_path / "d" / "b")
    (tmp_path / "d" / "c").symlink_to("a")
    report = run(tmp_path / "d", link=HARDLINK)
    assert (report.groups, report.files, report.bytes_read) == ((), 1, 0)


def test_every_name_of_a_file_becomes_one_of_the_kept_file(tmp_path: Path) -> None:
    keep = filled(tmp_path / "d" / "a", 1)
    os.link(keep, tmp_path / "d" / "a2")
    other = filled(tmp_path / "d" / "b", 1)
    os.link(other, tmp_path / "d" / "b2")
    report = run(tmp_path / "d", link=HARDLINK)
    assert report.reclaims_bytes == 3 * MIB
    assert keep.stat().st_nlink == 4
    take_last_back()
    assert keep.stat().st_nlink == 2


def test_a_name_elsewhere_keeps_the_space(tmp_path: Path) -> None:
    keep, other = filled(tmp_path / "d" / "a", 1), filled(tmp_path / "d" / "b", 1)
    os.link(keep, tmp_path / "keeps-a-first")
    os.link(keep, tmp_path / "and-more")
    os.link(other, tmp_path / "elsewhere")
    report = run(tmp_path / "d", link=HARDLINK)
    assert report.reclaims_bytes == 0
    assert "other names" in report.groups[0].actions[0].reason
    assert (tmp_path / "elsewhere").read_bytes() == keep.read_bytes()


def test_a_link_that_somebody_replaced_is_theirs(tmp_path: Path) -> None:
    filled(tmp_path / "d" / "a", 1)
    b = filled(tmp_path / "d" / "b", 1)
    run(tmp_path / "d", link=HARDLINK)
    (tmp_path / "d" / "new").write_bytes(b"theirs")
    (tmp_path / "d" / "new").replace(b)
    assert take_last_back() == ([], [b])
    assert b.read_bytes() == b"theirs"


def test_a_folder_that_is_reached_by_two_ways_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "real" / "d"
    keep, b = filled(folder / "a", 1), filled(folder / "b", 1)
    os.link(keep, folder / "a2")
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(folder)
    report = run(folder, tmp_path / "link" / "d", Path(), Path("..", "d"), link=HARDLINK)
    assert (kinds(report), report.reclaims_bytes, report.files) == (["link"], 3 * MIB, 2)
    assert take_last_back() == ([b], [])


def test_undo_tells_of_what_it_left(
    library: ModelLibrary, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(tmp_path / "d" / "a", 1)
    b = filled(tmp_path / "d" / "b", 1)
    library.dedupe([tmp_path / "d"], link=HARDLINK, apply=True)
    b.unlink()
    b.write_bytes(b"theirs")
    assert library.undo().command == "dedupe"
    assert caplog.messages == [f"{b}: not taken back: something else is there now"]


@pytest.mark.parametrize("is_written", [False, True])
def test_links_are_taken_back_after_another_mount(is_written: bool, tmp_path: Path) -> None:
    """The numbers of devices change when disks are mounted in another order."""
    a, b = filled(tmp_path / "d" / "a", 1), filled(tmp_path / "d" / "b", 1)
    run(tmp_path / "d", link=HARDLINK)
    (record,) = records_folder().glob("*.jsonl")
    device = a.stat().st_dev
    record.write_text(record.read_text().replace(f'"kept": [{device},', '"kept": [987654,'))
    if is_written:
        a.write_bytes(b"other")
    assert take_last_back() == ([b], [])
    assert not a.samefile(b)
    assert a.read_bytes() == b.read_bytes()


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path: Path) -> None:
    """As a disk that is full leaves one."""
    a, b = filled(tmp_path / "d" / "a", 1), filled(tmp_path / "d" / "b", 1)
    run(tmp_path / "d", link=HARDLINK)
    (record,) = records_folder().glob("*.jsonl")
    with record.open("ab") as file:
        file.write(b'{"begun": 1, "keep": "/some')
    assert take_last_back() == ([b], [])
    assert not a.samefile(b)
    with pytest.raises(NothingToUndoError):
        take_last_back()
    assert kinds(run(tmp_path / "d", link=HARDLINK)) == ["link"]


def test_the_librarys_file_is_the_one_that_is_kept(
    library: ModelLibrary, source_folder: Path
) -> None:
    path = write_safetensors(source_folder / "a.safetensors", seed=1, size_bytes=MIB)
    (model,) = library.import_paths([path]).models
    ours = library.file_path(model, model.files[0])
    stamped = ours.stat()
    before = tree(source_folder)
    report = library.dedupe([source_folder], link=HARDLINK, apply=True)
    assert [group.keep.path for group in report.groups] == [ours]
    assert ours.samefile(path)
    assert ours.stat().st_ino == stamped.st_ino
    assert library.verify().ok == 1
    assert library.undo().command == "dedupe"
    assert tree(source_folder) == before
    assert ours.stat().st_nlink == 1
    assert library.undo().command == "import"


def test_two_files_of_the_library_are_not_looked_at_for_themselves(
    library: ModelLibrary, source_folder: Path
) -> None:
    path = write_safetensors(source_folder / "a.safetensors", seed=1, size_bytes=1 << 16)
    (source_folder / "b.safetensors").write_bytes(path.read_bytes())
    library.adopt([source_folder], link=HARDLINK)
    path.unlink()
    (source_folder / "b.safetensors").unlink()
    write_safetensors(source_folder / "c.safetensors", seed=2)
    assert library.dedupe([source_folder], link=HARDLINK).groups == ()


def test_what_changes_between_plan_and_swap_is_left(tmp_path: Path) -> None:
    a, b = filled(tmp_path / "d" / "a", 1), filled(tmp_path / "d" / "b", 1)

    def write_when_it_begins(progress: object) -> None:
        if getattr(progress, "phase", "") == "dedupe":
            with b.open("r+b") as file:
                file.write(b"changed")

    report = Deduper(
        records_folder(),
        options=DedupeOptions(HARDLINK, apply=True),
        disks=IoManager(),
        on_progress=write_when_it_begins,
    ).run([tmp_path / "d"])
    ((action,),) = [group.actions for group in report.groups]
    assert action.error is not None
    assert (action.action, action.error.code) == (DedupeKind.FAILED, "source_changed")
    assert b.read_bytes().startswith(b"changed")
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["a", "b"]
    assert a.stat().st_nlink == 1


def test_the_trees_of_others_are_left(tmp_path: Path) -> None:
    filled(tmp_path / "d" / "a", 1)
    filled(tmp_path / "elsewhere" / "b", 1)
    (tmp_path / "d" / "link").symlink_to(tmp_path / "elsewhere")
    assert run(tmp_path / "d", link=HARDLINK).groups == ()


def test_what_cannot_be_found_is_told(tmp_path: Path) -> None:
    report = run(tmp_path / "nothing")
    assert [(path, error.code) for path, error in report.problems] == [
        (tmp_path / "nothing", "not_found")
    ]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    contents=st.lists(st.integers(0, 3), min_size=2, max_size=8),
    modes=st.lists(st.sampled_from([0o600, 0o644, 0o444]), min_size=8, max_size=8),
    link=st.sampled_from([REFLINK, HARDLINK]),
    adopts=st.booleans(),
)
def test_no_byte_of_the_user_ever_differs(
    contents: list[int],
    modes: list[int],
    link: LinkKind,
    adopts: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    place = tmp_path_factory.mktemp("any")
    folder = place / "models"
    for number, seed in enumerate(contents):
        path = write_safetensors(folder / f"{number}.safetensors", seed=seed, size_bytes=1 << 14)
        path.chmod(modes[number])
    before = tree(folder)
    with ModelLibrary.create(place / "library") as library:
        if adopts:
            library.adopt([folder])
        report = library.dedupe([folder], link=link, apply=True)
        assert {path: one[2] for path, one in tree(folder).items()} == {
            path: one[2] for path, one in before.items()
        }
        while True:
            try:
                library.undo()
            except NothingToUndoError:
                break
    assert tree(folder) == before
    assert all(one.error is None for group in report.groups for one in group.actions)


def test_special_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    os.mkfifo(tmp_path / "d" / "pipe")
    (tmp_path / "d" / "empty-1").touch()
    (tmp_path / "d" / "empty-2").touch()
    assert run(tmp_path / "d", link=HARDLINK).groups == ()
    assert stat.S_ISFIFO((tmp_path / "d" / "pipe").lstat().st_mode)


def test_one_at_a_time(tmp_path: Path) -> None:
    filled(tmp_path / "d" / "a", 1)
    with only_one(records_folder()), pytest.raises(LibraryBusyError):
        run(tmp_path / "d", link=HARDLINK)


def test_what_the_library_holds_twice_frees_nothing(
    library: ModelLibrary, source_folder: Path
) -> None:
    path = write_safetensors(source_folder / "a.safetensors", seed=1, size_bytes=1 << 16)
    (source_folder / "b.safetensors").write_bytes(path.read_bytes())
    models = library.adopt([source_folder], link=HARDLINK).models
    report = library.dedupe([source_folder], link=HARDLINK)
    ((action,),) = [group.actions for group in report.groups]
    assert (action.action, report.reclaims_bytes) == (DedupeKind.LINK, 0)
    assert any(f"has it as {model.id};" in action.reason for model in models)


def test_the_files_of_a_library_are_not_the_users_to_link(
    library: ModelLibrary, source_folder: Path
) -> None:
    path = write_safetensors(source_folder / "a.safetensors", seed=1, size_bytes=1 << 16)
    (source_folder / "b.safetensors").write_bytes(path.read_bytes())
    library.adopt([source_folder], link=HARDLINK)
    path.unlink()
    (source_folder / "b.safetensors").unlink()
    inside = [library.path, library.path / "models"]
    report = library.dedupe(inside, link=HARDLINK, apply=True)
    assert report.groups == ()
    assert [error.code for _, error in report.problems] == ["inside_library"] * 2
    # Nor where it is not known as the user's library.
    assert run(library.path.parent, link=HARDLINK).groups == ()
