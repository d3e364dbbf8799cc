"""What is in a cache of the Hub's client, whose blobs may be shared by all its repositories."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.library import ModelLibrary
from modelcellar.records import Identity
from tests.support.imports import statuses
from tests.support.models import gguf_bytes, sha256, write_gguf, write_shared_hub_cache
from tests.support.sources import found
from tests.support.trees import tree

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "hub"


@pytest.fixture
def offline(settings: Settings) -> ModelLibrary:
    """A library that looks at what other tools wrote down, and asks nobody."""
    return ModelLibrary.create(settings.library, settings=replace(settings, offline=True))


def test_shared_blobs_are_no_models_of_their_own(cache: Path) -> None:
    place = write_shared_hub_cache(cache, "acme/toy", "deep/toy.gguf", gguf_bytes(seed=1))
    assert place.read_bytes() == gguf_bytes(seed=1)
    assert found(cache) == {"toy": ["toy.gguf"]}


def test_a_folder_called_blobs_beside_others_is_looked_into(tmp_path: Path) -> None:
    write_gguf(tmp_path / "blobs" / "mine.gguf", seed=1)
    write_gguf(tmp_path / "others" / "other.gguf", seed=2)
    assert list(found(tmp_path)) == ["mine", "other"]


def test_repository_commit_and_path_are_claimed(offline: ModelLibrary, cache: Path) -> None:
    place = write_shared_hub_cache(cache, "acme/toy", "deep/toy.gguf", gguf_bytes(seed=1))
    before = tree(cache)
    with offline as library:
        report = library.import_paths([cache], lookup=True)
        assert statuses(report) == {"toy.gguf": "imported"}
        [model] = report.models
        identity = library.get(model.id).identity
        assert replace(identity, evidence=None) == Identity(
            "claimed", "huggingface", "acme/toy", COMMIT, "deep/toy.gguf"
        )
        assert model.files[0].digests.sha256 == sha256(place.read_bytes())
        copy = library.path / "models" / model.id / "toy.gguf"
        assert copy.is_file()
        assert not copy.is_symlink()
        # The cache may delete its file at any time.
        assert not copy.samefile(place)
    assert tree(cache) == before


def test_a_file_that_was_changed_is_not_claimed(offline: ModelLibrary, cache: Path) -> None:
    place = write_shared_hub_cache(cache, "acme/toy", "toy.gguf", gguf_bytes(seed=1))
    place.resolve().write_bytes(gguf_bytes(seed=2))
    with offline as library:
        [model] = library.import_paths([cache], lookup=True).models
        assert library.get(model.id).identity.status == "unknown"


def test_the_library_outlives_the_cache(offline: ModelLibrary, cache: Path) -> None:
    write_shared_hub_cache(cache, "acme/toy", "toy.gguf", gguf_bytes(seed=1))
    with offline as library:
        [model] = library.import_paths([cache], lookup=False).models
        shutil.rmtree(cache)
        copy = library.path / "models" / model.id / "toy.gguf"
        assert copy.read_bytes() == gguf_bytes(seed=1)
