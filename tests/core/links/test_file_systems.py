"""Links on real file systems: of each kind, across disks, read-only, full, blind to case."""

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from modelcellar import ModelLibrary
from modelcellar.link_records import LinkKind, SyncReport
from tests.support.filesystems import MIB, Mounts
from tests.support.installations import LORAS, import_loras, write_comfyui
from tests.support.trees import tree
from tests.support.worker import settings

NAMES = ("anime", "flat", "photo")
WORKS = {
    "ext4": {LinkKind.HARDLINK, LinkKind.SYMLINK, LinkKind.COPY},
    "xfs": {LinkKind.HARDLINK, LinkKind.SYMLINK, LinkKind.COPY, LinkKind.REFLINK},
    "btrfs": {LinkKind.HARDLINK, LinkKind.SYMLINK, LinkKind.COPY, LinkKind.REFLINK},
}


def library_at(root: Path, sources: Path) -> ModelLibrary:
    library = ModelLibrary.create(root, settings=settings(root))
    import_loras(library, sources, NAMES)
    return library


def counts(report: SyncReport) -> dict[str, int]:
    return dict(Counter(action.action.value for action in report.actions))


@pytest.mark.parametrize("name", WORKS)
@pytest.mark.parametrize("kind", [kind for kind in LinkKind if kind is not LinkKind.GENERATED])
def test_each_kind_on_each_file_system(
    mounts: Mounts, tmp_path: Path, name: str, kind: LinkKind
) -> None:
    volume = mounts.make(name).path
    comfyui = write_comfyui(volume / "ComfyUI")
    before = tree(comfyui)
    with library_at(volume / "library", tmp_path / "sources") as library:
        library.applications.add("comfyui", comfyui, link=kind)
        expected = "create" if kind in WORKS[name] else "skip"
        assert counts(library.sync()) == {expected: 3}
        if expected == "create":
            assert counts(library.sync()) == {"keep": 3}
            assert {one.health for one in library.applications.links()} == {"ok"}
        library.remove("flat")
        library.undo()
        assert len(library.applications.links()) == (3 if expected == "create" else 0)
        library.applications.remove("comfyui")
    assert tree(comfyui) == before


@pytest.mark.parametrize("kind", [None, LinkKind.HARDLINK, LinkKind.COPY])
def test_across_disks(mounts: Mounts, tmp_path: Path, kind: LinkKind | None) -> None:
    comfyui = write_comfyui(mounts.make("xfs").path / "ComfyUI")
    before = tree(comfyui)
    with library_at(mounts.make("ext4").path / "library", tmp_path / "sources") as library:
        library.applications.add("comfyui", comfyui, link=kind)
        report = library.sync()
        if kind is LinkKind.HARDLINK:
            assert counts(report) == {"skip": 3}
            assert "no hardlink can be made there" in report.actions[0].reason
            assert tree(comfyui) == before
            return
        assert {action.link for action in report.actions} == {kind or LinkKind.SYMLINK}
        assert counts(library.sync()) == {"keep": 3}
        library.applications.remove("comfyui")
    assert tree(comfyui) == before


def test_a_read_only_application_is_skipped_and_forgotten_by_none(
    mounts: Mounts, tmp_path: Path
) -> None:
    volume = mounts.make("ext4").path
    comfyui = write_comfyui(volume / "ComfyUI")
    with library_at(tmp_path / "library", tmp_path / "sources") as library:
        library.applications.add("comfyui", comfyui, link=LinkKind.SYMLINK)
        _remount(volume, "ro")
        report = library.sync()
        assert counts(report) == {"skip": 3}
        assert "cannot be written to" in report.actions[0].reason
        _remount(volume, "rw")
        assert counts(library.sync()) == {"create": 3}
        _remount(volume, "ro")
        assert counts(library.sync()) == {"keep": 3}
        removed = library.applications.remove("comfyui")
        assert {info.code for _, info in removed.failures} == {"read_only"}
        assert [app.name for app in library.applications.list()] == ["comfyui"]
        assert len(library.applications.links()) == 3
        _remount(volume, "rw")
        assert counts(library.applications.remove("comfyui")) == {"remove": 3}
        assert library.applications.list() == ()
        library.undo()
        assert {one.health for one in library.applications.links()} == {"ok"}


def _remount(volume: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(volume)], check=True)


def test_a_full_disk_stops_no_other_link_and_is_said(mounts: Mounts, tmp_path: Path) -> None:
    small = mounts.tmpfs(2 * MIB)
    comfyui = write_comfyui(small / "ComfyUI")
    other = write_comfyui(tmp_path / "Other")
    with library_at(tmp_path / "library", tmp_path / "sources") as library:
        library.applications.add("comfyui", comfyui, link=LinkKind.COPY)
        library.applications.add("other", other, preset="comfyui", link=LinkKind.COPY)
        assert counts(library.sync(dry_run=True)) == {"create": 6}
        free = os.statvfs(small)
        (small / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize))
        report = library.sync()
        assert counts(report)["create"] == 3
        assert len(list((other / LORAS).iterdir())) == 4
        assert [path.name for path in (comfyui / LORAS).iterdir()] == ["put_loras_here"]
        (small / "filler").unlink()
        assert counts(library.sync()) == {"create": 3, "keep": 3}


def test_names_on_a_file_system_that_is_blind_to_case(mounts: Mounts, tmp_path: Path) -> None:
    volume = mounts.make("ntfs-without-case").path
    comfyui = write_comfyui(volume / "ComfyUI")
    mine = comfyui / LORAS / "FLAT.safetensors"
    mine.write_text("mine")
    with library_at(tmp_path / "library", tmp_path / "sources") as library:
        library.applications.add("comfyui", comfyui, link=LinkKind.COPY)
        assert counts(library.sync()) == {"create": 2, "conflict": 1}
        assert mine.read_text() == "mine"
        assert counts(library.sync()) == {"keep": 2, "conflict": 1}
        library.applications.remove("comfyui")
    assert mine.read_text() == "mine"


def test_another_spelling_of_a_name_that_goes_away(mounts: Mounts, tmp_path: Path) -> None:
    comfyui = write_comfyui(mounts.make("ntfs-without-case").path / "ComfyUI")
    with library_at(tmp_path / "library", tmp_path / "sources") as library:
        library.applications.add("comfyui", comfyui, link=LinkKind.COPY)
        library.sync()
        folders = {"lora": "models/LORAS"}
        library.applications.add("comfyui", comfyui, link=LinkKind.COPY, folders=folders)
        report = library.sync()
        assert counts(report) == {"remove": 3, "create": 3}
        assert not report.failures
        assert counts(library.sync()) == {"keep": 3}
        assert len(list((comfyui / LORAS).iterdir())) == 4
