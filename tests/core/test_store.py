"""The folders of a library: making one, refusing others, and what recovery does."""

import json
import uuid
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.errors import (
    LibraryBusyError,
    LibraryFormatError,
    LibraryNotFoundError,
    UsageError,
)
from modelcellar.layout import create_library
from modelcellar.library import ModelLibrary
from modelcellar.records import EditChanges
from modelcellar.store import Store
from tests.support.imports import statuses
from tests.support.models import write_gguf
from tests.support.trees import tree


def create(root: Path) -> Store:
    create_library(root)
    return Store(root, lock_timeout_s=1)


class TestCreate:
    def test_new_folder(self, tmp_path: Path) -> None:
        root = tmp_path / "a" / "b"
        made = create(root)
        assert str(uuid.UUID(made.library_id)) == made.library_id
        assert json.loads((root / "library.json").read_bytes()) == {
            "format": 1,
            "library_id": made.library_id,
        }
        assert "write-protected" in (root / "README.txt").read_text()
        assert {path.name for path in root.iterdir()} == {
            "README.txt",
            "catalog",
            "journal",
            "library.json",
            "manifests",
            "models",
            "staging",
            "trash",
        }

    def test_again_is_the_same_library(self, tmp_path: Path) -> None:
        first = create(tmp_path / "x")
        before = tree(tmp_path)
        assert create(tmp_path / "x").library_id == first.library_id
        assert tree(tmp_path) == before

    def test_what_an_interrupted_creation_left_is_finished(self, tmp_path: Path) -> None:
        for name in ("models", "manifests"):
            (tmp_path / name).mkdir()
        (tmp_path / "README.txt").write_text("x")
        (tmp_path / ".library.json.0123456789abcdef").write_text("{")
        create(tmp_path)
        assert (tmp_path / "library.json").exists()

    @pytest.mark.parametrize("name", ["x.gguf", ".hidden", "sub/x", "models/sd.safetensors"])
    def test_folder_with_other_things_is_left_alone(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
        before = tree(tmp_path)
        with pytest.raises(UsageError, match=str(tmp_path)) as error:
            create(tmp_path)
        assert error.value.hint
        assert tree(tmp_path) == before

    def test_library_that_lost_its_library_file(
        self, library: ModelLibrary, source_folder: Path, settings: Settings
    ) -> None:
        library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
        (library.path / "library.json").unlink()
        with ModelLibrary.create(library.path, settings=settings) as again:
            assert again.verify().ok == 1


class TestOpen:
    @pytest.mark.parametrize("kind", ["nothing", "folder", "file", "below a file"])
    def test_no_library(self, tmp_path: Path, kind: str) -> None:
        root = tmp_path / "x"
        if kind == "folder":
            root.mkdir()
        elif kind != "nothing":
            root.write_text("x")
        if kind == "below a file":
            root = root / "y"
        with pytest.raises(LibraryNotFoundError, match="is not a library") as error:
            Store(root, lock_timeout_s=1)
        assert "cellar init" in error.value.hint

    @pytest.mark.parametrize(
        "data",
        [b"", b"{}", b"[]", b"\xff", b'{"format": 1, "library_id": 5}', b"[" * 100_000, b"null"],
        ids=lambda data: repr(data[:12]),
    )
    def test_garbled_library_file(self, tmp_path: Path, data: bytes) -> None:
        create(tmp_path / "x")
        (tmp_path / "x" / "library.json").write_bytes(data)
        with pytest.raises(LibraryFormatError, match=r"library\.json") as error:
            Store(tmp_path / "x", lock_timeout_s=1)
        assert error.value.hint

    @pytest.mark.parametrize("number", [2, 0, "1", None])
    def test_other_format(self, tmp_path: Path, number: object) -> None:
        create(tmp_path / "x")
        document = {"format": number, "library_id": str(uuid.uuid4())}
        (tmp_path / "x" / "library.json").write_text(json.dumps(document))
        with pytest.raises(LibraryFormatError, match="this version knows 1"):
            Store(tmp_path / "x", lock_timeout_s=1)


class TestLock:
    def test_second_holder_waits_and_gives_up(self, tmp_path: Path) -> None:
        one = create(tmp_path / "x")
        two = Store(tmp_path / "x", lock_timeout_s=0.05)
        with one.lock(), pytest.raises(LibraryBusyError, match=r"0\.05 s") as error, two.lock():
            pass
        assert error.value.hint
        with two.lock():
            pass

    def test_reading_needs_no_lock(self, library: ModelLibrary, source_folder: Path) -> None:
        library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
        with Store(library.path, lock_timeout_s=1).lock():
            assert library.list_models().total == 1
            assert library.search("x").total == 1
            assert library.get("x").name == "x"


class TestRecovery:
    def test_dead_staging_folder_is_tidied_and_a_living_one_left(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
        dead = library.path / "staging" / "1-dead"
        (dead / "content" / "1").mkdir(parents=True)
        (dead / "content" / "1" / "half.gguf").write_bytes(b"half")
        (dead / "content" / "1").chmod(0o555)
        (library.path / "staging" / "stray file").write_text("x")
        other = Store(library.path, lock_timeout_s=1)
        with other.change() as living:
            library.edit("x", EditChanges(note="n"))
            names = {path.name for path in (library.path / "staging").iterdir()}
        assert living.path.name in names
        assert "1-dead" not in names

    def test_content_without_a_manifest_stays_and_is_told_of(self, library: ModelLibrary) -> None:
        orphan = library.path / "models" / "orphan-01234567"
        orphan.mkdir()
        (orphan / "a.gguf").write_bytes(b"data")
        orphan.chmod(0o555)
        foreign = library.path / "models" / "not a model id"
        foreign.mkdir()
        [problem] = library.rebuild().problems
        assert "orphan-01234567 has no manifest" in problem
        assert (orphan / "a.gguf").read_bytes() == b"data"
        assert foreign.exists()
        assert library.list_models().total == 0

    def test_content_that_lost_its_manifest_can_be_imported_again(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = write_gguf(source_folder / "a.gguf", seed=1)
        [model] = library.import_paths([path]).models
        (library.path / "manifests" / f"{model.id}.json").unlink()
        assert library.list_models().total == 0
        report = library.import_paths([library.path / "models" / model.id])
        assert statuses(report) == {"a.gguf": "imported"}
        assert library.get(model.id).files == model.files
        assert library.verify().ok == 1

    def test_content_in_the_trash_can_be_imported_again(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        library.import_paths([write_gguf(source_folder / "a.gguf", seed=1)])
        undone = library.undo()
        report = library.import_paths([library.path / "trash" / undone.id])
        assert statuses(report) == {"a.gguf": "imported"}

    def test_missing_empty_folders_are_made_again(
        self, library: ModelLibrary, settings: Settings, source_folder: Path
    ) -> None:
        for name in ("models", "manifests", "journal", "trash", "staging"):
            (library.path / name).rmdir()
        with ModelLibrary(library.path, settings=settings) as opened:
            report = opened.import_paths([write_gguf(source_folder / "a.gguf", seed=1)])
        assert statuses(report) == {"a.gguf": "imported"}


class TestJournal:
    @pytest.mark.parametrize(
        "change",
        [
            {"model_ids": ["../../etc"]},
            {"id": "../../x"},
            {"format": 99},
        ],
    )
    def test_entry_that_no_library_writes_is_not_followed(
        self, library: ModelLibrary, source_folder: Path, change: dict[str, object]
    ) -> None:
        library.import_paths([write_gguf(source_folder / "x.gguf", seed=1)])
        [path] = (library.path / "journal").iterdir()
        path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
        with pytest.raises(LibraryFormatError, match=path.name):
            library.undo()
        assert library.verify().ok == 1
