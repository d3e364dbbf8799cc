"""Applications from the first to the last day: added, synced, models removed, all of it undone."""

import os
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.errors import (
    LibraryBusyError,
    LibraryNotFoundError,
    NothingToUndoError,
    UsageError,
)
from modelcellar.io.locking import try_lock
from modelcellar.library import ModelLibrary
from modelcellar.link_records import LinkKind, SyncReport
from modelcellar.links.ledger import ledger_folder
from modelcellar.records import EditChanges, ModelType
from tests.support.filesystems import MIB, Mounts
from tests.support.installations import LORAS, import_loras, write_comfyui
from tests.support.trees import tree

NAMES = ("anime", "flat", "photo")


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    """ComfyUI with a model of its user."""
    root = write_comfyui(tmp_path / "ComfyUI")
    (root / LORAS / "my own.safetensors").write_text("mine")
    return root


@pytest.fixture
def filled(library: ModelLibrary, source_folder: Path) -> ModelLibrary:
    """Three LoRAs."""
    import_loras(library, source_folder, NAMES)
    return library


def counts(report: SyncReport) -> dict[str, int]:
    return dict(Counter(action.action.value for action in report.actions))


def health(library: ModelLibrary) -> dict[str, int]:
    return dict(Counter(one.health.value for one in library.applications.links()))


def test_every_change_and_its_undo_in_sequence(filled: ModelLibrary, comfyui: Path) -> None:
    states = [tree(comfyui)]
    apps = filled.applications

    def done() -> None:
        states.append(tree(comfyui))

    apps.add("comfyui", comfyui)
    done()
    filled.sync()
    done()
    filled.edit("flat", EditChanges(model_type=ModelType.VAE))
    done()
    filled.sync()
    done()
    filled.remove("anime")
    done()
    apps.add("comfyui", comfyui, link=LinkKind.HARDLINK)
    done()
    filled.sync()
    done()
    apps.remove("comfyui")
    done()
    assert states[-1] == states[0]
    commands = []
    for expected in reversed(states):
        assert tree(comfyui) == expected
        if len(commands) < len(states) - 1:
            commands.append(filled.undo().command)
    assert commands == [
        "app remove", "sync", "app add", "remove", "sync", "edit", "sync", "app add",
    ]  # fmt: skip
    assert apps.list() == ()
    assert apps.links() == ()


def test_undo_gives_back_the_state_after_which_nothing_is_to_do(
    filled: ModelLibrary, comfyui: Path
) -> None:
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    filled.remove("anime", "flat")
    assert health(filled) == {"ok": 1}
    filled.undo()
    assert health(filled) == {"ok": 3}
    assert counts(filled.sync()) == {"keep": 3}


def test_removal_is_undone_though_a_link_is_in_the_way(filled: ModelLibrary, comfyui: Path) -> None:
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    filled.remove("anime")
    target = comfyui / LORAS / "anime.safetensors"
    target.write_text("mine")
    filled.undo()
    assert filled.get("anime").name == "anime"
    assert target.read_text() == "mine"
    assert counts(filled.sync()) == {"keep": 2, "conflict": 1}


def test_what_the_user_did_since_a_sync_outlives_its_undo(
    filled: ModelLibrary, comfyui: Path
) -> None:
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    (comfyui / LORAS / "anime.safetensors").unlink()
    (comfyui / LORAS / "flat.safetensors").unlink()
    (comfyui / LORAS / "flat.safetensors").write_text("mine")
    filled.undo()
    names = sorted(path.name for path in (comfyui / LORAS).iterdir())
    assert names == ["flat.safetensors", "my own.safetensors", "put_loras_here"]
    assert (comfyui / LORAS / "flat.safetensors").read_text() == "mine"


def test_models_in_the_trash_are_linked_nowhere_and_purged_for_good(
    filled: ModelLibrary, comfyui: Path
) -> None:
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    filled.remove("anime")
    filled.purge()
    assert health(filled) == {"ok": 2}
    assert filled.undo(dry_run=True).command == "sync"


def test_undo_of_an_import_takes_links_that_nobody_recorded(
    library: ModelLibrary, source_folder: Path, comfyui: Path
) -> None:
    before = tree(comfyui)
    library.applications.add("comfyui", comfyui)
    import_loras(library, source_folder, NAMES)
    library.sync()
    # As if the entries were those of another machine, which this one does not know.
    for path in (library.path / "journal").glob("*.json"):
        if '"sync"' in path.read_text():
            path.unlink()
    assert library.undo().command == "import"
    assert tree(comfyui) == before


def test_changes_of_another_machine_are_not_undone_here(
    filled: ModelLibrary, comfyui: Path, home: Path
) -> None:
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    after = tree(comfyui)
    filled.close()
    shutil.rmtree(home / "state")
    with ModelLibrary(filled.path, settings=filled._settings) as elsewhere:
        assert elsewhere.applications.list() == ()
        assert elsewhere.undo().command == "import"
        with pytest.raises(NothingToUndoError):
            elsewhere.undo()
    assert {path: entry[0] for path, entry in tree(comfyui).items()} == {
        path: entry[0] for path, entry in after.items()
    }


def test_undo_waits_for_a_disk_that_is_away(
    filled: ModelLibrary, comfyui: Path, tmp_path: Path
) -> None:
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    comfyui.rename(tmp_path / "away")
    with pytest.raises(UsageError, match="comfyui is not there"):
        filled.undo()
    assert not comfyui.exists()
    filled.remove("flat")
    filled.undo()  # the model is needed, whatever became of its links
    assert filled.get("flat").name == "flat"
    (tmp_path / "away").rename(comfyui)
    assert counts(filled.sync()) == {"keep": 3}
    assert filled.undo().command == "sync"
    assert not (comfyui / LORAS / "flat.safetensors").is_symlink()


def test_an_application_that_is_away_is_removed_only_on_request(
    filled: ModelLibrary, comfyui: Path
) -> None:
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    shutil.rmtree(comfyui)
    with pytest.raises(UsageError, match="is not there"):
        filled.applications.remove("comfyui")
    assert len(filled.applications.links()) == 3
    filled.applications.remove("comfyui", forget=True)
    assert filled.applications.list() == ()
    assert filled.applications.links() == ()


def test_what_was_forgotten_is_known_again_after_undo(
    filled: ModelLibrary, comfyui: Path, tmp_path: Path
) -> None:
    before = tree(comfyui)
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    comfyui.rename(tmp_path / "away")
    filled.applications.remove("comfyui", forget=True)
    assert filled.undo().command == "app remove"
    (tmp_path / "away").rename(comfyui)
    assert health(filled) == {"ok": 3}
    filled.applications.remove("comfyui")
    assert tree(comfyui).keys() == before.keys()


def test_undo_of_a_removal_waits_for_the_disk_and_changes_nothing(
    filled: ModelLibrary, comfyui: Path, tmp_path: Path
) -> None:
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    filled.applications.remove("comfyui")
    comfyui.rename(tmp_path / "away")
    with pytest.raises(UsageError, match="comfyui is not there"):
        filled.undo()
    assert filled.applications.list() == ()
    (tmp_path / "away").rename(comfyui)
    assert filled.undo().command == "app remove"
    assert health(filled) == {"ok": 3}


@pytest.mark.parametrize("kind", [LinkKind.SYMLINK, LinkKind.HARDLINK, LinkKind.COPY])
def test_the_librarys_own_file_is_no_link_of_ours(
    filled: ModelLibrary, comfyui: Path, kind: LinkKind
) -> None:
    """The user made the folder a link to one of the library: its files are under our names."""
    filled.applications.add("comfyui", comfyui, link=kind)
    filled.sync()
    shutil.rmtree(comfyui / LORAS)
    model = filled.get("flat")
    file = filled.file_path(model, model.files[0])
    (comfyui / LORAS).symlink_to(file.parent)
    file.parent.chmod(0o755)  # others than root could not remove it anyway
    filled.applications.remove("comfyui")
    assert file.is_file()
    assert filled.verify().ok == 3


def test_links_that_cannot_be_taken_away_are_told_of_and_not_made_again(
    filled: ModelLibrary, mounts: Mounts, caplog: pytest.LogCaptureFixture
) -> None:
    volume = mounts.tmpfs(MIB)
    comfyui = write_comfyui(volume / "ComfyUI")
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    before = tree(comfyui)
    subprocess.run(["mount", "-o", "remount,ro", volume], check=True)
    filled.remove("flat")
    (message,) = caplog.messages
    assert "flat.safetensors: the link stays: " in message
    caplog.clear()
    filled.undo()
    assert len(filled.applications.remove("comfyui").failures) == 3
    filled.undo()
    # Nothing is said of what is as it was.
    assert caplog.messages == []
    assert health(filled) == {"ok": 3}
    subprocess.run(["mount", "-o", "remount,rw", volume], check=True)
    assert tree(comfyui) == before
    assert counts(filled.sync()) == {"keep": 3}


def test_a_library_whose_disk_is_away_is_no_empty_library(
    filled: ModelLibrary, comfyui: Path, tmp_path: Path
) -> None:
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    before = tree(comfyui)
    filled.close()
    root = filled.path
    root.rename(tmp_path / "away")
    root.mkdir()
    with pytest.raises(LibraryNotFoundError):
        ModelLibrary(root, settings=filled._settings)
    assert tree(comfyui) == before
    root.rmdir()
    (tmp_path / "away").rename(root)
    with ModelLibrary(root, settings=filled._settings) as back:
        assert counts(back.sync()) == {"keep": 3}


def test_dry_runs_change_nothing(filled: ModelLibrary, comfyui: Path, home: Path) -> None:
    apps = filled.applications
    report = apps.add("comfyui", comfyui, dry_run=True)
    assert (report.app.root, report.entry) == (comfyui, None)
    assert apps.list() == ()
    assert not ledger_folder(filled.library_id).exists()
    apps.add("comfyui", comfyui)
    filled.sync()
    before = tree(comfyui), tree(filled.path), health(filled)
    assert counts(apps.remove("comfyui", dry_run=True)) == {"remove": 3}
    filled.remove("flat", dry_run=True)
    filled.undo(dry_run=True)
    filled.sync(dry_run=True)
    assert (tree(comfyui), tree(filled.path), health(filled)) == before
    assert home.is_dir()


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("", {}, "no name"),
        ("../x", {}, "no name"),
        ("nothing-like-it", {}, "no preset"),
        ("comfyui", {"root": "nowhere"}, "no folder"),
        ("comfyui", {"root": "library/models"}, "inside the library"),
    ],
)
def test_applications_that_cannot_be_meant(
    filled: ModelLibrary, tmp_path: Path, name: str, options: dict[str, str], text: str
) -> None:
    root = tmp_path / options.get("root", "sources")
    with pytest.raises(UsageError, match=text):
        filled.applications.add(name, root)
    assert filled.applications.list() == ()


def test_an_application_cannot_be_at_two_places(
    filled: ModelLibrary, comfyui: Path, tmp_path: Path
) -> None:
    filled.applications.add("comfyui", comfyui)
    other = write_comfyui(tmp_path / "other")
    with pytest.raises(UsageError, match="already"):
        filled.applications.add("comfyui", other)
    with pytest.raises(UsageError, match="no application is called 'x'") as told:
        filled.sync("x")
    assert "comfyui" in told.value.hint


def test_a_folder_without_the_marks_is_told_of(filled: ModelLibrary, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    report = filled.applications.add("comfyui", tmp_path / "empty")
    assert "does not look like ComfyUI" in report.hazards[0]


def test_links_are_changed_by_one_process_at_a_time(filled: ModelLibrary, comfyui: Path) -> None:
    filled.applications.add("comfyui", comfyui)
    held = try_lock(ledger_folder(filled.library_id) / ".lock", 0)
    assert held is not None
    with ModelLibrary(filled.path, settings=_impatient(filled)) as other:
        with pytest.raises(LibraryBusyError, match="making links"):
            other.sync()
        with pytest.raises(LibraryBusyError):
            other.remove("flat")
        assert counts(other.sync(dry_run=True)) == {"create": 3}
        held.release()
        assert counts(other.sync()) == {"create": 3}


def _impatient(library: ModelLibrary) -> Settings:
    return replace(library._settings, lock_timeout_s=0.05)


def test_a_damaged_ledger_is_made_anew_and_takes_nothing_for_its_own(
    filled: ModelLibrary, comfyui: Path
) -> None:
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    before = tree(comfyui)
    filled.close()
    path = ledger_folder(filled.library_id) / "links.db"
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(os.urandom(8192))
    with ModelLibrary(filled.path, settings=filled._settings) as again:
        report = again.sync()
        assert counts(report) == {"keep": 3}
        assert report.entry is None
        assert again.applications.links() == ()
    assert tree(comfyui) == before


@pytest.mark.parametrize("kind", [LinkKind.SYMLINK, LinkKind.HARDLINK, LinkKind.COPY])
@pytest.mark.parametrize("is_same_disk", [True, False])
def test_an_application_that_moved_keeps_its_links(
    filled: ModelLibrary, comfyui: Path, tmp_path: Path, kind: LinkKind, is_same_disk: bool
) -> None:
    folders = {"lora": f"{LORAS}/of cellar"}
    filled.applications.add("comfyui", comfyui, link=kind, folders=folders)
    filled.sync()
    new = tmp_path / "elsewhere" / "deeper" / "Comfy"
    new.parent.mkdir(parents=True)
    if is_same_disk:
        comfyui.rename(new)
    else:
        shutil.copytree(comfyui, new, symlinks=True)
        shutil.rmtree(comfyui)
    (new / LORAS / "of cellar" / "flat.safetensors").unlink()
    (new / LORAS / "of cellar" / "photo.safetensors").unlink()
    (new / LORAS / "of cellar" / "photo.safetensors").write_text("mine")
    filled.applications.add("comfyui", new, link=kind, folders=folders)
    report = filled.sync()
    assert {one.target.stem: one.action.value for one in report.actions} == {
        "anime": counts_of_anime(kind, is_same_disk),
        "flat": "create",
        "photo": "conflict",
    }
    assert health(filled) == {"ok": 2}
    link = new / LORAS / "of cellar" / "anime.safetensors"
    model = filled.get("anime")
    is_one_file = link.samefile(filled.file_path(model, model.files[0]))
    assert is_one_file is (kind is not LinkKind.COPY)
    filled.applications.remove("comfyui")
    assert [path.name for path in (new / LORAS / "of cellar").iterdir()] == ["photo.safetensors"]


def counts_of_anime(kind: LinkKind, is_same_disk: bool) -> str:
    """A symlink says where to go from where it was; a hard link to another disk is a copy."""
    is_whole = kind is LinkKind.COPY or (kind is LinkKind.HARDLINK and is_same_disk)
    return "keep" if is_whole else "replace"


def test_undo_of_a_move_follows_the_application_back(
    filled: ModelLibrary, comfyui: Path, tmp_path: Path
) -> None:
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    comfyui.rename(tmp_path / "Comfy")
    filled.applications.add("comfyui", tmp_path / "Comfy")
    filled.undo()
    assert filled.applications.get("comfyui").root == comfyui
    (tmp_path / "Comfy").rename(comfyui)
    assert counts(filled.sync()) == {"keep": 3}


def test_another_installation_is_not_taken_for_one_whose_disk_is_away(
    filled: ModelLibrary, comfyui: Path, tmp_path: Path
) -> None:
    filled.applications.add("comfyui", comfyui)
    filled.sync()
    comfyui.rename(tmp_path / "away")
    other = write_comfyui(tmp_path / "other")
    with pytest.raises(UsageError, match="none of its links"):
        filled.applications.add("comfyui", other)
    (tmp_path / "away").rename(comfyui)
    assert counts(filled.sync()) == {"keep": 3}


def test_a_lora_of_the_user_that_a1111_would_take_for_ours(
    filled: ModelLibrary, tmp_path: Path
) -> None:
    """A1111 knows LoRAs by their stems: one of that name in any folder stands in the way."""
    root = tmp_path / "webui"
    folder = root / "models" / "Lora"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "Anime.safetensors").write_text("mine")
    (folder / "round").symlink_to(folder)
    # One folder under two names, as people set it up: our own links are seen twice.
    (root / "models" / "LyCORIS").symlink_to(folder)
    filled.applications.add("a1111", root)
    assert counts(filled.sync()) == {"create": 2, "conflict": 1}
    assert counts(filled.sync()) == {"keep": 2, "conflict": 1}, "our own are in nobody's way"
    shutil.rmtree(folder / "mine")
    assert counts(filled.sync()) == {"keep": 2, "create": 1}
    assert health(filled) == {"ok": 3}
    filled.applications.add("a1111", root, link=LinkKind.HARDLINK)
    assert counts(filled.sync()) == {"replace": 3}, "what is replaced is in nobody's way either"
