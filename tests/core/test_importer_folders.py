"""Which files of a folder an import takes, as one model or as many."""

import os
from pathlib import Path

import pytest

from modelcellar.library import ModelLibrary
from modelcellar.records import FileFormat
from modelcellar.reports import ImportMode, ImportStatus
from tests.support.imports import CATALOG, content, statuses
from tests.support.models import (
    write_diffusers_folder,
    write_gguf,
    write_hub_cache,
    write_picture,
    write_transformers_folder,
)
from tests.support.trees import tree


class TestFolders:
    def test_transformers_folder_is_one_model(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        folder = write_transformers_folder(source_folder / "My LLM", seed=1, shards=3)
        write_picture(folder / "preview.png")
        (folder / "empty.txt").touch()
        report = library.import_paths([source_folder])
        assert statuses(report) == {"My LLM": "imported"}
        [model] = report.models
        assert model.name == "My LLM"
        expected = {path: data for path, (kind, _, data) in tree(folder).items() if kind == "file"}
        assert content(library, model.id) == expected
        assert {os.fsencode(file.path) for file in model.files} == set(expected)
        assert [os.fsencode(file.path) for file in model.files] == sorted(expected)

    def test_diffusers_folder_is_one_model(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        write_diffusers_folder(source_folder / "pipe", seed=1)
        report = library.import_paths([source_folder])
        assert statuses(report) == {"pipe": "imported"}
        assert len(report.models[0].files) == 6

    def test_pipeline_without_weights_is_no_model(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        folder = source_folder / "pipe"
        folder.mkdir()
        (folder / "model_index.json").write_text("{}")
        (folder / "config.json").write_text("{}")
        report = library.import_paths([folder])
        assert report.results == ()
        assert len(report.skipped) == 2

    def test_gguf_files_beside_a_config_stay_separate(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        folder = source_folder / "quants"
        for seed, name in enumerate(("q4", "q8")):
            write_gguf(folder / f"{name}.gguf", seed=seed)
        (folder / "config.json").write_text('{"model_type": "llama"}')
        report = library.import_paths([folder])
        assert statuses(report) == {"q4.gguf": "imported", "q8.gguf": "imported"}
        assert [Path(skipped.source).name for skipped in report.skipped] == ["config.json"]

    def test_hub_cache_is_found_once_and_named_by_its_repository(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        snapshot = write_hub_cache(source_folder, "org/my-bert", seed=1)
        before = tree(source_folder)
        report = library.import_paths([source_folder])
        assert statuses(report) == {snapshot.name: "imported"}
        [model] = report.models
        assert model.name == "my-bert"
        assert [file.path for file in model.files] == ["config.json", "model.safetensors"]
        assert all(
            kind == "file" for kind, _, _ in tree(library.path / "models" / model.id).values()
        )
        assert tree(source_folder) == before

    def test_link_loops_end(self, library: ModelLibrary, source_folder: Path) -> None:
        write_gguf(source_folder / "a" / "b" / "x.gguf", seed=1)
        (source_folder / "a" / "b" / "up").symlink_to(source_folder)
        (source_folder / "a" / "again").symlink_to(source_folder / "a" / "b")
        report = library.import_paths([source_folder])
        assert sorted(statuses(report).values()) == ["imported"]

    def test_link_onto_itself(self, library: ModelLibrary, source_folder: Path) -> None:
        (source_folder / "self.gguf").symlink_to("self.gguf")
        write_gguf(source_folder / "x.gguf", seed=1)
        report = library.import_paths([source_folder])
        assert statuses(report) == {"self.gguf": "failed link_loop", "x.gguf": "imported"}

    def test_link_loop_inside_a_model_folder(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        folder = write_transformers_folder(source_folder / "llm", seed=1)
        (folder / "loop").symlink_to(folder)
        write_gguf(source_folder / "x.gguf", seed=1)
        report = library.import_paths([source_folder])
        assert statuses(report) == {"llm": "refused link_loop", "x.gguf": "imported"}

    def test_link_that_points_to_nothing(self, library: ModelLibrary, source_folder: Path) -> None:
        (source_folder / "gone.gguf").symlink_to("nowhere")
        write_gguf(source_folder / "x.gguf", seed=1)
        report = library.import_paths([source_folder])
        assert statuses(report) == {"gone.gguf": "failed not_found", "x.gguf": "imported"}

    def test_library_inside_the_folder_is_not_imported(
        self, library: ModelLibrary, source_folder: Path, tmp_path: Path
    ) -> None:
        path = write_gguf(source_folder / "x.gguf", seed=1)
        library.import_paths([path])
        before = tree(library.path, without=CATALOG)
        report = library.import_paths([tmp_path])
        assert statuses(report) == {"x.gguf": "duplicate"}
        assert tree(library.path, without=CATALOG) == before
        report = library.import_paths([tmp_path], as_one=True)
        assert [result.error.code for result in report.results if result.error] == [
            "inside_library"
        ]

    @pytest.mark.parametrize("as_one", [False, True])
    @pytest.mark.parametrize("mode", [ImportMode.COPY, ImportMode.MOVE])
    def test_parts_of_the_library_are_not_imported(
        self, library: ModelLibrary, source_folder: Path, as_one: bool, mode: ImportMode
    ) -> None:
        write_gguf(source_folder / "x.gguf", seed=1)
        write_gguf(source_folder / "y.gguf", seed=2)
        models = library.import_paths([source_folder]).models
        file = library.file_path(models[0], models[0].files[0])
        (source_folder / "link").symlink_to(library.path / "models")
        before = tree(library.path, without=CATALOG)
        inside = [
            library.path,
            library.path / "models",
            file.parent,
            file,
            source_folder / "link",
            source_folder / "link" / models[1].id,
        ]
        report = library.import_paths(inside, mode=mode, as_one=as_one)
        assert [result.error.code for result in report.results if result.error] == [
            "inside_library"
        ] * len(inside)
        assert tree(library.path, without=CATALOG) == before

    def test_hidden_litter_and_caches_are_passed_over(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        folder = write_transformers_folder(source_folder / "llm", seed=1)
        for parent in (source_folder, folder):
            (parent / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
            (parent / "._model.safetensors").write_bytes(b"\0\5\x16\7" * 20)
            write_gguf(parent / ".cache" / "huggingface" / "x.gguf", seed=5)
            write_gguf(parent / ".git" / "lfs" / "y.gguf", seed=6)
        report = library.import_paths([source_folder])
        assert statuses(report) == {"llm": "imported"}
        assert len(report.models[0].files) == 5

    def test_what_is_no_model_is_skipped_and_counted(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        write_gguf(source_folder / "x.gguf", seed=1)
        write_picture(source_folder / "y.preview.png")
        (source_folder / "y.civitai.info").write_text('{"id": 5}')
        (source_folder / "notes.txt").write_text("words\n")
        (source_folder / "put_models_here").touch()
        (source_folder / "noise.dat").write_bytes(bytes(range(1, 256)) * 9)
        write_gguf(source_folder / "half.gguf.part", seed=2)
        write_gguf(source_folder / "z.safetensors.crdownload", seed=3)
        os.mkfifo(source_folder / "pipe.gguf")
        report = library.import_paths([source_folder])
        assert statuses(report) == {"x.gguf": "imported"}
        reasons = {Path(skipped.source).name: skipped.reason for skipped in report.skipped}
        assert sorted(reasons) == [
            "half.gguf.part",
            "noise.dat",
            "notes.txt",
            "pipe.gguf",
            "put_models_here",
            "y.civitai.info",
            "y.preview.png",
            "z.safetensors.crdownload",
        ]
        assert "unfinished" in reasons["half.gguf.part"]
        assert "image" in reasons["y.preview.png"]

    def test_unknown_bytes_with_the_ending_of_a_model_are_kept(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        (source_folder / "odd.engine").write_bytes(bytes(range(1, 256)) * 9)
        report = library.import_paths([source_folder])
        assert statuses(report) == {"odd.engine": "imported"}
        assert report.models[0].format is FileFormat.UNKNOWN

    def test_as_one(self, library: ModelLibrary, source_folder: Path) -> None:
        write_gguf(source_folder / "a.gguf", seed=1)
        write_gguf(source_folder / "sub" / "b.gguf", seed=2)
        (source_folder / "notes.txt").write_text("words\n")
        report = library.import_paths([source_folder], as_one=True, name="Pair")
        [model] = report.models
        assert [file.path for file in model.files] == ["a.gguf", "notes.txt", "sub/b.gguf"]
        assert (model.name, model.id[:5]) == ("Pair", "pair-")

    def test_empty_folder(self, library: ModelLibrary, source_folder: Path) -> None:
        assert library.import_paths([source_folder]).results == ()
        report = library.import_paths([source_folder], as_one=True)
        assert statuses(report) == {"sources": "refused empty"}

    def test_folder_by_dots(
        self, library: ModelLibrary, source_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_transformers_folder(source_folder / "My LLM", seed=1)
        monkeypatch.chdir(source_folder / "My LLM" / "tokenizer")
        [model] = library.import_paths([Path("..")]).models
        assert model.name == "My LLM"
        monkeypatch.chdir(source_folder / "My LLM")
        [result] = library.import_paths([Path()]).results
        assert (result.status, result.model_id) == (ImportStatus.DUPLICATE, model.id)
