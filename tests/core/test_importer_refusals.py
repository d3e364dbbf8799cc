"""What is not taken in, why, and that nothing else suffers from it."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from modelcellar.config import Settings
from modelcellar.errors import UsageError
from modelcellar.library import ModelLibrary
from modelcellar.reports import ImportMode, ImportStatus
from tests.support.imports import CATALOG, statuses, when
from tests.support.models import (
    write_gguf,
    write_html_page,
    write_lfs_pointer,
    write_safetensors,
    write_transformers_folder,
)
from tests.support.trees import tree


class TestRefusals:
    def test_each_with_a_code_and_a_remedy_and_the_others_go_on(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        write_lfs_pointer(source_folder / "pointer.safetensors")
        write_html_page(source_folder / "page.gguf")
        (source_folder / "empty.safetensors").touch()
        (source_folder / "zero.bin").write_bytes(b"\0" * 5000)
        cut = write_safetensors(source_folder / "cut.safetensors", seed=1)
        os.truncate(cut, 2000)
        cut = write_gguf(source_folder / "cut.gguf", seed=1)
        os.truncate(cut, 2000)
        (source_folder / "error.json.safetensors").write_text('{"error": "Entry not found"}')
        write_gguf(source_folder / "zz good.gguf", seed=2)
        write_gguf(source_folder / "a good.gguf", seed=3)
        before = tree(source_folder)
        report = library.import_paths([source_folder])
        assert statuses(report) == {
            "a good.gguf": "imported",
            "cut.gguf": "refused truncated",
            "cut.safetensors": "refused truncated",
            "empty.safetensors": "refused empty",
            "error.json.safetensors": "refused error_page",
            "page.gguf": "refused html_page",
            "pointer.safetensors": "refused lfs_pointer",
            "zero.bin": "refused all_zero",
            "zz good.gguf": "imported",
        }
        for result in report.results:
            if result.error is not None:
                assert result.error.message
                assert result.error.hint
                assert result.model_id is None
        assert tree(source_folder) == before
        assert library.list_models().total == 2

    def test_one_bad_file_in_a_model_folder_refuses_the_folder(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        folder = write_transformers_folder(source_folder / "llm", seed=1)
        write_lfs_pointer(folder / "model-00002-of-00002.safetensors")
        report = library.import_paths([source_folder])
        assert statuses(report) == {"llm": "refused lfs_pointer"}
        [result] = report.results
        assert result.error is not None
        assert "model-00002-of-00002.safetensors" in result.error.message

    @pytest.mark.parametrize(
        ("name", "data", "word"),
        [
            ("a.txt", b"words\n", "text"),
            ("a.py", b"import os\n", "python"),
            ("a.json", b'{"a": 1}', "json"),
            ("a.zst", b"\x28\xb5\x2f\xfd" + b"\1" * 50, "archive"),
        ],
    )
    def test_named_file_that_is_plainly_something_else(
        self, library: ModelLibrary, source_folder: Path, name: str, data: bytes, word: str
    ) -> None:
        (source_folder / name).write_bytes(data)
        [result] = library.import_paths([source_folder / name]).results
        assert result.error is not None
        assert (result.status, result.error.code) == (ImportStatus.REFUSED, "not_a_model")
        assert word in result.error.message
        assert result.error.hint

    def test_things_that_are_no_files(self, library: ModelLibrary, source_folder: Path) -> None:
        os.mkfifo(source_folder / "pipe")
        folder = write_transformers_folder(source_folder / "llm", seed=1)
        os.mkfifo(folder / "pipe.safetensors")
        paths = [source_folder / "pipe", folder, source_folder / "gone", Path("/dev/zero")]
        assert statuses(library.import_paths(paths)) == {
            "pipe": "refused not_a_file",
            "llm": "refused not_a_file",
            "gone": "failed not_found",
            "zero": "refused not_a_file",
        }

    @pytest.mark.parametrize("name", ["a\udcff", "\ud800"])
    def test_name_that_no_file_can_hold(
        self, library: ModelLibrary, source_folder: Path, name: str
    ) -> None:
        path = write_gguf(source_folder / "x.gguf", seed=1)
        with pytest.raises(UsageError, match="UTF-8"):
            library.import_paths([path], name=name)
        assert library.list_models().total == 0

    @pytest.mark.parametrize("name", ["", "  "])
    def test_empty_name_is_no_name(
        self, library: ModelLibrary, source_folder: Path, name: str
    ) -> None:
        [model] = library.import_paths(
            [write_gguf(source_folder / "x.gguf", seed=1)], name=name
        ).models
        assert model.name == "x"


class TestFailures:
    def test_source_that_changes_after_the_look(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = write_gguf(source_folder / "a.gguf", seed=1)
        write_gguf(source_folder / "b.gguf", seed=2)

        def change() -> None:
            with path.open("ab") as file:
                file.write(b"more")

        report = library.import_paths([source_folder], progress=when("scan", change))
        assert statuses(report) == {"a.gguf": "failed source_changed", "b.gguf": "imported"}
        assert [model.name for model in library.list_models().models] == ["b"]
        assert len(list((library.path / "models").iterdir())) == 1
        assert list((library.path / "staging").iterdir()) == []

    def test_source_replaced_by_one_of_the_same_size(
        self, library: ModelLibrary, source_folder: Path, tmp_path: Path
    ) -> None:
        path = write_gguf(source_folder / "a.gguf", seed=1)
        other = write_gguf(tmp_path / "other.gguf", seed=2)
        shutil.copystat(path, other)
        report = library.import_paths(
            [path], progress=when("scan", lambda: other.replace(path)), mode=ImportMode.MOVE
        )
        assert statuses(report) == {"a.gguf": "failed source_changed"}
        assert path.exists()
        assert library.list_models().total == 0

    def test_source_that_changes_while_it_is_compared(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = write_gguf(source_folder / "a.gguf", seed=1)
        library.import_paths([path])
        watch = when("scan", lambda: path.write_bytes(path.read_bytes()))
        assert statuses(library.import_paths([path], progress=watch)) == {
            "a.gguf": "failed source_changed"
        }

    def test_source_that_vanishes(self, library: ModelLibrary, source_folder: Path) -> None:
        path = write_gguf(source_folder / "a.gguf", seed=1)
        write_gguf(source_folder / "b.gguf", seed=2)
        report = library.import_paths([source_folder], progress=when("scan", path.unlink))
        assert statuses(report) == {"a.gguf": "failed not_found", "b.gguf": "imported"}

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_no_space(
        self, library: ModelLibrary, source_folder: Path, settings: Settings, dry_run: bool
    ) -> None:
        write_gguf(source_folder / "a.gguf", seed=1)
        before = tree(library.path, without=CATALOG)
        with ModelLibrary(library.path, settings=replace(settings, min_free_bytes=1 << 60)) as full:
            report = full.import_paths([source_folder], dry_run=dry_run)
        assert statuses(report) == {"a.gguf": "failed no_space"}
        [result] = report.results
        assert result.error is not None
        assert str(library.path) in result.error.message
        assert "1,152,921,504,606,846,976 to spare" in result.error.message
        assert result.error.hint
        assert tree(library.path, without=CATALOG) == before

    def test_file_that_needs_more_than_the_disk_has(
        self, library: ModelLibrary, source_folder: Path
    ) -> None:
        path = source_folder / "huge.engine"
        path.write_bytes(bytes(range(1, 256)))
        try:
            os.truncate(path, 1 << 43)
        except OSError:
            pytest.skip("the file system of the temporary folder holds no 8 TiB file")
        report = library.import_paths([path])
        assert statuses(report) == {"huge.engine": "failed no_space"}
        assert report.bytes_written == 0

    def test_unreadable_file_and_folder(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        if os.geteuid() != 0:
            base = tmp_path_factory.mktemp("plain")
            make_half_readable(base)
            found = import_as_this_user(base)
        else:
            found = import_as_nobody()
        assert found == {
            "closed": "failed permission_denied",
            "closed.gguf": "failed permission_denied",
            "good.gguf": "imported",
            "llm": "failed permission_denied",
            "q4.gguf": "imported",
            "secret.txt": "failed permission_denied",
        }


def make_half_readable(base: Path) -> None:
    """Sources in ``base/sources`` of which some cannot be read."""
    sources = base / "sources"
    write_gguf(sources / "good.gguf", seed=1)
    write_gguf(sources / "closed.gguf", seed=2).chmod(0)
    write_gguf(sources / "closed" / "x.gguf", seed=3)
    (sources / "closed").chmod(0)
    folder = write_transformers_folder(sources / "llm", seed=4)
    (folder / "model-00002-of-00002.safetensors").chmod(0)
    quants = sources / "quants"
    write_gguf(quants / "q4.gguf", seed=5)
    (quants / "config.json").write_text("{}")
    (quants / "secret.txt").write_text("x")
    (quants / "secret.txt").chmod(0)


def import_as_this_user(base: Path) -> dict[str, str]:
    settings = Settings(library=base / "library", min_free_bytes=0)
    with ModelLibrary.create(base / "library", settings=settings) as library:
        found = statuses(library.import_paths([base / "sources"]))
    (base / "sources" / "closed").chmod(0o700)
    return found


def import_as_nobody() -> dict[str, str]:
    """The same in a process that gives up being root, in a folder that it may enter."""
    code = (
        "import json, os, sys, tempfile\n"
        "from pathlib import Path\n"
        "import filelock, platformdirs, modelcellar.importer\n"
        "from tests.core import test_importer_refusals as t\n"
        # What is loaded when it is first needed: nobody may not read it later.
        "with tempfile.TemporaryDirectory() as base:\n"
        "    t.make_half_readable(Path(base))\n"
        "    t.import_as_this_user(Path(base))\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "with tempfile.TemporaryDirectory() as base:\n"
        "    t.make_half_readable(Path(base))\n"
        "    print(json.dumps(t.import_as_this_user(Path(base))))\n"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environ["TMPDIR"] = "/tmp"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found
