"""Blobs of ours that a model of the user consists of as well by now: they stay."""

import shutil
from pathlib import Path

import pytest

from modelcellar.library import ModelLibrary
from modelcellar.link_records import ActionKind, LinkKind
from tests.support.models import gguf_bytes, write_gguf, write_shared_hub_cache
from tests.support.ollama_store import OllamaStore

OF_USER = "e" * 40


@pytest.fixture
def store(library: ModelLibrary, source_folder: Path, tmp_path: Path) -> OllamaStore:
    """A store that is given one model."""
    library.import_paths([write_gguf(source_folder / "m.gguf", seed=1)])
    (tmp_path / "ollama").mkdir()
    library.applications.add("ollama", tmp_path / "ollama")
    library.sync()
    return OllamaStore(tmp_path / "ollama")


def copy_model(store: OllamaStore) -> None:
    """``ollama cp m mine``, or a pull of the same weights: only a manifest is written."""
    (ours,) = store.manifests.glob("*/*/m/latest")
    mine = ours.parents[1] / "mine" / "latest"
    mine.parent.mkdir()
    shutil.copyfile(ours, mine)


@pytest.mark.parametrize("how", ["remove", "app remove", "sync", "undo"])
def test_a_model_of_ollama_with_our_blobs_outlives_ours(
    how: str, library: ModelLibrary, store: OllamaStore
) -> None:
    copy_model(store)
    if how == "remove":
        library.remove("m")
    elif how == "app remove":
        library.applications.remove("ollama")
    elif how == "sync":
        library.applications.add("ollama", store.root, only="type:lora")
        report = library.sync()
        left = [one for one in report.actions if one.action is ActionKind.SKIP]
        assert {one.target.parent.name for one in left} >= {"blobs"}
    else:
        assert library.undo().command == "sync"
    assert list(store.models()) == ["mine:latest"]


def test_blobs_go_when_nobody_needs_them_any_more(
    library: ModelLibrary, store: OllamaStore
) -> None:
    copy_model(store)
    library.remove("m")
    library.undo()
    assert list(store.models()) == ["m:latest", "mine:latest"]
    assert {one.health.value for one in library.applications.links()} == {"ok"}
    shutil.rmtree(store.manifests / "registry.ollama.ai" / "library" / "mine")
    library.remove("m")
    assert [path for path in store.root.rglob("*") if not path.is_dir()] == []
    assert library.applications.links() == ()


def test_a_link_that_leads_nowhere_is_needed_by_nobody(
    library: ModelLibrary, store: OllamaStore
) -> None:
    library.applications.remove("ollama")
    library.applications.add("ollama", store.root, link=LinkKind.SYMLINK)
    library.sync()
    copy_model(store)
    library.remove("m")
    library.purge()
    library.sync()
    assert not [path for path in store.blobs.iterdir() if path.is_symlink()]


def test_a_snapshot_of_the_user_with_our_blob_outlives_ours(
    library: ModelLibrary, tmp_path: Path
) -> None:
    write_shared_hub_cache(tmp_path / "hub", "acme/toy", "toy.gguf", gguf_bytes(seed=1))
    library.import_paths([tmp_path / "hub"])
    there = tmp_path / "there"
    there.mkdir()
    library.applications.add("hf", there)
    library.sync()
    repository = there / "models--acme--toy"
    (blob,) = (repository / "blobs").iterdir()
    # As the client does that finds the blob of another commit there.
    place = repository / "snapshots" / OF_USER / "toy.gguf"
    place.parent.mkdir()
    place.symlink_to(f"../../blobs/{blob.name}")
    library.applications.remove("hf")
    assert place.read_bytes() == gguf_bytes(seed=1)
    files = {path for path in there.rglob("*") if not path.is_dir()}
    assert files == {blob, place}
