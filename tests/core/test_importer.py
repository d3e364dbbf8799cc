"""The import flow on real files: what is written, what is left alone, what is said."""

import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.library import ModelLibrary
from modelcellar.records import EditChanges, FileFormat, ModelType
from modelcellar.reports import ImportMode, ImportResult, ImportStatus, Progress
from tests.support.imports import CATALOG, content, statuses
from tests.support.models import (
    write_diffusers_folder,
    write_gguf,
    write_lfs_pointer,
    write_safetensors,
    write_transformers_folder,
)
from tests.support.trees import stamps, tree


class TestCopy:
    def test_is_what_happens_by_default(self, library: ModelLibrary, source_folder: Path) -> None:
        one = write_safetensors(source_folder / "One.safetensors", seed=1)
        write_gguf(source_folder / "sub" / "two.gguf", seed=2)
        before, stamped = tree(source_folder), stamps(source_folder)
        report = library.import_paths([source_folder])
        assert statuses(report) == {"One.safetensors": "imported", "two.gguf": "imported"}
        assert tree(source_folder) == before
        assert stamps(source_folder) == stamped
        model = next(model for model in report.models if model.name == "One")
        assert content(library, model.id) == {b"One.safetensors": one.read_bytes()}
        assert model.format is FileFormat.SAFETENSORS
        assert report.bytes_written == sum(model.size_bytes for model in report.models)

    def test_works_on_a_source_that_nobody_may_write(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = write_safetensors(source_folder / "a.safetensors", seed=1)
        path.chmod(0o444)
        source_folder.chmod(0o555)
        assert statuses(library.import_paths([path])) == {"a.safetensors": "imported"}
        source_folder.chmod(0o755)

    def test_keeps_the_time_of_the_file(self, library: ModelLibrary, source_folder: Path) -> None:
        path = write_safetensors(source_folder / "a.safetensors", seed=1)
        os.utime(path, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
        [model] = library.import_paths([path]).models
        kept = library.file_path(model, model.files[0])
        assert kept.stat().st_mtime_ns == 1_600_000_000_123_456_789

    def test_content_is_write_protected(self, library: ModelLibrary, source_folder: Path) -> None:
        path = write_safetensors(source_folder / "a.safetensors", seed=1)
        path.chmod(0o700)
        folder = write_diffusers_folder(source_folder / "pipe", seed=1)
        library.import_paths([path, folder])
        for parent, folders, names in os.walk(library.path / "models"):
            if Path(parent) == library.path / "models":
                continue
            assert stat.S_IMODE(Path(parent).stat().st_mode) == 0o555, parent
            for name in names:
                assert stat.S_IMODE(Path(parent, name).stat().st_mode) == 0o444, name
            assert folders or names

    def test_a_link_given_by_name_is_followed(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = write_safetensors(source_folder / "real.safetensors", seed=1)
        link = source_folder / "link.safetensors"
        link.symlink_to(path)
        [model] = library.import_paths([link]).models
        assert model.files[0].path == "link.safetensors"
        assert not library.file_path(model, model.files[0]).is_symlink()

    def test_nothing_is_left_in_staging(self, library: ModelLibrary, source_folder: Path) -> None:
        write_safetensors(source_folder / "a.safetensors", seed=1)
        write_transformers_folder(source_folder / "llm", seed=2)
        library.import_paths([source_folder])
        assert list((library.path / "staging").iterdir()) == []


class TestDuplicates:
    def test_same_bytes_under_another_name_write_nothing(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        one = write_safetensors(source_folder / "one.safetensors", seed=1)
        two = source_folder / "two.bin"
        shutil.copyfile(one, two)
        [model] = library.import_paths([one]).models
        before = tree(library.path, without=CATALOG)
        report = library.import_paths([two, one])
        assert statuses(report) == {"two.bin": "duplicate", "one.safetensors": "duplicate"}
        assert {result.model_id for result in report.results} == {model.id}
        assert report.bytes_written == 0
        assert report.models == ()
        assert tree(library.path, without=CATALOG) == before

    def test_within_one_run(self, library: ModelLibrary, source_folder: Path) -> None:
        names = ("a.safetensors", "b.safetensors", "c.safetensors")
        for name in names:
            write_safetensors(source_folder / name, seed=1)
        write_safetensors(source_folder / "d.safetensors", seed=2)
        dry = library.import_paths([source_folder], dry_run=True)
        report = library.import_paths([source_folder])
        assert statuses(report) == {
            "a.safetensors": "imported",
            "b.safetensors": "duplicate",
            "c.safetensors": "duplicate",
            "d.safetensors": "imported",
        }
        assert statuses(dry) == statuses(report)
        assert len({result.model_id for result in report.results}) == 2
        assert report.bytes_written == 2 * (source_folder / names[0]).stat().st_size
        assert library.list_models().total == 2

    def test_one_path_twice(self, library: ModelLibrary, source_folder: Path) -> None:
        path = write_safetensors(source_folder / "a.safetensors", seed=1)
        report = library.import_paths([path, path])
        assert [result.status for result in report.results] == [
            ImportStatus.IMPORTED,
            ImportStatus.DUPLICATE,
        ]

    def test_same_size_is_not_the_same(self, library: ModelLibrary, source_folder: Path) -> None:
        for seed in range(4):
            write_safetensors(source_folder / f"{seed}.safetensors", seed=seed)
        library.import_paths([source_folder / "0.safetensors"])
        report = library.import_paths([source_folder])
        assert sorted(statuses(report).values()) == ["duplicate"] + ["imported"] * 3

    def test_one_changed_byte_in_a_big_file_is_another_model(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        one = write_safetensors(source_folder / "a.safetensors", seed=1, size_bytes=20 << 20)
        two = source_folder / "b.safetensors"
        shutil.copyfile(one, two)
        three = source_folder / "c.safetensors"
        shutil.copyfile(one, three)
        with three.open("r+b") as file:
            file.seek(7_654_321)
            byte = file.read(1)[0]
            file.seek(7_654_321)
            file.write(bytes([byte ^ 1]))
        report = library.import_paths([one, two, three])
        assert statuses(report) == {
            "a.safetensors": "imported",
            "b.safetensors": "duplicate",
            "c.safetensors": "imported",
        }

    def test_folder_again(self, library: ModelLibrary, source_folder: Path) -> None:
        folder = write_transformers_folder(source_folder / "one", seed=1)
        library.import_paths([folder])
        shutil.copytree(folder, source_folder / "two")
        before = tree(library.path, without=CATALOG)
        report = library.import_paths([source_folder / "two"])
        assert statuses(report) == {"two": "duplicate"}
        assert report.bytes_written == 0
        assert tree(library.path, without=CATALOG) == before

    def test_folder_with_other_names_is_another_model(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        folder = write_diffusers_folder(source_folder / "one", seed=1)
        library.import_paths([folder])
        (folder / "scheduler").rename(folder / "scheduler_2")
        assert statuses(library.import_paths([folder])) == {"one": "imported"}

    def test_duplicate_needs_no_space(
        self, library: ModelLibrary, source_folder: Path, settings: Settings
    ) -> None:
        path = write_safetensors(source_folder / "a.safetensors", seed=1)
        library.import_paths([path])
        with ModelLibrary(library.path, settings=replace(settings, min_free_bytes=1 << 60)) as full:
            assert statuses(full.import_paths([path])) == {"a.safetensors": "duplicate"}

    def test_users_edits_survive_a_second_import(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = write_safetensors(source_folder / "a.safetensors", seed=1)
        [model] = library.import_paths([path]).models
        edited = library.edit(model.id, EditChanges(name="Mine", add_tags=("x",), note="n"))
        library.import_paths([path], name="Other", model_type=ModelType.VAE)
        assert library.get(model.id) == edited


class TestLostContent:
    """What the library lost comes back with the source, and the records stay as they were."""

    @pytest.mark.parametrize("loss", ["folder", "file", "cut", "link"])
    def test_heals(self, library: ModelLibrary, source_folder: Path, loss: str) -> None:
        path = write_safetensors(source_folder / "a.safetensors", seed=1)
        [model] = library.import_paths([path]).models
        library.edit(model.id, EditChanges(name="Mine"))
        self.lose(library, model.id, "a.safetensors", loss)
        assert library.verify().ok == 0
        other = source_folder / "other name.bin"
        path.rename(other)
        report = library.import_paths([other])
        assert statuses(report) == {"other name.bin": "imported"}
        assert report.results[0].model_id == model.id
        assert content(library, model.id) == {b"a.safetensors": other.read_bytes()}
        assert library.get(model.id).name == "Mine"
        assert library.list_models().total == 1
        assert library.verify().ok == 1

    def test_heals_a_folder_model(self, library: ModelLibrary, source_folder: Path) -> None:
        folder = write_diffusers_folder(source_folder / "pipe", seed=1)
        [model] = library.import_paths([folder]).models
        self.lose(library, model.id, "vae/diffusion_pytorch_model.safetensors", "file")
        assert statuses(library.import_paths([folder])) == {"pipe": "imported"}
        assert library.verify().ok == 1

    def test_two_twins_heal_once(self, library: ModelLibrary, source_folder: Path) -> None:
        path = write_safetensors(source_folder / "a.safetensors", seed=1)
        write_safetensors(source_folder / "b.safetensors", seed=1)
        [model] = library.import_paths([path]).models
        self.lose(library, model.id, "a.safetensors", "folder")
        report = library.import_paths([source_folder], mode=ImportMode.MOVE)
        assert statuses(report) == {
            "a.safetensors": "imported original_kept",
            "b.safetensors": "duplicate",
        }
        assert path.exists()
        assert (source_folder / "b.safetensors").exists()
        assert library.verify().ok == 1

    def lose(self, library: ModelLibrary, model_id: str, relative: str, loss: str) -> None:
        folder = library.path / "models" / model_id
        for parent, _, _ in os.walk(folder):
            Path(parent).chmod(0o755)
        file = folder / relative
        if loss == "folder":
            shutil.rmtree(folder)
        elif loss == "cut":
            file.chmod(0o644)
            os.truncate(file, 10)
        else:
            file.rename(folder / "elsewhere")
            if loss == "link":
                file.symlink_to("elsewhere")


class TestDryRun:
    @pytest.mark.parametrize("mode", [ImportMode.COPY, ImportMode.MOVE])
    def test_changes_nothing_and_says_the_same(
        self, library: ModelLibrary, source_folder: Path, mode: ImportMode
    ) -> None:
        write_gguf(source_folder / "known.gguf", seed=1)
        library.import_paths([source_folder])
        write_gguf(source_folder / "new.gguf", seed=2)
        write_gguf(source_folder / "new twin.gguf", seed=2)
        write_gguf(source_folder / "new same size.gguf", seed=3)
        write_lfs_pointer(source_folder / "pointer.gguf")
        write_transformers_folder(source_folder / "llm", seed=4)
        write_transformers_folder(source_folder / "llm twin", seed=4)
        (source_folder / "notes.txt").write_text("words\n")
        (source_folder / "gone.gguf").symlink_to("nowhere")
        before = tree(source_folder), tree(library.path, without=CATALOG), stamps(source_folder)
        catalog = stamps(library.path / "manifests")
        dry = library.import_paths([source_folder], mode=mode, dry_run=True)
        assert dry.dry_run
        assert dry.bytes_written == 0
        after = tree(source_folder), tree(library.path, without=CATALOG), stamps(source_folder)
        assert after == before
        assert stamps(library.path / "manifests") == catalog
        wet = library.import_paths([source_folder], mode=mode)
        assert statuses(dry) == statuses(wet)
        assert dry.skipped == wet.skipped
        assert [result.source for result in dry.results if result.status == "refused"] == [
            result.source for result in wet.results if result.status == "refused"
        ]


class TestWatching:
    def test_progress_grows_to_its_total(self, library: ModelLibrary, source_folder: Path) -> None:
        for seed in range(5):
            write_gguf(source_folder / f"{seed}.gguf", seed=seed)
        write_gguf(source_folder / "twin.gguf", seed=0)
        write_transformers_folder(source_folder / "llm", seed=9)
        seen: list[Progress] = []
        results: list[ImportResult] = []
        report = library.import_paths(
            [source_folder], progress=seen.append, on_result=results.append
        )
        done = [step.bytes_done for step in seen]
        assert done == sorted(done)
        assert all(step.bytes_done <= step.bytes_total for step in seen)
        assert seen[-1].bytes_done == seen[-1].bytes_total > 0
        assert seen[-1].files_done == seen[-1].files_total == 11
        assert {step.phase for step in seen} >= {"scan", "copy", "compare", "publish"}
        assert sorted(results, key=str) == sorted(report.results, key=str)

    def test_interrupt_keeps_what_is_complete(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        for seed in range(4):
            write_gguf(source_folder / f"{seed}.gguf", seed=seed)

        def interrupt(progress: Progress) -> None:
            if progress.phase == "copy" and progress.files_done == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            library.import_paths([source_folder], progress=interrupt, mode=ImportMode.MOVE)
        kept = {model.name for model in library.list_models().models}
        left = {path.stem for path in source_folder.iterdir()}
        assert len(kept) >= 2
        assert kept | left == {"0", "1", "2", "3"}
        assert not kept & left
        assert list((library.path / "staging").iterdir()) == []
        assert library.verify().ok == len(kept)
        library.undo()
        assert len(list(source_folder.iterdir())) == 4

    def test_bytes_read_counts_every_pass(self, library: ModelLibrary, source_folder: Path) -> None:
        path = write_gguf(source_folder / "a.gguf", seed=1)
        size = path.stat().st_size
        report = library.import_paths([path])
        assert (report.bytes_read, report.bytes_written) == (size, size)
        report = library.import_paths([path])
        assert (report.bytes_read, report.bytes_written) == (size, 0)


def test_users_words_become_edits(library: ModelLibrary, source_folder: Path) -> None:
    path = write_gguf(source_folder / "file name.gguf", seed=1)
    [model] = library.import_paths([path], name=" Mine ", model_type=ModelType.LLM).models
    assert (model.name, model.type) == ("Mine", ModelType.LLM)
    library.edit(model.id, EditChanges(name=""))
    assert library.get(model.id).name == "file name"


def test_two_handles_see_each_other(
    library: ModelLibrary, source_folder: Path, settings: Settings
) -> None:
    with ModelLibrary(library.path, settings=settings) as other:
        path = write_gguf(source_folder / "a.gguf", seed=1)
        [model] = library.import_paths([path]).models
        assert statuses(other.import_paths([path])) == {"a.gguf": "duplicate"}
        other.remove(model.id)
        assert library.list_models().total == 0
        assert statuses(library.import_paths([path])) == {"a.gguf": "imported"}
