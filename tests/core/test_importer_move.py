"""Moving: an original goes only when the library has it, and undo brings it back."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.errors import UsageError
from modelcellar.library import ModelLibrary
from modelcellar.reports import ImportMode, ImportResult
from tests.support.imports import content, statuses, when
from tests.support.models import (
    write_diffusers_folder,
    write_gguf,
    write_hub_cache,
)
from tests.support.trees import tree


class TestMove:
    def test_deletes_the_original_after_publishing(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = write_gguf(source_folder / "a.gguf", seed=1)
        data = path.read_bytes()
        seen: list[bool] = []

        def look(_: ImportResult) -> None:
            seen.append(path.exists())

        report = library.import_paths([path], mode=ImportMode.MOVE, on_result=look)
        assert statuses(report) == {"a.gguf": "imported"}
        assert seen == [False]
        assert not path.exists()
        assert source_folder.is_dir()
        assert content(library, report.results[0].model_id) == {b"a.gguf": data}

    def test_folder_goes_with_its_empty_folders(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        folder = write_diffusers_folder(source_folder / "pipe", seed=1)
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "notes.txt").write_text("x")
        library.import_paths([folder], mode=ImportMode.MOVE)
        assert list(source_folder.iterdir()) == []

    def test_undo_puts_everything_back(self, library: ModelLibrary, source_folder: Path) -> None:
        write_gguf(source_folder / "a.gguf", seed=1).chmod(0o640)
        write_diffusers_folder(source_folder / "pipe", seed=2)
        write_gguf(source_folder / "sub" / "b.gguf", seed=3)
        before = tree(source_folder)
        library.import_paths([source_folder], mode=ImportMode.MOVE)
        assert [path for path in source_folder.rglob("*") if path.is_file()] == []
        shutil.rmtree(source_folder)
        library.undo()
        assert tree(source_folder) == before
        assert library.list_models().total == 0

    def test_undo_never_overwrites_what_is_there_now(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        one = write_gguf(source_folder / "a.gguf", seed=1)
        two = write_gguf(source_folder / "b.gguf", seed=2)
        data = two.read_bytes()
        [first, *_] = library.import_paths([source_folder], mode=ImportMode.MOVE).models
        one.write_text("something new")
        with pytest.raises(UsageError, match="is not the file that was moved"):
            library.undo()
        assert one.read_text() == "something new"
        assert library.get(first.id).size_bytes == first.size_bytes
        one.unlink()
        library.undo()
        assert two.read_bytes() == data
        assert one.stat().st_size == first.size_bytes

    def test_undo_keeps_the_model_when_its_place_is_gone(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = write_gguf(source_folder / "sub" / "a.gguf", seed=1)
        [model] = library.import_paths([path], mode=ImportMode.MOVE).models
        path.parent.rmdir()
        path.parent.write_text("a file where the folder was")
        with pytest.raises(OSError, match="sub"):
            library.undo()
        assert library.verify().ok == 1
        path.parent.unlink()
        library.undo()
        assert path.stat().st_size == model.size_bytes

    def test_link_is_kept(self, library: ModelLibrary, source_folder: Path, tmp_path: Path) -> None:
        target = write_gguf(tmp_path / "elsewhere" / "real.gguf", seed=1)
        link = source_folder / "a.gguf"
        link.symlink_to(target)
        report = library.import_paths([link], mode=ImportMode.MOVE)
        assert statuses(report) == {"a.gguf": "imported original_kept"}
        assert link.is_symlink()
        assert target.exists()

    def test_folder_with_a_link_is_kept_whole(
        self, library: ModelLibrary, source_folder: Path, tmp_path: Path
    ) -> None:
        folder = write_diffusers_folder(source_folder / "pipe", seed=1)
        vae = tmp_path / "elsewhere"
        (folder / "vae").rename(vae)
        (folder / "vae").symlink_to(vae)
        before, outside = tree(folder), tree(vae)
        report = library.import_paths([folder], mode=ImportMode.MOVE)
        assert statuses(report) == {"pipe": "imported original_kept"}
        assert tree(folder) == before
        assert tree(vae) == outside

    def test_hub_cache_is_kept_whole(self, library: ModelLibrary, source_folder: Path) -> None:
        write_hub_cache(source_folder, "org/name", seed=1)
        before = tree(source_folder)
        library.import_paths([source_folder], mode=ImportMode.MOVE)
        assert tree(source_folder) == before

    def test_file_behind_a_linked_folder_is_kept(
        self, library: ModelLibrary, source_folder: Path, tmp_path: Path
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        behind = write_gguf(elsewhere / "behind.gguf", seed=1)
        here = write_gguf(source_folder / "here.gguf", seed=2)
        (source_folder / "linked").symlink_to(elsewhere)
        report = library.import_paths([source_folder], mode=ImportMode.MOVE)
        assert statuses(report) == {
            "here.gguf": "imported",
            "behind.gguf": "imported original_kept",
        }
        assert behind.exists()
        assert not here.exists()

    def test_hard_links_to_one_file_all_go(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        one = write_gguf(source_folder / "hl" / "one.gguf", seed=1)
        (source_folder / "hl" / "two.gguf").hardlink_to(one)
        report = library.import_paths([source_folder / "hl"], mode=ImportMode.MOVE, as_one=True)
        assert statuses(report) == {"hl": "imported"}
        assert not (source_folder / "hl").exists()

    def test_changed_original_is_kept(self, library: ModelLibrary, source_folder: Path) -> None:
        path = write_gguf(source_folder / "a.gguf", seed=1)
        watch = when("publish", lambda: path.write_text("rewritten while it was being imported"))
        report = library.import_paths([path], mode=ImportMode.MOVE, progress=watch)
        assert statuses(report) == {"a.gguf": "imported source_changed"}
        assert path.read_text() == "rewritten while it was being imported"
        assert library.verify().ok == 1

    def test_changed_file_of_a_folder_keeps_the_whole_folder(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        folder = write_diffusers_folder(source_folder / "pipe", seed=1)
        last = folder / "vae" / "diffusion_pytorch_model.safetensors"
        watch = when("publish", lambda: last.write_text("changed"))
        report = library.import_paths([folder], mode=ImportMode.MOVE, progress=watch)
        assert statuses(report) == {"pipe": "imported source_changed"}
        assert len([path for path in folder.rglob("*") if path.is_file()]) == 6

    def test_duplicate_is_kept(self, library: ModelLibrary, source_folder: Path) -> None:
        one = write_gguf(source_folder / "a.gguf", seed=1)
        two = write_gguf(source_folder / "b.gguf", seed=1)
        report = library.import_paths([source_folder], mode=ImportMode.MOVE)
        assert statuses(report) == {"a.gguf": "imported", "b.gguf": "duplicate"}
        assert (one.exists(), two.exists()) == (False, True)
        library.import_paths([two], mode=ImportMode.MOVE)
        assert two.exists()

    def test_failing_import_keeps_the_original(
        self, library: ModelLibrary, source_folder: Path, settings: Settings
    ) -> None:
        path = write_gguf(source_folder / "a.gguf", seed=1)
        with ModelLibrary(library.path, settings=replace(settings, min_free_bytes=1 << 60)) as full:
            full.import_paths([path], mode=ImportMode.MOVE)
        assert path.exists()
