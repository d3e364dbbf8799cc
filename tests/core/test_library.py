"""The facade: opening, listing, naming models, and a library that moves."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.errors import (
    AmbiguousModelError,
    LibraryNotFoundError,
    ModelNotFoundError,
    UsageError,
)
from modelcellar.library import ModelLibrary
from modelcellar.records import EditChanges, FileFormat, ModelType
from modelcellar.reports import ImportMode
from tests.support.models import write_diffusers_folder, write_gguf, write_safetensors
from tests.support.trees import tree


@pytest.fixture
def filled(library: ModelLibrary, source_folder: Path) -> ModelLibrary:
    """Models of three sizes and two formats."""
    write_gguf(source_folder / "Alpha.gguf", seed=1, size_bytes=64)
    write_safetensors(source_folder / "beta xl.safetensors", seed=2, size_bytes=8192)
    write_diffusers_folder(source_folder / "gamma", seed=3)
    library.import_paths([source_folder])
    return library


def names(library: ModelLibrary, **arguments: object) -> list[str]:
    report = library.list_models(**arguments)  # type: ignore[arg-type]
    return [model.name for model in report.models]


class TestList:
    def test_sort(self, filled: ModelLibrary) -> None:
        assert names(filled) == ["Alpha", "beta xl", "gamma"]
        assert names(filled, sort="-name") == ["gamma", "beta xl", "Alpha"]
        assert names(filled, sort="size") == ["Alpha", "beta xl", "gamma"]
        assert names(filled, sort="-size") == ["gamma", "beta xl", "Alpha"]
        assert sorted(names(filled, sort="added")) == sorted(names(filled))

    @pytest.mark.parametrize("sort", ["", "-", "--name", "names", "name; DROP TABLE models", "id"])
    def test_unknown_order(self, filled: ModelLibrary, sort: str) -> None:
        with pytest.raises(UsageError) as error:
            filled.list_models(sort=sort)
        assert "name, size, added" in error.value.hint

    def test_pages(self, filled: ModelLibrary) -> None:
        assert names(filled, limit=2) == ["Alpha", "beta xl"]
        assert names(filled, limit=2, offset=2) == ["gamma"]
        assert names(filled, limit=0) == []
        assert filled.list_models(limit=1).total == 3
        assert filled.list_models(offset=99).total == 3

    def test_filter(self, filled: ModelLibrary) -> None:
        filled.edit("gamma", EditChanges(model_type=ModelType.CHECKPOINT))
        assert names(filled, model_type=ModelType.CHECKPOINT) == ["gamma"]
        assert names(filled, file_format=FileFormat.SAFETENSORS) == ["beta xl", "gamma"]
        assert filled.list_models(file_format=FileFormat.ONNX).total == 0
        found = filled.list_models(
            model_type=ModelType.UNKNOWN, file_format=FileFormat.SAFETENSORS, limit=5
        )
        assert found.total == 1


class TestGet:
    def test_every_way(self, filled: ModelLibrary) -> None:
        model = filled.get("beta xl")
        digests = model.files[0].digests
        texts = [
            model.id,
            model.id[:6],
            "BETA XL",
            digests.sha256,
            digests.blake3,
            digests.sha256[:6],
            digests.blake3[:20].upper(),
        ]
        assert [filled.get(text) for text in texts] == [model] * len(texts)
        weights = filled.get("gamma").files[-1].digests.blake3
        assert filled.get(weights).name == "gamma"

    def test_changed_name_is_the_name(self, filled: ModelLibrary) -> None:
        filled.edit("Alpha", EditChanges(name="Omega"))
        assert filled.get("omega").name == "Omega"
        assert filled.get("alpha").name == "Omega"  # the id keeps the first name

    def test_not_found_says_what_is_near(self, filled: ModelLibrary) -> None:
        with pytest.raises(ModelNotFoundError, match="'beta xxl'") as error:
            filled.get("beta xxl")
        assert error.value.hint == "Did you mean 'beta xl'?"
        with pytest.raises(ModelNotFoundError) as error:
            filled.get("zzzzzzzz")
        assert "cellar list" in error.value.hint

    @pytest.mark.parametrize("text", ["", "\udcff", "a\0b", "../..", "f" * 64, "x" * 100_000])
    def test_odd_texts_are_not_found(self, filled: ModelLibrary, text: str) -> None:
        for ask in (filled.get, filled.remove, lambda text: filled.verify([text])):
            with pytest.raises(ModelNotFoundError):
                ask(text)
        assert filled.list_models().total == 3

    def test_nothing_is_not_the_only_model(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
        with pytest.raises(ModelNotFoundError):
            library.remove("")

    def test_ambiguous(self, filled: ModelLibrary) -> None:
        filled.edit("Alpha", EditChanges(name="Same"))
        filled.edit("gamma", EditChanges(name="SAME"))
        with pytest.raises(AmbiguousModelError) as error:
            filled.get("same")
        assert len(error.value.model_ids) == 2
        assert all(model_id in error.value.message for model_id in error.value.model_ids)


class TestMoveTest:
    def test_renamed_library_works_in_every_way(
        self, filled: ModelLibrary, source_folder: Path, settings: Settings, tmp_path: Path
    ) -> None:
        moved = write_gguf(source_folder / "moved.gguf", seed=9)
        data = moved.read_bytes()
        filled.import_paths([moved], mode=ImportMode.MOVE)
        filled.edit("Alpha", EditChanges(note="n"))
        listed = filled.list_models().models
        identity = filled.library_id
        before = tree(filled.path / "manifests")
        filled.close()
        target = tmp_path / "another disk" / "cellar"
        target.parent.mkdir()
        filled.path.rename(target)
        with ModelLibrary(target, settings=settings) as again:
            assert again.library_id == identity
            assert again.path == target
            assert again.list_models().models == listed
            assert again.search("alpha").total == 1
            assert tree(target / "manifests") == before
            assert again.verify().ok == 4
            for model in listed:
                for file in model.files:
                    assert again.file_path(model, file).stat().st_size == file.size_bytes
            assert {result.status for result in again.import_paths([source_folder]).results} == {
                "duplicate"
            }
            again.remove("gamma")
            for command in ("remove", "edit", "import"):
                assert again.undo().command == command
            assert moved.read_bytes() == data
            assert again.rebuild().models == 3

    def test_relative_path(
        self, filled: ModelLibrary, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(filled.path.parent)
        with ModelLibrary(Path(filled.path.name), settings=settings) as again:
            assert again.verify().ok == 3
            assert again.import_paths([Path(filled.path.name)]).results[0].error is not None


class TestOpen:
    def test_no_library(self, tmp_path: Path, settings: Settings) -> None:
        with pytest.raises(LibraryNotFoundError):
            ModelLibrary(tmp_path / "nowhere", settings=settings)
        assert not (tmp_path / "nowhere").exists()

    def test_settings_of_the_user_are_the_default(self, home: Path) -> None:
        with ModelLibrary.create(home / "library") as made:
            assert made.path == home / "library"
        with ModelLibrary(home / "library") as again:
            assert again.list_models().total == 0

    def test_import_of_the_package_loads_next_to_nothing(self) -> None:
        code = "import sys, modelcellar; print(len([m for m in sys.modules if 'cellar' in m]))"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert int(done.stdout) <= 2

    def test_nothing_is_logged_in_a_good_life(
        self, filled: ModelLibrary, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            filled.edit("Alpha", EditChanges(note="n"))
            filled.remove("gamma")
            filled.undo()
            filled.verify()
            filled.rebuild()
        assert caplog.records == []


def test_search_finds_what_edits_say(filled: ModelLibrary) -> None:
    filled.edit("Alpha", EditChanges(name="Omega", add_tags=("anime",), base_model="SDXL"))
    for query in ("omega", "anime", "sdxl"):
        report = filled.search(query)
        assert [model.name for model in report.models] == ["Omega"], query
        assert (report.query, report.total) == (query, 1)
    assert filled.search('"; DROP TABLE models; --').total == 0
    filled.undo()
    assert filled.search("omega").total == 0
    filled.remove("Alpha")
    assert filled.search("alpha").total == 0
