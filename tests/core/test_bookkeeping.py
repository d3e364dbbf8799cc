"""The catalog follows the manifests: rebuilt, refreshed, mended; the manifests are the truth."""

import json
import logging
import os
import random
import shutil
from pathlib import Path

import apsw
import pytest

from modelcellar.config import Settings
from modelcellar.errors import LibraryFormatError, ModelNotFoundError
from modelcellar.library import ModelLibrary
from modelcellar.records import EditChanges, ModelType
from modelcellar.search.fts5 import integrity_check
from tests.support.catalogs import export
from tests.support.models import write_diffusers_folder, write_gguf, write_safetensors
from tests.support.trees import tree

PAGE_BYTES = 4096


@pytest.fixture
def filled(library: ModelLibrary, source_folder: Path) -> ModelLibrary:
    """Six models of several kinds, one edited and one verified."""
    for seed, name in enumerate("abcd"):
        write_gguf(source_folder / f"{name}.gguf", seed=seed)
    write_safetensors(source_folder / "caf\udce9 模型.safetensors", seed=7)
    write_diffusers_folder(source_folder / "pipe", seed=8)
    library.import_paths([source_folder])
    library.edit("a", EditChanges(name="Zebra", add_tags=("x", "y"), model_type=ModelType.LORA))
    library.verify(["b"])
    return library


def catalog_of(library: ModelLibrary) -> Path:
    return library.path / "catalog" / "catalog.db"


def manifest_of(library: ModelLibrary, text: str) -> Path:
    return library.path / "manifests" / f"{library.get(text).id}.json"


def put_in_place(path: Path, data: bytes) -> None:
    """Write a file the way careful programs do."""
    staged = path.with_name("staged by another program")
    staged.write_bytes(data)
    staged.replace(path)


class TestRebuild:
    def test_export_is_identical(self, filled: ModelLibrary) -> None:
        before = export(filled.path)
        assert len(before["models"]) == 6
        report = filled.rebuild()
        assert (report.models, report.problems) == (6, ())
        assert export(filled.path) == before

    def test_deleted_catalog_is_made_anew_when_opened(
        self, filled: ModelLibrary, settings: Settings
    ) -> None:
        before = export(filled.path)
        listed = filled.list_models().models
        filled.close()
        shutil.rmtree(filled.path / "catalog")
        with ModelLibrary(filled.path, settings=settings) as again:
            assert again.list_models().models == listed
            assert again.search("zebra").total == 1
            assert export(filled.path) == before

    def test_unreadable_manifest_is_reported_and_hidden_and_the_others_are_fine(
        self, filled: ModelLibrary
    ) -> None:
        path = manifest_of(filled, "b")
        kept = path.read_bytes()
        put_in_place(path, kept[:-50])
        (filled.path / "manifests" / "dangling-01234567.json").symlink_to("nowhere")
        (filled.path / "manifests" / "folder-01234567.json").mkdir()
        (filled.path / "manifests" / "notes.txt").write_text("x")
        report = filled.rebuild()
        assert report.models == 5
        assert len(report.problems) == 3
        for name in (path.name, "dangling-01234567.json", "folder-01234567.json"):
            assert any(name in problem for problem in report.problems), name
        assert len(filled.list_models().models) == 5
        with pytest.raises(ModelNotFoundError):
            filled.get("b")
        assert filled.verify().ok == 5
        put_in_place(path, kept)
        assert filled.get("b").name == "b"
        assert filled.verify().ok == 6

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("verified_at", {}),
            ("id", "other-01234567"),
            ("content_digest", "x"),
            ("files", []),
            ("added_at", 5),
        ],
    )
    def test_manifest_of_odd_values_is_hidden(
        self, filled: ModelLibrary, key: str, value: object
    ) -> None:
        path = manifest_of(filled, "b")
        put_in_place(path, json.dumps(json.loads(path.read_bytes()) | {key: value}).encode())
        assert filled.list_models().total == 5
        assert len(filled.rebuild().problems) == 1

    def test_search_index_that_went_astray_is_mended(self, filled: ModelLibrary) -> None:
        connection = apsw.Connection(str(catalog_of(filled)))
        trigger = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE name = 'models_fts_update'"
        ).get
        connection.execute("DROP TRIGGER models_fts_update; UPDATE models SET name = 'garbled'")
        connection.execute(str(trigger))
        assert not integrity_check(connection)
        filled.rebuild()
        assert integrity_check(connection)
        connection.close()
        assert filled.search("garbled").total == 0
        assert filled.search("zebra").total == 1


class TestRefresh:
    def test_added(self, filled: ModelLibrary, tmp_path: Path) -> None:
        elsewhere = Settings(tmp_path / "two", min_free_bytes=0)
        with ModelLibrary.create(elsewhere.library, settings=elsewhere) as other:
            [model] = other.import_paths([write_gguf(tmp_path / "new.gguf", seed=50)]).models
        shutil.copytree(elsewhere.library / "models" / model.id, filled.path / "models" / model.id)
        manifest = (elsewhere.library / "manifests" / f"{model.id}.json").read_bytes()
        put_in_place(filled.path / "manifests" / f"{model.id}.json", manifest)
        assert filled.get("new") == model
        assert filled.search("new").total == 1
        assert filled.verify().ok == 7

    def test_taken_away(self, filled: ModelLibrary) -> None:
        manifest_of(filled, "b").unlink()
        assert filled.list_models().total == 5
        assert "b" not in [model.name for model in filled.search("b").models]

    def test_replaced(self, filled: ModelLibrary) -> None:
        path = manifest_of(filled, "b")
        document = json.loads(path.read_bytes())
        document["edits"]["name"] = {"value": "Elsewhere", "source": "user", "at": "x"}
        put_in_place(path, json.dumps(document).encode())
        assert filled.get("Elsewhere").name == "Elsewhere"
        assert filled.search("elsewhere").total == 1

    def test_only_what_differs_is_read(self, filled: ModelLibrary) -> None:
        for name in ("b", "c"):
            path = manifest_of(filled, name)
            status = path.stat()
            path.write_bytes(b"X" * status.st_size)
            os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
        manifest_of(filled, "d").unlink()
        assert [model.name for model in filled.list_models().models][:2] == ["b", "c"]

    def test_edit_by_another_is_not_lost_by_ours(self, filled: ModelLibrary) -> None:
        path = manifest_of(filled, "b")
        document = json.loads(path.read_bytes())
        document["edits"]["note"] = {"value": "theirs", "source": "user", "at": "x"}
        path.write_bytes(json.dumps(document).encode())  # in place: the folder looks the same
        record = filled.edit("b", EditChanges(add_tags=("ours",)))
        assert (record.note, record.tags) == ("theirs", ("ours",))
        filled.verify(["b"])
        assert filled.get("b").note == "theirs"

    def test_nothing_is_written_when_nothing_changed(self, filled: ModelLibrary) -> None:
        before = catalog_of(filled).stat().st_mtime_ns, tree(filled.path / "manifests")
        filled.list_models()
        filled.search("b")
        filled.get("b")
        assert (catalog_of(filled).stat().st_mtime_ns, tree(filled.path / "manifests")) == before


class TestDamagedCatalog:
    @pytest.mark.parametrize(
        "data", [b"garbage " * 1000, b"\0" * 20_000, b"SQLite format 3\0" + b"\xff" * 5000]
    )
    def test_garbage_is_set_aside_when_opened(
        self,
        filled: ModelLibrary,
        settings: Settings,
        caplog: pytest.LogCaptureFixture,
        data: bytes,
    ) -> None:
        before = export(filled.path)
        filled.close()
        catalog_of(filled).write_bytes(data)
        with (
            caplog.at_level(logging.WARNING),
            ModelLibrary(filled.path, settings=settings) as again,
        ):
            assert again.list_models().total == 6
            assert export(filled.path) == before
        assert "made anew" in caplog.text
        assert catalog_of(filled).with_name("catalog.db.damaged").read_bytes() == data

    def test_any_damaged_page(self, filled: ModelLibrary, settings: Settings) -> None:
        """Each page in turn; every question is still answered rightly."""
        listed = filled.list_models().models
        digest = listed[2].files[0].digests.sha256
        filled.close()
        good = catalog_of(filled).read_bytes()
        noise = random.Random(1)
        for start in range(0, len(good), PAGE_BYTES):
            for path in catalog_of(filled).parent.iterdir():
                path.unlink()
            garbled = good[:start] + noise.randbytes(PAGE_BYTES) + good[start + PAGE_BYTES :]
            catalog_of(filled).write_bytes(garbled)
            with ModelLibrary(filled.path, settings=settings) as again:
                assert again.list_models().models == listed, start
                assert again.search("gguf").total == 4, start
                assert again.get(digest[:9]) == listed[2], start
                assert again.rebuild().models == 6, start

    def test_cut_short(self, filled: ModelLibrary, settings: Settings) -> None:
        listed = filled.list_models().models
        filled.close()
        good = catalog_of(filled).read_bytes()
        for size in (0, 50, PAGE_BYTES, 3 * PAGE_BYTES, len(good) - 100):
            catalog_of(filled).write_bytes(good[:size])
            with ModelLibrary(filled.path, settings=settings) as again:
                assert again.list_models().models == listed, size

    def test_change_that_meets_damage_loses_nothing(
        self, filled: ModelLibrary, source_folder: Path
    ) -> None:
        connection = apsw.Connection(str(catalog_of(filled)))
        connection.execute("UPDATE models SET manifest = x'00'")
        connection.close()
        path = write_gguf(source_folder / "a.gguf", seed=0)
        with pytest.raises(LibraryFormatError, match="made anew") as error:
            filled.import_paths([path])
        assert "again" in error.value.hint
        [result] = filled.import_paths([path]).results
        assert result.status == "duplicate"
        assert filled.list_models().total == 6

    def test_database_of_another_program_stops_with_a_clear_word(
        self, filled: ModelLibrary, settings: Settings
    ) -> None:
        filled.close()
        path = catalog_of(filled)
        path.unlink()
        connection = apsw.Connection(str(path))
        connection.execute("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
        connection.close()
        before = path.read_bytes()
        with pytest.raises(LibraryFormatError, match="another program"):
            ModelLibrary(filled.path, settings=settings)
        assert path.read_bytes() == before
