"""Emptying the trash: the only thing that cannot be undone, so it must take nothing else."""

import errno
from pathlib import Path

import pytest

from modelcellar import store
from modelcellar.errors import ModelNotFoundError, NothingToUndoError
from modelcellar.library import ModelLibrary
from tests.support.models import write_diffusers_folder, write_gguf
from tests.support.trees import tree


@pytest.fixture
def filled(library: ModelLibrary, source_folder: Path) -> ModelLibrary:
    """Two models in the library, imported one after the other."""
    library.import_paths([write_gguf(source_folder / "one.gguf", seed=1)])
    write_diffusers_folder(source_folder / "pipe", seed=2)
    library.import_paths([source_folder / "pipe"])
    return library


def test_deletes_what_was_removed_and_nothing_else(filled: ModelLibrary) -> None:
    one, pipe = filled.get("one"), filled.get("pipe")
    filled.remove("pipe")
    models = tree(filled.path / "models")
    report = filled.purge()
    assert report.model_ids == (pipe.id,)
    assert report.size_bytes >= pipe.size_bytes
    assert list((filled.path / "trash").iterdir()) == []
    assert tree(filled.path / "models") == models
    assert filled.verify().ok == 1
    assert filled.get("one") == one or filled.get("one").verified_at is not None


def test_what_is_gone_cannot_be_undone_but_what_came_before_can(filled: ModelLibrary) -> None:
    filled.remove("one")
    filled.purge()
    entry = filled.undo()
    assert entry.command == "import"
    with pytest.raises(ModelNotFoundError):
        filled.get("pipe")
    with pytest.raises(NothingToUndoError):
        filled.undo()


def test_dry_run_deletes_nothing(filled: ModelLibrary) -> None:
    removed = filled.remove("one")
    before = tree(filled.path / "trash")
    report = filled.purge(dry_run=True)
    assert report.dry_run
    assert report.model_ids == removed.model_ids
    assert tree(filled.path / "trash") == before
    filled.undo()
    assert filled.get("one").name == "one"


def test_keeps_what_was_removed_lately(filled: ModelLibrary) -> None:
    removed = filled.remove("one")
    assert filled.purge(older_than_s=3600).model_ids == ()
    assert filled.purge(older_than_s=0).model_ids == removed.model_ids


def test_undone_import_is_purged_too(filled: ModelLibrary) -> None:
    undone = filled.undo()
    assert filled.purge().model_ids == undone.model_ids
    assert filled.list_models().total == 1


def test_deletes_manifests_before_content(
    filled: ModelLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short in between, it must leave nothing that looks as if it could be restored."""
    filled.remove("one")

    def power_cut(folder: Path) -> None:
        raise OSError(errno.EIO, "cut", str(folder))

    monkeypatch.setattr(store, "remove_tree", power_cut)
    with pytest.raises(OSError, match="cut"):
        filled.purge()
    assert not list((filled.path / "trash").glob("*/*.json"))
