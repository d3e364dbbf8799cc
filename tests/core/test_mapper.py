"""What a plan says of every place, and that doing it is exactly that."""

import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

from modelcellar.library import ModelLibrary
from modelcellar.link_records import Action, ActionKind, LinkKind, SyncReport
from modelcellar.links.keeper import LinkKeeper
from modelcellar.links.place import Place
from modelcellar.links.presets import load_preset
from modelcellar.mapper import AppModels, plan_links
from modelcellar.records import EditChanges, ModelType
from tests.support.installations import LORAS, import_loras, write_comfyui
from tests.support.trees import stamps, tree

NAMES = ("anime", "flat", "photo")


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    """An empty ComfyUI."""
    return write_comfyui(tmp_path / "ComfyUI")


@pytest.fixture
def filled(library: ModelLibrary, source_folder: Path, comfyui: Path) -> ModelLibrary:
    """Three LoRAs, and ComfyUI on the list."""
    import_loras(library, source_folder, NAMES)
    library.applications.add("comfyui", comfyui)
    return library


def counts(report: SyncReport) -> dict[str, int]:
    return dict(Counter(action.action.value for action in report.actions))


def at(report: SyncReport, target: Path) -> Action:
    (found,) = [action for action in report.actions if action.target == target]
    return found


def test_the_plan_is_what_is_done_and_then_there_is_nothing_to_do(
    filled: ModelLibrary, comfyui: Path
) -> None:
    before = tree(comfyui)
    planned = filled.sync(dry_run=True)
    assert tree(comfyui) == before
    assert counts(planned) == {"create": 3}
    done = filled.sync()
    assert done.actions == planned.actions
    assert (done.failures, done.entry is None) == ((), False)
    for name in NAMES:
        link = comfyui / LORAS / f"{name}.safetensors"
        assert link.is_symlink()
        model = filled.get(name)
        assert link.samefile(filled.file_path(model, model.files[0]))
    after = stamps(comfyui)
    again = filled.sync()
    assert counts(again) == {"keep": 3}
    assert again.entry is None
    assert stamps(comfyui) == after


@pytest.mark.parametrize("kind", [LinkKind.HARDLINK, LinkKind.SYMLINK, LinkKind.COPY])
def test_each_kind_of_link_is_made_kept_and_removed(
    library: ModelLibrary, source_folder: Path, comfyui: Path, kind: LinkKind
) -> None:
    import_loras(library, source_folder, NAMES)
    before = tree(comfyui)
    library.applications.add("comfyui", comfyui, link=kind)
    assert {action.link for action in library.sync().actions} == {kind}
    link = comfyui / LORAS / "anime.safetensors"
    model = library.get("anime")
    source = library.file_path(model, model.files[0])
    assert link.read_bytes() == source.read_bytes()
    assert (link.lstat().st_ino == source.stat().st_ino) is (kind is LinkKind.HARDLINK)
    assert counts(library.sync()) == {"keep": 3}
    library.applications.remove("comfyui")
    assert tree(comfyui) == before


def test_another_kind_of_link_replaces_ours(filled: ModelLibrary, comfyui: Path) -> None:
    filled.sync()
    filled.applications.add("comfyui", comfyui, link=LinkKind.HARDLINK)
    report = filled.sync()
    assert counts(report) == {"replace": 3}
    assert at(report, comfyui / LORAS / "flat.safetensors").reason == "was a symlink"
    assert not (comfyui / LORAS / "flat.safetensors").is_symlink()
    assert counts(filled.sync()) == {"keep": 3}
    filled.undo()
    assert (comfyui / LORAS / "flat.safetensors").is_symlink()


@pytest.mark.parametrize("what", ["file", "folder", "dangling", "other"])
def test_what_is_not_ours_is_a_conflict_and_stays(
    filled: ModelLibrary, comfyui: Path, what: str
) -> None:
    target = comfyui / LORAS / "flat.safetensors"
    if what == "file":
        target.write_text("mine")
    elif what == "folder":
        target.mkdir()
    else:
        target.symlink_to("nowhere" if what == "dangling" else comfyui / "folder_paths.py")
    before = tree(comfyui)
    report = filled.sync()
    assert counts(report) == {"create": 2, "conflict": 1}
    assert "not ours" in at(report, target).reason
    assert counts(filled.sync()) == {"keep": 2, "conflict": 1}
    assert not (filled.path / "models" / "nowhere").exists()
    filled.applications.remove("comfyui")
    assert tree(comfyui) == before


def test_a_link_that_the_user_made_to_the_very_file_is_kept_and_stays_theirs(
    filled: ModelLibrary, comfyui: Path
) -> None:
    model = filled.get("flat")
    target = comfyui / LORAS / "flat.safetensors"
    target.symlink_to(filled.file_path(model, model.files[0]))
    os.link(filled.file_path(model, model.files[0]), comfyui / "kept by the user")
    report = filled.sync()
    assert at(report, target).action is ActionKind.KEEP
    assert target not in {one.link.target for one in filled.applications.links()}
    filled.applications.remove("comfyui")
    assert target.is_symlink()


def test_a_link_that_somebody_replaced_is_left_alone(filled: ModelLibrary, comfyui: Path) -> None:
    filled.sync()
    target = comfyui / LORAS / "flat.safetensors"
    target.unlink()
    target.write_text("mine")
    assert counts(filled.sync()) == {"keep": 2, "conflict": 1}
    filled.remove("flat")
    assert target.read_text() == "mine"
    filled.applications.remove("comfyui")
    assert target.read_text() == "mine"


def test_a_link_that_somebody_removed_comes_back(filled: ModelLibrary, comfyui: Path) -> None:
    filled.sync()
    (comfyui / LORAS / "flat.safetensors").unlink()
    assert counts(filled.sync()) == {"keep": 2, "create": 1}
    assert (comfyui / LORAS / "flat.safetensors").exists()


def test_what_is_no_longer_wished_for_goes_with_the_folders_that_we_made(
    filled: ModelLibrary, comfyui: Path
) -> None:
    before = tree(comfyui)
    filled.applications.add("comfyui", comfyui, folders={"lora": "models/loras/mine/new"})
    filled.sync()
    assert (comfyui / LORAS / "mine" / "new" / "flat.safetensors").exists()
    filled.applications.add("comfyui", comfyui, folders={"lora": ""})
    report = filled.sync()
    assert counts(report) == {"skip": 3, "remove": 3}
    assert tree(comfyui) == before
    assert counts(filled.sync()) == {"skip": 3}


def test_only_models_that_a_search_finds(filled: ModelLibrary, comfyui: Path) -> None:
    filled.sync()
    filled.applications.add("comfyui", comfyui, only="anime")
    assert counts(filled.sync()) == {"keep": 1, "remove": 2}
    assert (comfyui / LORAS / "anime.safetensors").exists()


def test_the_plan_of_one_model_leaves_all_others_alone(
    filled: ModelLibrary, comfyui: Path, source_folder: Path
) -> None:
    filled.sync()
    shutil.rmtree(comfyui / LORAS)
    (model_id,) = import_loras(filled, source_folder, ["new"], first_seed=9)
    app = filled.applications.get("comfyui")
    place = Place(filled.path, lambda _: ())
    keeper = LinkKeeper(place, filled.library_id, lock_timeout_s=1)
    models = filled.list_models().models
    wanted = [AppModels(app, load_preset("comfyui"), models)]
    plan = plan_links(wanted, keeper.rows(), place, model_ids={model_id})
    keeper.close()
    assert [(action.action, action.model_id) for action in plan.actions] == [("create", model_id)]
    assert plan.actions[0].target == comfyui / LORAS / "new.safetensors"


def test_an_application_that_is_away_loses_nothing(
    filled: ModelLibrary, comfyui: Path, tmp_path: Path
) -> None:
    filled.sync()
    comfyui.rename(tmp_path / "away")
    report = filled.sync()
    assert counts(report) == {"skip": 3}
    assert {action.reason for action in report.actions} == {
        "the folder of the application is not there: offline"
    }
    assert {one.health for one in filled.applications.links()} == {"offline"}
    comfyui.mkdir()  # its mount point is there, and empty
    assert counts(filled.sync()) == {"skip": 3}
    assert list(comfyui.iterdir()) == []
    filled.remove("flat")
    comfyui.rmdir()
    (tmp_path / "away").rename(comfyui)
    assert (comfyui / LORAS / "flat.safetensors").is_symlink()
    assert counts(filled.sync()) == {"keep": 2, "remove": 1}
    assert not (comfyui / LORAS / "flat.safetensors").is_symlink()


def test_models_on_another_disk_that_is_away(
    filled: ModelLibrary, comfyui: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    (comfyui / "models").rename(disk)
    (comfyui / "models").symlink_to(disk)
    filled.sync()
    assert (disk / "loras" / "flat.safetensors").exists()
    disk.rename(tmp_path / "away")
    report = filled.sync()
    assert counts(report) == {"skip": 3}
    assert at(report, comfyui / LORAS / "flat.safetensors").reason.endswith("offline")
    assert not disk.exists()
    assert {one.health for one in filled.applications.links()} == {"offline"}
    filled.remove("flat")
    removed = filled.applications.remove("comfyui")
    assert counts(removed) == {"skip": 3}
    assert [app.name for app in filled.applications.list()] == ["comfyui"]
    (tmp_path / "away").rename(disk)
    assert counts(filled.sync()) == {"keep": 2, "remove": 1}


def test_links_are_mended_after_the_library_moved(
    filled: ModelLibrary, comfyui: Path, tmp_path: Path
) -> None:
    filled.sync()
    filled.close()
    new = tmp_path / "elsewhere" / "models of mine"
    new.parent.mkdir()
    filled.path.rename(new)
    with ModelLibrary(new, settings=filled._settings) as moved:
        assert {one.health for one in moved.applications.links()} == {"broken"}
        assert counts(moved.sync()) == {"replace": 3}
        assert {one.health for one in moved.applications.links()} == {"ok"}
        assert (comfyui / LORAS / "flat.safetensors").exists()
        assert counts(moved.sync()) == {"keep": 3}


def test_a_folder_that_leads_into_the_library_is_not_filled(
    filled: ModelLibrary, comfyui: Path
) -> None:
    shutil.rmtree(comfyui / LORAS)
    (comfyui / LORAS).symlink_to(filled.path / "models")
    before = tree(filled.path, without=frozenset({"catalog", "journal", "staging"}))
    report = filled.sync()
    assert counts(report) == {"conflict": 3}
    assert "of the library itself" in report.actions[0].reason
    assert tree(filled.path, without=frozenset({"catalog", "journal", "staging"})) == before


def test_a_file_in_the_place_of_a_folder_is_a_conflict(filled: ModelLibrary, comfyui: Path) -> None:
    shutil.rmtree(comfyui / LORAS)
    (comfyui / LORAS).write_text("mine")
    assert counts(filled.sync()) == {"conflict": 3}
    assert (comfyui / LORAS).read_text() == "mine"


def test_a_model_whose_file_is_gone_is_skipped(filled: ModelLibrary, comfyui: Path) -> None:
    model = filled.get("flat")
    path = filled.file_path(model, model.files[0])
    filled.sync()
    path.parent.chmod(0o755)
    path.unlink()
    report = filled.sync()
    assert counts(report) == {"keep": 2, "skip": 1}
    assert at(report, comfyui / LORAS / "flat.safetensors").reason.startswith("the library's file")
    assert {one.health for one in filled.applications.links("flat")} <= {"source_gone"}


def test_the_last_copy_of_a_model_is_never_removed(
    library: ModelLibrary, source_folder: Path, comfyui: Path
) -> None:
    import_loras(library, source_folder, NAMES)
    library.applications.add("comfyui", comfyui, link=LinkKind.HARDLINK)
    library.sync()
    model = library.get("flat")
    path = library.file_path(model, model.files[0])
    content = path.read_bytes()
    path.parent.chmod(0o755)
    path.unlink()
    (library.path / "manifests" / f"{model.id}.json").unlink()
    report = library.sync()
    target = comfyui / LORAS / "flat.safetensors"
    assert at(report, target).action is ActionKind.SKIP
    library.applications.remove("comfyui")
    assert target.read_bytes() == content


def test_two_applications_with_one_folder_of_models(
    filled: ModelLibrary, comfyui: Path, tmp_path: Path
) -> None:
    other = write_comfyui(tmp_path / "Other")
    shutil.rmtree(other / "models")
    (other / "models").symlink_to(comfyui / "models")
    filled.applications.add("other", other, preset="comfyui")
    filled.applications.add("same", comfyui, preset="comfyui")
    report = filled.sync()
    assert counts(report) == {"create": 3, "keep": 6}
    assert counts(filled.sync()) == {"keep": 9}
    filled.applications.remove("comfyui")
    assert counts(filled.sync()) == {"create": 3, "keep": 3}


def test_two_applications_that_want_different_files_in_one_place(
    filled: ModelLibrary, comfyui: Path, source_folder: Path
) -> None:
    (other,) = import_loras(filled, source_folder / "more", ["flat"], first_seed=70)
    filled.edit(other, EditChanges(add_tags=("mine",)))
    filled.applications.add("comfyui", comfyui, only="-tag:mine")
    filled.applications.add("second", comfyui, preset="comfyui", only="tag:mine")
    planned = filled.sync(dry_run=True)
    assert counts(planned) == {"create": 3, "conflict": 1}
    assert planned.actions[-1].reason == "another link is going to be there for comfyui"
    assert filled.sync().actions == planned.actions
    report = filled.sync()
    assert counts(report) == {"keep": 3, "conflict": 1}
    assert report.actions[-1].reason == "another link is there for comfyui"
    filled.applications.remove("comfyui")
    assert counts(filled.sync()) == {"create": 1}


def test_names_that_differ_in_case_only_do_not_meet(
    filled: ModelLibrary, comfyui: Path, source_folder: Path
) -> None:
    import_loras(filled, source_folder / "more", ["Anime"], first_seed=50)
    filled.sync()
    names = [path.name for path in (comfyui / LORAS).iterdir() if path.suffix]
    assert len({name.casefold() for name in names}) == 4
    assert "anime.safetensors" in names


def test_a_folder_that_cannot_be_written_to(filled: ModelLibrary, comfyui: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere; see the tests of file systems")
    (comfyui / LORAS).chmod(0o555)
    report = filled.sync()
    assert counts(report) == {"skip": 3}
    assert "cannot be written to" in report.actions[0].reason


def test_a_file_that_the_application_finds_under_the_same_name(
    filled: ModelLibrary, comfyui: Path
) -> None:
    filled.edit("flat", EditChanges(model_type=ModelType.TEXT_ENCODER))
    theirs = comfyui / "models" / "clip" / "flat.safetensors"
    theirs.parent.mkdir()
    theirs.write_text("mine")
    report = filled.sync()
    assert counts(report) == {"create": 2, "conflict": 1}
    assert str(theirs) in next(one.reason for one in report.actions if one.action == "conflict")
    theirs.unlink()
    assert counts(filled.sync()) == {"keep": 2, "create": 1}
    theirs.write_text("mine")
    assert counts(filled.sync()) == {"keep": 3}
