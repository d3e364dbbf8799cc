"""The power goes while links are made: every link that is there is known for ours afterwards."""

from pathlib import Path

import pytest

from modelcellar import ModelLibrary
from modelcellar.link_records import Action, LinkKind
from tests.support.filesystems import JOURNALLING, Mounts
from tests.support.installations import import_loras, write_comfyui
from tests.support.trees import tree
from tests.support.worker import settings

NAMES = tuple(f"lora {number}" for number in range(6))


@pytest.mark.parametrize("kind", JOURNALLING)
def test_the_ledger_knew_each_link_before_it_was_made(
    mounts: Mounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Only the disk of the ledger loses what it had in memory, so all links are there."""
    volume = mounts.make(kind)
    monkeypatch.setenv("XDG_STATE_HOME", str(volume.path / "state"))
    comfyui = write_comfyui(tmp_path / "ComfyUI")
    before = tree(comfyui)
    root = tmp_path / "library"
    snapshots: list[Path] = []

    def cut(action: Action) -> None:
        if action.target.stem == NAMES[3]:
            snapshots.append(volume.snapshot("cut"))

    with ModelLibrary.create(root, settings=settings(root)) as library:
        import_loras(library, tmp_path / "sources", NAMES)
        library.applications.add("comfyui", comfyui, link=LinkKind.SYMLINK)
        library.applications.sync(on_action=cut)
    mounts.mount(volume, snapshots[0])
    with ModelLibrary(root, settings=settings(root)) as library:
        report = library.sync()
        assert [(one.action, one.link) for one in report.actions] == [
            ("keep", LinkKind.SYMLINK)
        ] * len(NAMES)
        assert {one.health for one in library.applications.links()} == {"ok"}
        library.applications.remove("comfyui")
    assert tree(comfyui) == before


def test_links_that_the_disk_lost_are_made_again(
    mounts: Mounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = mounts.make("ext4")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    comfyui = write_comfyui(volume.path / "ComfyUI")
    before = tree(comfyui)
    root = tmp_path / "library"
    with ModelLibrary.create(root, settings=settings(root)) as library:
        import_loras(library, tmp_path / "sources", NAMES)
        library.applications.add("comfyui", comfyui)
        snapshot = volume.snapshot("cut")
        library.sync()
    mounts.mount(volume, snapshot)
    if not comfyui.is_dir():
        write_comfyui(comfyui)
    with ModelLibrary(root, settings=settings(root)) as library:
        assert {one.health for one in library.applications.links()} <= {"missing", "offline"}
        library.sync()
        assert {one.health for one in library.applications.links()} == {"ok"}
        library.applications.remove("comfyui")
    assert tree(comfyui) == before
