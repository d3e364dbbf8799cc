"""Ollama, the cache of the Hub and ComfyUI's list from being added to being removed again."""

from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.library import ModelLibrary
from modelcellar.link_records import ActionKind, LinkHealth, SyncReport
from modelcellar.records import ModelType
from tests.support.models import (
    gguf_bytes,
    write_gguf,
    write_safetensors,
    write_shared_hub_cache,
)
from tests.support.ollama_store import OllamaStore, write_ollama_store
from tests.support.trees import tree

LICENSE = b"MIT LICENSE\n"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    return folder


def done(report: SyncReport) -> dict[str, int]:
    """How many actions of each kind a sync took, those it kept or told of aside."""
    assert report.failures == ()
    kinds = [one.action for one in report.actions]
    quiet = (ActionKind.KEEP, ActionKind.SKIP)
    return {kind.value: kinds.count(kind) for kind in kinds if kind not in quiet}


def is_well(library: ModelLibrary) -> bool:
    return all(one.health is LinkHealth.OK for one in library.applications.links())


class TestOllama:
    def pull(self, tmp_path: Path, name: str, seed: int) -> Path:
        root = tmp_path / "from"
        layers = {"model": gguf_bytes(seed=seed), "license": LICENSE}
        write_ollama_store(root, f"registry.ollama.ai/library/{name}/latest", layers)
        return root

    def test_from_the_first_day_to_the_last(
        self, library: ModelLibrary, app: Path, tmp_path: Path
    ) -> None:
        self.pull(tmp_path, "one", 1)
        library.import_paths([self.pull(tmp_path, "two", 2)], lookup=False)
        # What the user has there already.
        mine = write_ollama_store(
            app, "registry.ollama.ai/library/mine/latest", {"model": gguf_bytes(seed=3)}
        )
        before = tree(app)
        library.applications.add("ollama", app)
        # Two of weights, two configurations, two manifests, and the licence that they share.
        assert done(library.sync()) == {"create": 7}
        store = OllamaStore(app)
        assert sorted(store.models()) == ["mine:latest", "one:latest", "two:latest"]
        assert is_well(library)
        assert done(library.sync()) == {}

        [one] = library.search("one").models
        library.remove(one.id)
        assert sorted(store.models()) == ["mine:latest", "two:latest"]
        assert store.models()["two:latest"].text("license") == LICENSE.decode()
        library.undo()
        assert sorted(store.models()) == ["mine:latest", "one:latest", "two:latest"]
        assert is_well(library)

        library.applications.remove("ollama")
        assert tree(app) == before
        assert mine["model"].read_bytes() == gguf_bytes(seed=3)

    def test_a_projector_of_two_models_stays_with_the_second(
        self, library: ModelLibrary, app: Path, source_folder: Path
    ) -> None:
        metadata = {"general.architecture": "clip", "general.type": "mmproj"}
        for seed, name in ((1, "a"), (2, "b")):
            folder = source_folder / name
            write_gguf(folder / f"{name}.gguf", seed=seed, metadata={"llama.embedding_length": 64})
            clip: dict[str, str | int] = {**metadata, "clip.vision.projection_dim": 64}
            write_gguf(folder / "mmproj-x.gguf", seed=9, metadata=clip)
        library.import_paths([source_folder], lookup=False)
        library.applications.add("ollama", app)
        library.sync()
        before = tree(app)
        store = OllamaStore(app)
        for model, left in zip(library.list_models().models, ("b:latest", "a:latest"), strict=True):
            library.remove(model.id)
            [(name, stored)] = store.models().items()
            assert name == left
            assert "projector" in stored.layers
            assert done(library.sync()) == {}
            library.undo()
            assert sorted(store.models()) == ["a:latest", "b:latest"]
            assert tree(app).keys() == before.keys()

    def test_a_store_that_it_came_from_keeps_what_it_has(
        self, library: ModelLibrary, tmp_path: Path
    ) -> None:
        root = self.pull(tmp_path, "one", 1)
        library.import_paths([root], lookup=False)
        before = tree(root)
        library.applications.add("ollama", root)
        report = library.sync()
        taken = {one.target.name for one in report.actions if one.action is ActionKind.CONFLICT}
        assert "latest" in taken
        after = tree(root)
        assert {path: after[path] for path in before} == before
        assert list(OllamaStore(root).models()) == ["one:latest"]
        library.applications.remove("ollama")
        assert tree(root) == before

    def test_what_the_user_removes_there_comes_back(
        self, library: ModelLibrary, app: Path, source_folder: Path
    ) -> None:
        [model] = library.import_paths(
            [write_gguf(source_folder / "m.gguf", seed=1)], lookup=False
        ).models
        library.applications.add("ollama", app)
        library.sync()
        store = OllamaStore(app)
        store.remove("m:latest")
        assert library.verify([model.id]).ok == 1
        assert done(library.sync()) == {"create": 3}
        assert list(store.models()) == ["m:latest"]

    def test_a_pull_over_our_manifest_is_the_user_s(
        self, library: ModelLibrary, app: Path, source_folder: Path
    ) -> None:
        library.import_paths([write_gguf(source_folder / "m.gguf", seed=1)], lookup=False)
        library.applications.add("ollama", app)
        library.sync()
        # The server opens a manifest that is there and writes it anew, as Go's os.Create does.
        write_ollama_store(
            app, "registry.ollama.ai/library/m/latest", {"model": gguf_bytes(seed=2)}
        )
        theirs = OllamaStore(app).models()["m:latest"].layers["model"]
        assert done(library.sync()) == {"conflict": 1}
        library.applications.remove("ollama")
        assert OllamaStore(app).models()["m:latest"].layers == {"model": theirs}


class TestHubCache:
    def test_from_one_cache_into_another_and_out_again(
        self, settings: Settings, app: Path, tmp_path: Path
    ) -> None:
        offline = replace(settings, offline=True)
        with ModelLibrary.create(settings.library, settings=offline) as library:
            self.in_and_out(library, app, tmp_path)

    def in_and_out(self, library: ModelLibrary, app: Path, tmp_path: Path) -> None:
        write_shared_hub_cache(tmp_path / "hub", "acme/toy", "deep/toy.gguf", gguf_bytes(seed=1))
        [model] = library.import_paths([tmp_path / "hub"], lookup=True).models
        library.applications.add("hf", app)
        assert done(library.sync()) == {"create": 3}
        repository = app / "models--acme--toy"
        assert (repository / "refs" / "main").read_text() == COMMIT
        place = repository / "snapshots" / COMMIT / "deep" / "toy.gguf"
        assert place.read_bytes() == gguf_bytes(seed=1)
        assert done(library.sync()) == {}
        library.remove(model.id)
        assert [path for path in app.rglob("*") if not path.is_dir()] == []
        library.undo()
        assert place.read_bytes() == gguf_bytes(seed=1)
        assert is_well(library)
        library.applications.remove("hf")
        assert list(app.iterdir()) == []

    def test_what_is_left_of_a_repository_is_still_found_as_main(
        self, settings: Settings, app: Path, tmp_path: Path
    ) -> None:
        offline = replace(settings, offline=True)
        for seed in (1, 2):
            data = gguf_bytes(seed=seed)
            write_shared_hub_cache(tmp_path / "hub", "acme/toy", f"{seed}.gguf", data)
        with ModelLibrary.create(settings.library, settings=offline) as library:
            library.import_paths([tmp_path / "hub"], lookup=True)
            library.applications.add("hf", app)
            library.sync()
            before = tree(app)
            main = app / "models--acme--toy" / "refs" / "main"
            for model in library.list_models().models:
                library.remove(model.id)
                assert main.read_text() == COMMIT
                assert done(library.sync()) == {}
                library.undo()
                assert tree(app) == before
            for model in library.list_models().models:
                library.remove(model.id)
            # A reference without its commit would make the repository corrupt.
            assert [path for path in app.rglob("*") if not path.is_dir()] == []


class TestComfyUI:
    def test_the_list_follows_the_library(
        self, library: ModelLibrary, app: Path, source_folder: Path
    ) -> None:
        for seed in (1, 2):
            path = write_safetensors(source_folder / f"{seed}.safetensors", seed=seed)
            library.import_paths([path], model_type=ModelType.LORA, lookup=False)
        library.applications.add("comfyui", app, preset="comfyui-yaml")
        assert done(library.sync()) == {"create": 1}
        file = app / "extra_model_paths.yaml"
        first, second = library.list_models().models
        assert first.id in file.read_text()
        library.remove(first.id)
        assert done(library.sync()) == {}
        assert first.id not in file.read_text()
        assert second.id in file.read_text()
        library.remove(second.id)
        assert done(library.sync()) == {}
        assert list(app.iterdir()) == []

    def test_a_list_of_the_user_stays(
        self, library: ModelLibrary, app: Path, source_folder: Path
    ) -> None:
        file = app / "extra_model_paths.yaml"
        file.write_text("a111: {base_path: /somewhere}\n")
        path = write_safetensors(source_folder / "x.safetensors", seed=1)
        library.import_paths([path], model_type=ModelType.LORA, lookup=False)
        library.applications.add("comfyui", app, preset="comfyui-yaml")
        assert done(library.sync()) == {"conflict": 1}
        library.applications.remove("comfyui")
        assert file.read_text() == "a111: {base_path: /somewhere}\n"
