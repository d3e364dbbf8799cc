"""What the models in an Ollama store become."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.library import ModelLibrary
from modelcellar.reports import ImportMode
from modelcellar.sources import NotTaken, Source, find_sources
from tests.support.imports import content, statuses
from tests.support.models import gguf_bytes, write_gguf
from tests.support.ollama_store import OllamaStore, write_ollama_store
from tests.support.sources import found
from tests.support.trees import tree
from tests.support.wishes import ask, put

LLAMA = "registry.ollama.ai/library/llama3/8b"
TEMPLATE = b"{{ .System }} {{ .Prompt }}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / ".ollama" / "models"


def gguf(seed: int, **metadata: str) -> bytes:
    named = {f"general.{key}": value for key, value in metadata.items()}
    return gguf_bytes(seed=seed, metadata=named)


def only(root: Path) -> Source | NotTaken:
    [item] = find_sources([root])
    return item


def test_a_name_is_a_model_and_texts_come_along(root: Path) -> None:
    layers = {"model": gguf(1), "template": TEMPLATE, "license": b"MIT", "params": b'{"stop":[]}'}
    write_ollama_store(root, LLAMA, layers)
    expected = ["llama3-8b.gguf", "[template]", "[license]", "[params]"]
    assert found(root) == {"llama3:8b": expected}
    # The same from above it, and from its folder of blobs.
    assert found(root.parent) == found(root / "blobs") == {"llama3:8b": expected}


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("registry.ollama.ai/someone/toy/latest", "someone/toy:latest"),
        ("hf.co/acme/Toy-GGUF/Q4_K_M", "hf.co/acme/Toy-GGUF:Q4_K_M"),
        ("localhost:5000/a/b/c", "localhost:5000/a/b:c"),
    ],
)
def test_names_of_other_hosts(root: Path, place: str, name: str) -> None:
    write_ollama_store(root, place, {"model": gguf(1)})
    assert list(found(root)) == [name]


def test_a_projector_comes_along(root: Path) -> None:
    clip = gguf(2, architecture="clip", type="mmproj")
    write_ollama_store(root, LLAMA, {"model": gguf(1), "projector": clip})
    assert found(root) == {"llama3:8b": ["llama3-8b.gguf", "mmproj-llama3-8b.gguf"]}


def test_a_second_name_of_the_same_weights_is_told_of(root: Path) -> None:
    write_ollama_store(root, LLAMA, {"model": gguf(1)})
    write_ollama_store(root, "registry.ollama.ai/library/llama3/latest", {"model": gguf(1)})
    assert found(root) == {"llama3:8b": ["llama3-8b.gguf"], "skipped same_files": ["latest"]}


def test_one_blob_or_manifest_that_is_named(root: Path) -> None:
    blobs = write_ollama_store(root, LLAMA, {"model": gguf(1)})
    write_ollama_store(root, "registry.ollama.ai/library/other/latest", {"model": gguf(2)})
    expected = {"llama3:8b": ["llama3-8b.gguf"]}
    assert found(blobs["model"]) == expected
    assert found(root / "manifests" / LLAMA) == expected


def test_a_blob_that_is_named_from_within_its_folder(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = write_ollama_store(root, LLAMA, {"model": gguf(1)})
    monkeypatch.chdir(root / "blobs")
    assert list(found(Path(blobs["model"].name))) == ["llama3:8b"]


def refused_by(root: Path) -> tuple[str, str]:
    item = only(root)
    assert isinstance(item, NotTaken)
    return item.error.code, item.error.message


def test_weights_that_are_not_there(root: Path) -> None:
    write_ollama_store(root, LLAMA, {"model": gguf(1)})["model"].unlink()
    code, message = refused_by(root)
    assert code == "incomplete"
    assert "llama3:8b" in message


def test_weights_that_are_cut_off(root: Path) -> None:
    path = write_ollama_store(root, LLAMA, {"model": gguf(1)})["model"]
    path.write_bytes(path.read_bytes()[:-7])
    assert refused_by(root)[0] == "incomplete"


def test_weights_that_are_something_else(root: Path) -> None:
    write_ollama_store(root, LLAMA, {"model": b"<!DOCTYPE html><html></html>" * 9})
    assert "llama3:8b" in refused_by(root)[1]


def test_a_model_in_tensors_and_one_that_runs_elsewhere(root: Path) -> None:
    write_ollama_store(root, "registry.ollama.ai/library/mlx/latest", {"tensor": b"tensor data"})
    write_ollama_store(root, "registry.ollama.ai/library/far/cloud", {"license": b"MIT"})
    assert found(root) == {"refused not_one_file": ["latest"], "skipped not_a_model": ["cloud"]}


def test_what_no_name_leads_to(root: Path) -> None:
    write_ollama_store(root, LLAMA, {"model": gguf(1)})
    digest = hashlib.sha256(b"x").hexdigest()
    (root / "blobs" / f"sha256-{digest}").write_bytes(gguf(9))
    (root / "blobs" / f"sha256-{digest}-partial-0").write_bytes(b"...")
    assert found(root) == {
        "llama3:8b": ["llama3-8b.gguf"],
        "skipped unnamed": [f"sha256-{digest}"],
        "skipped unfinished": [f"sha256-{digest}-partial-0"],
    }


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"[]",
        b"{",
        b'{"layers": {}}',
        b'{"layers": [1, null, {"digest": 1, "mediaType": 2}]}',
        json.dumps({"layers": [{"digest": "sha256:../../x", "mediaType": "y"}]}).encode(),
    ],
)
def test_folders_of_these_names_are_no_store_by_themselves(root: Path, manifest: bytes) -> None:
    write_gguf(root / "blobs" / "mine.gguf", seed=1)
    path = root / "manifests" / LLAMA
    path.parent.mkdir(parents=True)
    path.write_bytes(manifest)
    assert found(root)["mine"] == ["mine.gguf"]


class TestImported:
    def layers(self) -> Mapping[str, bytes]:
        return {"model": gguf(1), "template": TEMPLATE, "license": b"MIT LICENSE\n"}

    def test_the_library_has_copies_and_the_store_is_as_it_was(
        self, library: ModelLibrary, root: Path
    ) -> None:
        write_ollama_store(root, LLAMA, dict(self.layers()))
        before = tree(root)
        report = library.import_paths([root], mode=ImportMode.MOVE, lookup=False)
        assert statuses(report) == {"8b": "imported original_kept"}
        [model] = report.models
        assert model.name == "llama3:8b"
        assert content(library, model.id) == {
            b"llama3-8b.gguf": gguf(1),
            b"template": TEMPLATE,
            b"license": b"MIT LICENSE\n",
        }
        assert tree(root) == before
        again = library.import_paths([root], lookup=False)
        assert statuses(again) == {"8b": "duplicate"}

    def test_it_is_claimed_to_be_what_ollama_calls_it(self, settings: Settings, root: Path) -> None:
        write_ollama_store(root, LLAMA, dict(self.layers()))
        offline = replace(settings, offline=True)
        with ModelLibrary.create(settings.library, settings=offline) as library:
            [model] = library.import_paths([root], lookup=True).models
            identity = library.get(model.id).identity
        assert (identity.status, identity.provider) == ("claimed", "ollama")
        assert (identity.repo_id, identity.revision) == ("library/llama3", "8b")

    def test_there_and_back(self, library: ModelLibrary, root: Path, tmp_path: Path) -> None:
        write_ollama_store(root, LLAMA, dict(self.layers()))
        library.import_paths([root], lookup=False)
        other = tmp_path / "other"
        other.mkdir()
        put(library, ask(library, other, "ollama").wishes)
        [(name, stored)] = OllamaStore(other).models().items()
        assert name == "llama3:8b"
        assert {kind: path.read_bytes() for kind, path in stored.layers.items()} == self.layers()
