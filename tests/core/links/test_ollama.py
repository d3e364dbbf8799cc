"""Models of the library in an Ollama store, by the rules of Ollama's own server."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.library import ModelLibrary
from modelcellar.link_records import LinkKind
from modelcellar.records import ModelRecord
from tests.support.models import write_gguf, write_safetensors, write_transformers_folder
from tests.support.ollama_store import OllamaStore
from tests.support.wishes import Asked, ask, put, tree_bytes_by_inode

KIB = 1024
LONG_AGO = 1_500_000_000


@pytest.fixture
def store(tmp_path: Path) -> OllamaStore:
    """The folder of a server that has no models yet."""
    root = tmp_path / "ollama"
    root.mkdir()
    return OllamaStore(root)


def add(library: ModelLibrary, *paths: Path) -> list[ModelRecord]:
    report = library.import_paths(paths, lookup=False)
    assert [result.status for result in report.results] == ["imported"] * len(report.results)
    return list(report.models)


def place_all(library: ModelLibrary, store: OllamaStore) -> Asked:
    asked = ask(library, store.root, "ollama")
    put(library, asked.wishes)
    return asked


def kept(library: ModelLibrary) -> dict[Path, bytes]:
    """All bytes that the library keeps of its models."""
    files = (path for path in (library.path / "models").rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files}


def test_a_model_is_registered_without_a_second_copy(
    library: ModelLibrary, source_folder: Path, store: OllamaStore
) -> None:
    metadata = {"general.file_type": 15, "general.size_label": "7B"}
    path = source_folder / "Toy-7B-Instruct-Q4_K_M.gguf"
    [model] = add(library, write_gguf(path, seed=1, size_bytes=1 << 20, metadata=metadata))
    place_all(library, store)
    [(name, stored)] = store.models().items()
    assert name == "toy-7b-instruct:q4_k_m"
    assert stored.config["model_family"] == "llama"
    assert stored.config["model_families"] == ["llama"]
    assert (stored.config["model_type"], stored.config["file_type"]) == ("7B", "Q4_K_M")
    ours = library.path / "models" / model.id / model.files[0].path
    assert stored.layers["model"].samefile(ours)
    assert not stored.layers["model"].is_symlink()
    assert tree_bytes_by_inode(store.root, but=[ours]) < 64 * KIB


def test_the_second_time_nothing_else_is_wished_for(
    library: ModelLibrary, source_folder: Path, store: OllamaStore
) -> None:
    for seed in range(3):
        add(library, write_gguf(source_folder / f"m{seed}.gguf", seed=seed))
    models = library.list_models().models
    first = ask(library, store.root, "ollama", models=models)
    again = ask(library, store.root, "ollama", models=models[::-1])
    assert again == first


def test_the_manifest_is_made_last(
    library: ModelLibrary, source_folder: Path, store: OllamaStore
) -> None:
    add(library, write_gguf(source_folder / "m.gguf", seed=1))
    wishes = sorted(ask(library, store.root, "ollama").wishes, key=lambda wish: wish.order)
    assert [wish.target.is_relative_to(store.manifests) for wish in wishes] == [False, False, True]
    assert wishes[-1].order > wishes[-2].order


class TestWhatTheServerDeletes:
    def test_old_blobs_stay_while_a_manifest_names_them(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        path = write_gguf(source_folder / "m.gguf", seed=1)
        os.utime(path, (LONG_AGO, LONG_AGO))
        [model] = add(library, path)
        os.utime(library.path / "models" / model.id / "m.gguf", (LONG_AGO, LONG_AGO))
        place_all(library, store)
        left_over = store.blobs / "sha256-partial"
        left_over.write_bytes(b"an unfinished download")
        os.utime(left_over, (LONG_AGO, LONG_AGO))
        before = kept(library)
        assert store.prune(now=LONG_AGO * 2) == ["sha256-partial"]
        assert len(store.models()) == 1
        assert kept(library) == before

    def test_a_blob_without_its_manifest_goes_and_the_library_keeps_its_file(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        add(library, write_gguf(source_folder / "m.gguf", seed=1))
        place_all(library, store)
        before = kept(library)
        shutil.rmtree(store.manifests)
        assert len(store.prune(now=LONG_AGO * 2)) == 2
        assert kept(library) == before

    def test_removing_a_model_there_takes_the_link_only(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        add(library, write_gguf(source_folder / "m.gguf", seed=1))
        add(library, write_gguf(source_folder / "n.gguf", seed=2))
        place_all(library, store)
        before = kept(library)
        store.remove("m:latest")
        assert list(store.models()) == ["n:latest"]
        assert len(list(store.blobs.iterdir())) == 2
        assert kept(library) == before

    def test_a_symlink_serves_as_well(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        add(library, write_gguf(source_folder / "m.gguf", seed=1))
        put(library, ask(library, store.root, "ollama", link=LinkKind.SYMLINK).wishes)
        before = kept(library)
        assert store.models()["m:latest"].layers["model"].is_symlink()
        store.remove("m:latest")
        assert list(store.blobs.iterdir()) == []
        assert kept(library) == before


class TestLayers:
    def test_a_model_that_sees_has_its_projector(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        write_gguf(source_folder / "m.gguf", seed=1, metadata={"llama.embedding_length": 64})
        clip = {"general.architecture": "clip", "general.type": "mmproj"}
        # Its name does not say what it is, only its header does.
        write_gguf(
            source_folder / "vision.gguf",
            seed=2,
            metadata={**clip, "clip.vision.projection_dim": 64},
        )
        [model] = add(library, source_folder)
        assert len(model.files) == 2
        place_all(library, store)
        layers = store.models()["m:latest"].layers
        folder = library.path / "models" / model.id
        assert layers["model"].samefile(folder / "m.gguf")
        assert layers["projector"].samefile(folder / "vision.gguf")

    def test_a_chat_template_in_the_header_is_enough(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        metadata = {"tokenizer.chat_template": "{{ messages }}"}
        add(library, write_gguf(source_folder / "openhermes-2.gguf", seed=1, metadata=metadata))
        place_all(library, store)
        [stored] = store.models().values()
        assert list(stored.layers) == ["model"]

    def test_an_old_chat_model_gets_the_template_that_it_was_made_for(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        add(library, write_gguf(source_folder / "OpenHermes-2.5-Mistral-7B.Q4_0.gguf", seed=1))
        place_all(library, store)
        [stored] = store.models().values()
        assert "<|im_start|>user\n{{ .Prompt }}<|im_end|>" in stored.text("template")
        assert json.loads(stored.text("params")) == {"stop": ["<|im_start|>", "<|im_end|>"]}

    def test_a_model_nobody_knows_gets_none(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        add(library, write_gguf(source_folder / "base-7b.gguf", seed=1))
        place_all(library, store)
        [stored] = store.models().values()
        assert list(stored.layers) == ["model"]

    def test_an_architecture_with_a_renderer_of_its_own(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        metadata = {"general.architecture": "gemma4", "tokenizer.chat_template": "x"}
        add(library, write_gguf(source_folder / "m.gguf", seed=1, metadata=metadata))
        place_all(library, store)
        [stored] = store.models().values()
        assert (stored.config["renderer"], stored.config["parser"]) == ("gemma4", "gemma4")
        assert json.loads(stored.text("params")) == {"stop": ["<turn|>"]}


class TestNotPlaced:
    def test_parts_of_a_split_model(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        for number in (1, 2):
            write_gguf(source_folder / f"big-0000{number}-of-00002.gguf", seed=number)
        [model] = add(library, source_folder)
        asked = ask(library, store.root, "ollama")
        assert asked.wishes == ()
        assert "split into 2 files" in asked.reasons[model.id]
        assert "llama-gguf-split --merge" in asked.reasons[model.id]

    def test_safetensors(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        [model] = add(library, write_safetensors(source_folder / "m.safetensors", seed=1))
        model = replace(model, type=model.type.LLM)
        asked = ask(library, store.root, "ollama", models=[model])
        assert asked.wishes == ()
        assert "safetensors, only GGUF" in asked.reasons[model.id]

    def test_a_folder_of_transformers(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        [model] = add(library, write_transformers_folder(source_folder / "llm", seed=1))
        asked = ask(library, store.root, "ollama")
        assert asked.wishes == ()
        assert model.id in asked.reasons

    def test_what_is_no_language_model(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        metadata = {"general.architecture": "flux"}
        [model] = add(library, write_gguf(source_folder / "f.gguf", seed=1, metadata=metadata))
        assert "diffusion_model" in ask(library, store.root, "ollama").reasons[model.id]


class TestNames:
    def test_two_models_of_one_name(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        [first] = add(library, write_gguf(source_folder / "a" / "Toy.gguf", seed=1))
        [second] = add(library, write_gguf(source_folder / "b" / "toy.gguf", seed=2))
        place_all(library, store)
        digest = second.files[0].digests.sha256
        assert sorted(store.models()) == [f"toy:latest-{digest[:8]}", "toy:latest"][::-1]
        by_name = {name: stored.layers["model"].name for name, stored in store.models().items()}
        assert by_name["toy:latest"] == f"sha256-{first.files[0].digests.sha256}"

    def test_models_that_share_a_blob_share_it(
        self, library: ModelLibrary, source_folder: Path, store: OllamaStore
    ) -> None:
        for seed, size in enumerate(("7B", "13B")):
            add(library, write_gguf(source_folder / f"vicuna-{size}.gguf", seed=seed))
        asked = place_all(library, store)
        blobs = [stored.layers["template"] for stored in store.models().values()]
        assert len(blobs) == 2
        assert blobs[0] == blobs[1]
        # It is of neither model alone, so that it does not go with one of them.
        [owner] = [wish.model_id for wish in asked.wishes if wish.target == blobs[0]]
        assert owner == ""
