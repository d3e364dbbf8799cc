"""Removal, edits and undo: every change can be taken back, and gives back what was."""

import json
import shutil
from pathlib import Path

import pytest

from modelcellar.errors import (
    ContentDamagedError,
    LibraryFormatError,
    ModelNotFoundError,
    NothingToUndoError,
)
from modelcellar.library import ModelLibrary
from modelcellar.records import EditChanges, ModelType
from modelcellar.reports import ImportMode
from tests.support.catalogs import export
from tests.support.models import write_diffusers_folder, write_gguf
from tests.support.trees import tree

NOT_COMPARED = frozenset({"catalog", "journal", "trash", ".lock"})


def state(library: ModelLibrary) -> object:
    """Everything of a library that undo must give back."""
    return tree(library.path, without=NOT_COMPARED), export(library.path, but="manifest_mtime_ns")


@pytest.fixture
def filled(library: ModelLibrary, source_folder: Path) -> ModelLibrary:
    """A library with two models that are not touched."""
    other = source_folder.parent / "others"
    write_gguf(other / "one.gguf", seed=101)
    write_diffusers_folder(other / "pipe", seed=102)
    library.import_paths([other])
    library.edit("one", EditChanges(note="stays"))
    return library


def test_each_change_and_its_undo_in_sequence(filled: ModelLibrary, source_folder: Path) -> None:
    path = write_gguf(source_folder / "x.gguf", seed=1)
    states = [state(filled)]
    filled.import_paths([path])
    states.append(state(filled))
    filled.edit("x", EditChanges(name="Mine", add_tags=("a", "b"), model_type=ModelType.LLM))
    states.append(state(filled))
    filled.edit("Mine", EditChanges(remove_tags=("a",), note="n", name=""))
    states.append(state(filled))
    filled.remove("pipe")
    states.append(state(filled))
    filled.remove("x")
    states.append(state(filled))
    commands = []
    for expected in reversed(states):
        assert state(filled) == expected
        if expected is not states[0]:
            undone = filled.undo()
            assert undone.undone_at is not None
            commands.append(undone.command)
    assert commands == ["remove", "remove", "edit", "edit", "import"]


def test_an_undo_that_was_cut_short_is_finished_before_an_older_change_is_undone(
    filled: ModelLibrary, source_folder: Path
) -> None:
    before = state(filled)
    path = write_gguf(source_folder / "x.gguf", seed=1)
    (model,) = filled.import_paths([path]).models
    # All of an undo but its last step, which writes down that it was done.
    entry = filled.undo()
    name = filled.path / "journal" / f"{entry.id}.json"
    name.write_text(json.dumps({**json.loads(name.read_bytes()), "undone_at": None}))
    again = filled.undo()
    assert (again.id, again.model_ids) == (entry.id, (model.id,))
    assert state(filled) == before
    assert filled.undo(dry_run=True).command == "edit"


def test_remove_import_again_and_undo_all(filled: ModelLibrary, source_folder: Path) -> None:
    path = write_gguf(source_folder / "x.gguf", seed=1)
    before = state(filled)
    filled.import_paths([path])
    filled.edit("x", EditChanges(note="first"))
    first = state(filled)
    filled.remove("x")
    filled.import_paths([path])
    assert filled.get("x").note == ""
    filled.undo()
    with pytest.raises(ModelNotFoundError):
        filled.get("x")
    filled.undo()
    assert state(filled) == first
    assert filled.get("x").note == "first"
    filled.undo()
    filled.undo()
    assert state(filled) == before
    assert filled.verify().ok == 2


def test_undo_of_a_removal_whose_model_came_back_otherwise(
    filled: ModelLibrary, source_folder: Path
) -> None:
    path = write_gguf(source_folder / "x.gguf", seed=1)
    filled.import_paths([path])
    entry = filled.remove("x")
    filled.import_paths([path], name="Other")
    [again] = [p for p in (filled.path / "journal").iterdir() if entry.id < p.stem]
    again.unlink()
    filled.undo()
    assert filled.list_models().total == 3
    assert filled.get("Other").name == "Other"
    assert filled.verify().ok == 3


def test_undo_is_for_what_is_left(library: ModelLibrary) -> None:
    for dry_run in (True, False):
        with pytest.raises(NothingToUndoError) as error:
            library.undo(dry_run=dry_run)
        assert error.value.hint


def test_everything_undone_leaves_nothing_to_undo(
    library: ModelLibrary, source_folder: Path
) -> None:
    library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
    library.undo()
    with pytest.raises(NothingToUndoError):
        library.undo()


def test_undo_of_an_import_keeps_the_bytes_in_the_trash(
    library: ModelLibrary, source_folder: Path
) -> None:
    path = write_gguf(source_folder / "x.gguf", seed=1)
    library.import_paths([path])
    library.undo()
    [kept] = (library.path / "trash").glob("*/*/x.gguf")
    assert kept.read_bytes() == path.read_bytes()
    assert list((library.path / "models").iterdir()) == []
    assert list((library.path / "manifests").iterdir()) == []


def test_one_import_of_many_is_one_change(library: ModelLibrary, source_folder: Path) -> None:
    for seed in range(5):
        write_gguf(source_folder / f"{seed}.gguf", seed=seed)
    library.import_paths([source_folder])
    assert len(library.undo(dry_run=True).model_ids) == 5
    assert len(library.undo().model_ids) == 5
    assert library.list_models().total == 0


def test_import_that_brought_nothing_is_no_change(
    library: ModelLibrary, source_folder: Path
) -> None:
    path = write_gguf(source_folder / "x.gguf", seed=1)
    library.import_paths([path])
    library.edit("x", EditChanges(note="n"))
    library.import_paths([path, source_folder / "gone"])
    assert library.undo().command == "edit"


def test_edit_that_changes_nothing_is_no_change(library: ModelLibrary, source_folder: Path) -> None:
    library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
    library.edit("x", EditChanges(note="n", add_tags=("t",)))
    before = tree(library.path, without=frozenset({"catalog", ".lock"}))
    library.edit("x", EditChanges(note="n", add_tags=("t",), remove_tags=("zz",)))
    library.edit("x", EditChanges())
    assert tree(library.path, without=frozenset({"catalog", ".lock"})) == before


@pytest.mark.parametrize("change", ["edit", "remove", "undo"])
def test_dry_run_changes_nothing(filled: ModelLibrary, change: str) -> None:
    before = tree(filled.path, without=frozenset({"catalog", ".lock"})), export(filled.path)
    if change == "edit":
        record = filled.edit("one", EditChanges(name="New", add_tags=("x",)), dry_run=True)
        assert (record.name, record.tags, record.note) == ("New", ("x",), "stays")
    elif change == "remove":
        entry = filled.remove("one", dry_run=True)
        assert (entry.command, entry.model_ids) == ("remove", (filled.get("one").id,))
    else:
        assert filled.undo(dry_run=True).command == "edit"
    after = tree(filled.path, without=frozenset({"catalog", ".lock"})), export(filled.path)
    assert after == before


def test_unknown_keys_survive_edit_undo_and_remove(
    library: ModelLibrary, source_folder: Path
) -> None:
    library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
    [path] = (library.path / "manifests").iterdir()
    document = json.loads(path.read_bytes())
    document["future"] = {"a": [1, 2]}
    document["files"][0]["future"] = "b"
    document["identity"]["future"] = "c"
    document["security"]["future"] = "d"
    library.close()
    replace_file(path, json.dumps(document).encode())
    with ModelLibrary(library.path) as again:
        again.edit("x", EditChanges(note="n"))
        edited = json.loads(path.read_bytes())
        assert edited.pop("edits")["note"]["value"] == "n"
        assert edited == {key: value for key, value in document.items() if key != "edits"}
        again.verify()
        again.undo()
        again.remove("x")
        again.undo()
        after = json.loads(path.read_bytes())
        assert after.pop("verified_at")
        del document["verified_at"]
        assert after == document


def test_newer_manifest_is_shown_and_not_rewritten(
    library: ModelLibrary, source_folder: Path
) -> None:
    for seed in range(3):
        write_gguf(source_folder / f"{seed}.gguf", seed=seed)
    library.import_paths([source_folder])
    model = library.get("1")
    path = library.path / "manifests" / f"{model.id}.json"
    document = json.loads(path.read_bytes()) | {"format": 2, "new": True}
    replace_file(path, json.dumps(document).encode())
    before = path.read_bytes()
    with pytest.raises(LibraryFormatError, match="format 2") as error:
        library.edit("1", EditChanges(note="n"))
    assert "newer modelcellar" in error.value.hint
    assert library.verify().ok == 3
    assert path.read_bytes() == before
    assert [found.name for found in library.list_models().models if found.verified_at] == ["0", "2"]
    assert library.undo(dry_run=True).command == "import"
    library.remove("1")
    library.undo()
    assert path.read_bytes() == before


def test_undo_of_an_edit_keeps_what_was_learnt_since(
    library: ModelLibrary, source_folder: Path
) -> None:
    library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
    library.edit("x", EditChanges(note="n"))
    library.verify()
    verified_at = library.get("x").verified_at
    library.undo()
    assert library.get("x").verified_at == verified_at is not None
    assert library.get("x").note == ""


def test_move_of_damaged_content_is_not_undone(library: ModelLibrary, source_folder: Path) -> None:
    path = write_gguf(source_folder / "x.gguf", seed=1)
    [model] = library.import_paths([path], mode=ImportMode.MOVE).models
    kept = library.file_path(model, model.files[0])
    flip(kept, 4000)
    with pytest.raises(ContentDamagedError, match="not what it was"):
        library.undo()
    assert not path.exists()
    assert kept.exists()
    flip(kept, 4000)
    library.undo()
    assert path.exists()


def test_removed_content_that_is_gone_from_the_trash_is_no_crash(
    library: ModelLibrary, source_folder: Path
) -> None:
    library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
    library.remove("x")
    for folder in (library.path / "trash").iterdir():
        shutil.rmtree(folder)
    with pytest.raises(NothingToUndoError):
        library.undo()
    assert library.list_models().total == 0


def test_a_manifest_alone_in_the_trash_brings_no_model_back(
    library: ModelLibrary, source_folder: Path
) -> None:
    library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
    removed = library.remove("x")
    shutil.rmtree(library.path / "trash" / removed.id / removed.model_ids[0])
    with pytest.raises(NothingToUndoError):
        library.undo()
    assert library.list_models().total == 0
    assert library.purge().model_ids == removed.model_ids


def test_a_change_that_never_happened_is_passed_over(
    library: ModelLibrary, source_folder: Path
) -> None:
    library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
    # What an import leaves that was killed right after it wrote its journal entry.
    [done] = (library.path / "journal").iterdir()
    data = json.loads(done.read_bytes())
    data["id"] = "2999" + done.stem[4:]
    data["model_ids"] = ["never-01234567"]
    done.with_name(f"{data['id']}.json").write_text(json.dumps(data))
    assert library.undo().id == done.stem


def test_content_in_the_trash_can_be_deleted_by_its_owner(
    library: ModelLibrary, source_folder: Path
) -> None:
    library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
    library.remove("x")
    [folder] = (library.path / "trash").glob("*/x-*/")
    assert folder.stat().st_mode & 0o200


def flip(path: Path, offset: int) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    path.chmod(0o444)


def replace_file(path: Path, data: bytes) -> None:
    staged = path.with_name("staged")
    staged.write_bytes(data)
    staged.replace(path)


def test_undo_goes_by_order_when_the_clock_was_set_back(
    library: ModelLibrary, source_folder: Path
) -> None:
    library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
    [first] = (library.path / "journal").iterdir()
    # As if that import had happened before the clock was set back by many years.
    data = json.loads(first.read_bytes())
    data["id"] = "2999" + first.stem[4:]
    first.with_name(f"{data['id']}.json").write_text(json.dumps(data))
    first.unlink()
    library.edit("x", EditChanges(note="after"))
    library.import_paths([write_gguf(source_folder / "y.gguf", seed=2)])
    assert [library.undo().command for _ in range(3)] == ["import", "edit", "import"]
