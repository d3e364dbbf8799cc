"""Names of files and folders through an import and back."""

import os
import shutil
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.library import ModelLibrary
from modelcellar.records import EditChanges
from modelcellar.reports import ImportMode, ImportStatus
from tests.support.imports import content, statuses
from tests.support.models import (
    write_diffusers_folder,
    write_gguf,
    write_transformers_folder,
)


class TestNames:
    ODD = (b"caf\xe9 \xff\xfe.gguf", "модель 模型.gguf".encode(), b"spaces  and 'quotes'.gguf")

    def test_kept_byte_for_byte_to_the_end(
        self, library: ModelLibrary, source_folder: Path, settings: Settings
    ) -> None:
        for seed, name in enumerate(self.ODD):
            try:
                write_gguf(source_folder / os.fsdecode(name), seed=seed)
            except OSError as error:  # a file system for UTF-8 only
                pytest.skip(f"the file system of the temporary folder refuses it: {error}")
        report = library.import_paths([source_folder])
        assert [result.status for result in report.results] == [ImportStatus.IMPORTED] * 3
        assert self.names(library) == set(self.ODD)
        library.rebuild()
        assert self.names(library) == set(self.ODD)
        library.close()
        shutil.rmtree(library.path / "catalog")
        with ModelLibrary(library.path, settings=settings) as again:
            assert self.names(again) == set(self.ODD)
            assert again.verify().ok == 3
            on_disk = {os.fsencode(path.name) for path in (again.path / "models").glob("*/*")}
            assert on_disk == set(self.ODD)
            for model in again.list_models().models:
                model.name.encode()
                assert again.get(model.name) == again.get(model.id)
            again.import_paths([source_folder])
            assert again.list_models().total == 3

    def names(self, library: ModelLibrary) -> set[bytes]:
        models = library.list_models().models
        return {os.fsencode(file.path) for model in models for file in model.files}

    def test_folder_names_that_are_not_utf8(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        folder = source_folder / os.fsdecode(b"\xff\xe9")
        write_diffusers_folder(folder, seed=1)
        odd = b"sch\xe9duler"
        (folder / "scheduler").rename(folder / os.fsdecode(odd))
        [model] = library.import_paths([folder]).models
        assert odd + b"/scheduler_config.json" in content(library, model.id)
        undone = library.undo()
        assert undone.model_ids == (model.id,)
        assert statuses(library.import_paths([folder], mode=ImportMode.MOVE)) == {
            folder.name: "imported"
        }
        library.undo()
        assert os.fsencode(next(folder.glob("sch*")).name) == odd

    @pytest.mark.parametrize(
        "name", ["a:b.gguf", "CON.gguf", "a\\b.gguf", "tab\t.gguf", "x.gguf ", "what?.gguf"]
    )
    def test_unsafe_names_are_refused_with_the_remedy(
        self, library: ModelLibrary, source_folder: Path, name: str
    ) -> None:
        write_gguf(source_folder / name, seed=1)
        write_gguf(source_folder / "good.gguf", seed=2)
        report = library.import_paths([source_folder])
        assert statuses(report) == {name: "refused unsafe_name", "good.gguf": "imported"}
        [error] = [result.error for result in report.results if result.error is not None]
        assert "Rename it, for example to" in error.hint
        assert error.message.isprintable()

    def test_case_collisions_are_refused_with_the_remedy(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        folder = write_transformers_folder(source_folder / "llm", seed=1)
        (folder / "readme.MD").write_text("other\n")
        if len(list(folder.glob("[rR]*"))) < 2:
            pytest.skip("the file system of the temporary folder ignores case")
        write_gguf(source_folder / "good.gguf", seed=2)
        report = library.import_paths([source_folder])
        assert statuses(report) == {"llm": "refused name_collision", "good.gguf": "imported"}
        [error] = [result.error for result in report.results if result.error is not None]
        assert "README.md" in error.message
        assert "readme.MD" in error.message
        assert "Rename one" in error.hint

    def test_models_of_one_name_do_not_collide(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        for seed, folder in enumerate("abc"):
            write_gguf(source_folder / folder / "model.gguf", seed=seed)
        report = library.import_paths([source_folder])
        assert len({model.id for model in report.models}) == 3

    def test_manifests_hold_nothing_of_this_machine(
        self, library: ModelLibrary, source_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        user = source_folder / "jane-doe-home"
        write_gguf(user / "x.gguf", seed=1)
        write_transformers_folder(user / "llm", seed=2)
        monkeypatch.setenv("USER", "jane-doe-user")
        for mode in (ImportMode.COPY, ImportMode.MOVE):
            library.import_paths([user], mode=mode)
            library.verify()
            library.edit(library.list_models().models[0].id, EditChanges(note=str(mode)))
            for path in (library.path / "manifests").iterdir():
                data = path.read_bytes()
                assert b"jane-doe" not in data
                assert os.fsencode(source_folder) not in data
                assert os.fsencode(library.path) not in data
                assert os.uname().nodename.encode() not in data
            library.undo()
            library.undo()
