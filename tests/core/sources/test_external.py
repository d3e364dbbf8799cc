"""External data: taken with all models that need it, whole or not at all, and never another's."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from modelcellar.library import ModelLibrary
from modelcellar.reports import ImportMode
from modelcellar.sources import Source, find_sources
from modelcellar.sources.external import MAX_ZERO_BYTES
from tests.core.formats.builders import onnx_external_tensor, onnx_file
from tests.support.imports import content, statuses
from tests.support.models import write_lfs_pointer, write_picture, write_safetensors
from tests.support.sources import found, refusal

RAW = b"\x11" * 256


def write_onnx(path: Path, *locations: str | bytes, **more: str) -> Path:
    """An ONNX file of one tensor of 256 bytes in each location, one after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [os.fsencode(location) for location in locations]
    path.write_bytes(onnx_file(tensors=[onnx_external_tensor(name, **more) for name in names]))
    return path


def write_raw(path: Path, data: bytes = RAW) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


class TestWhole:
    @pytest.mark.parametrize(
        "name", ["w.data", "w  x.data ", "weights.bin", "w\udcff.data", "a" * 255, "/w", "./w.data"]
    )
    def test_goes_with_its_model(self, source_folder: Path, name: str) -> None:
        location = name.removeprefix("/")
        write_onnx(source_folder / "m.onnx", location)
        write_raw(source_folder / location)
        write_picture(source_folder / "m.png")
        data = location.removeprefix("./")
        assert found(source_folder) == {"m": ["m.onnx", data, "[m.png]"]}
        assert found(source_folder / "m.onnx") == found(source_folder)
        assert found(source_folder / data) == found(source_folder)

    def test_more_files_than_are_shown(self, source_folder: Path) -> None:
        names = [f"w{number}" for number in range(300)]
        write_onnx(source_folder / "m.onnx", *names)
        for name in names:
            write_raw(source_folder / name)
        [files] = found(source_folder).values()
        assert files == ["m.onnx", *names]

    @pytest.mark.parametrize("name", ["w.data", "weights.bin"])
    def test_in_a_folder_below(self, source_folder: Path, name: str) -> None:
        write_onnx(source_folder / "m.onnx", f"data/{name}")
        write_raw(source_folder / "data" / name)
        assert found(source_folder) == {"m": ["m.onnx", f"data/{name}"]}

    def test_data_that_begins_like_another_format(self, source_folder: Path) -> None:
        write_onnx(source_folder / "m.onnx", "w.data", "x.data")
        write_raw(source_folder / "w.data", b"\x80\x02" + RAW)
        write_raw(source_folder / "x.data", b"\xff\x0a" + RAW)
        assert found(source_folder) == {"m": ["m.onnx", "w.data", "x.data"]}

    def test_one_of_several_may_be_zeros(self, source_folder: Path) -> None:
        write_onnx(source_folder / "m.onnx", "norm.bias", "w.data")
        write_raw(source_folder / "norm.bias", bytes(256))
        write_raw(source_folder / "w.data")
        assert found(source_folder) == {"m": ["m.onnx", "norm.bias", "w.data"]}
        os.truncate(source_folder / "norm.bias", MAX_ZERO_BYTES + 1)
        assert "all zeros" in refusal(source_folder / "m.onnx").error.message

    def test_tensorflow_js(self, source_folder: Path) -> None:
        weights = {"name": "w", "shape": [8], "dtype": "float32"}
        groups = [{"paths": ["g1.bin ", "g2.bin"], "weights": [weights]}]
        document = {"format": "graph-model", "weightsManifest": groups}
        (source_folder / "model.json").write_text(json.dumps(document))
        write_raw(source_folder / "g1.bin ")
        assert "needs g2.bin" in refusal(source_folder / "model.json").error.message
        write_raw(source_folder / "g2.bin")
        for path in (source_folder, source_folder / "g2.bin"):
            assert found(path) == {"model": ["model.json", "g1.bin ", "g2.bin"]}


class TestShared:
    def write(self, folder: Path) -> None:
        for name in ("decoder", "decoder_with_past"):
            write_onnx(folder / f"{name}.onnx", "w.data", doc=name)
        write_raw(folder / "w.data")

    def test_makes_one_model(self, source_folder: Path) -> None:
        self.write(source_folder)
        write_onnx(source_folder / "other.onnx", "other.data")
        write_raw(source_folder / "other.data")
        both = ["decoder.onnx", "decoder_with_past.onnx", "w.data"]
        assert found(source_folder) == {"decoder": both, "other": ["other.onnx", "other.data"]}
        for name in both:
            assert found(source_folder / name) == {"decoder": both}
        assert found(*sorted(source_folder.iterdir(), reverse=True)) == found(source_folder)

    def test_by_way_of_a_third(self, source_folder: Path) -> None:
        for name, data in (("a", "1"), ("b", "2"), ("c", "12")):
            write_onnx(source_folder / f"{name}.onnx", *data)
        for name in "12":
            write_raw(source_folder / name)
        assert found(source_folder) == {"a": ["a.onnx", "b.onnx", "c.onnx", "1", "2"]}

    def test_is_moved_whole(self, library: ModelLibrary, source_folder: Path) -> None:
        self.write(source_folder)
        before = {os.fsencode(path.name): path.read_bytes() for path in source_folder.iterdir()}
        report = library.import_paths([source_folder], mode=ImportMode.MOVE)
        [model] = report.models
        assert content(library, model.id) == before
        assert list(source_folder.iterdir()) == []


class TestIncomplete:
    def test_without_its_data(self, library: ModelLibrary, source_folder: Path) -> None:
        path = write_onnx(source_folder / "m.onnx", "w.data")
        for dry_run in (True, False):
            report = library.import_paths([path.parent], dry_run=dry_run)
            assert statuses(report) == {"m.onnx": "refused incomplete"}
        assert "needs w.data, which is not there" in refusal(path).error.message
        assert refusal(path).error.hint

    def test_of_many_some_are_named(self, source_folder: Path) -> None:
        write_onnx(source_folder / "m.onnx", *(f"w{number}" for number in range(300)))
        for number in range(256):
            write_raw(source_folder / f"w{number}")
        [item, *_] = find_sources([source_folder])
        assert not isinstance(item, Source)
        assert "w256, w257, w258, w259, w260 and 39 more, which are not there" in item.error.message

    @pytest.mark.parametrize(
        ("data", "words"),
        [(bytes(256), "all zeros"), (RAW[:255], "255 bytes of the 256"), (b"", "0 bytes of")],
    )
    def test_broken_data(self, source_folder: Path, data: bytes, words: str) -> None:
        write_onnx(source_folder / "m.onnx", "w.data")
        write_raw(source_folder / "w.data", data)
        error = refusal(source_folder / "m.onnx").error
        assert error.code == "incomplete"
        assert words in error.message

    @pytest.mark.parametrize(
        "more", [{"offset": "1"}, {"length": "257"}, {"offset": "x"}, {"offset": "9" * 30}]
    )
    def test_data_too_short_for_where_the_tensors_are(
        self, source_folder: Path, more: Mapping[str, str]
    ) -> None:
        write_onnx(source_folder / "m.onnx", "w.data", **more)
        write_raw(source_folder / "w.data")
        assert refusal(source_folder / "m.onnx").error.code == "incomplete"

    def test_refuses_all_that_share_it(self, source_folder: Path) -> None:
        write_onnx(source_folder / "a.onnx", "w.data")
        write_onnx(source_folder / "b.onnx", "w.data", "x.data")
        write_raw(source_folder / "w.data")
        shown = found(source_folder)
        assert shown == {"refused incomplete": ["a.onnx"], "skipped not_a_model": ["w.data"]}

    @pytest.mark.parametrize("as_one", [False, True])
    def test_in_a_folder_of_a_model(self, source_folder: Path, as_one: bool) -> None:
        write_safetensors(source_folder / "model.safetensors", seed=1)
        (source_folder / "config.json").write_text('{"model_type": "bert"}')
        write_onnx(source_folder / "onnx" / "model.onnx", "model.onnx_data")
        [item] = find_sources([source_folder], as_one=as_one)
        assert not isinstance(item, Source)
        assert "onnx/model.onnx needs model.onnx_data" in item.error.message
        write_raw(source_folder / "onnx" / "model.onnx_data")
        [item] = find_sources([source_folder], as_one=as_one)
        assert isinstance(item, Source)
        assert len(item.files) == 4


class TestClaims:
    """What an ONNX file says is its data, and is somebody else's."""

    @pytest.mark.parametrize(
        "location",
        [
            *("", ".", "./", "x\0y", "a" * 256, "a" * 5000, "..", "../w.data", "/etc/hostname"),
            *(".env", ".ssh/id", "data/.hidden", "sub/../../w.data"),
        ],
    )
    def test_names_that_cannot_be(self, source_folder: Path, location: str) -> None:
        path = write_onnx(source_folder / "m" / "m.onnx", location)
        write_raw(source_folder / "m" / ".env", RAW)
        write_raw(source_folder / "w.data")
        error = refusal(path).error
        assert (error.code, bool(error.hint)) == ("unsafe_data", True)
        assert len(error.message) < 200
        assert any(
            not isinstance(item, Source) and item.path == path
            for item in find_sources([path.parent])
        )

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            ("notes.txt", b"my notes\n" * 90),
            ("notes", b"my notes\n" * 90),
            ("settings.json", b'{"a": 1}' + b" " * 300),
            ("photo", b"\x89PNG\r\n\x1a\n" + RAW),
            ("photo.jpg", RAW),
            ("thesis.pdf", RAW),
        ],
    )
    def test_files_of_the_user(
        self, library: ModelLibrary, source_folder: Path, name: str, data: bytes
    ) -> None:
        path = write_onnx(source_folder / "m.onnx", name)
        write_raw(source_folder / name, data)
        report = library.import_paths([source_folder], mode=ImportMode.MOVE)
        assert statuses(report) == {"m.onnx": "refused unsafe_data"}
        assert path.exists()
        assert (source_folder / name).read_bytes() == data

    def test_companion_of_another_model(self, source_folder: Path) -> None:
        write_onnx(source_folder / "m.onnx", "other.png")
        write_safetensors(source_folder / "other.safetensors", seed=1)
        write_picture(source_folder / "other.png")
        assert found(source_folder) == {
            "refused unsafe_data": ["m.onnx"],
            "other": ["other.safetensors", "[other.png]"],
        }

    def test_another_model(self, source_folder: Path) -> None:
        write_onnx(source_folder / "m.onnx", "other.safetensors")
        write_safetensors(source_folder / "other.safetensors", seed=1)
        assert found(source_folder) == {
            "refused unsafe_data": ["m.onnx"],
            "other": ["other.safetensors"],
        }

    def test_broken_other_model_is_told_of(self, source_folder: Path) -> None:
        write_onnx(source_folder / "m.onnx", "other.safetensors")
        os.truncate(write_safetensors(source_folder / "other.safetensors", seed=1), 2000)
        write_lfs_pointer(source_folder / "x.safetensors")
        assert found(source_folder) == {
            "refused unsafe_data": ["m.onnx"],
            "refused truncated": ["other.safetensors"],
            "refused lfs_pointer": ["x.safetensors"],
        }

    @pytest.mark.parametrize("other", ["n.onnx", "config.json", "x.safetensors"])
    def test_folder_of_another_model(self, source_folder: Path, other: str) -> None:
        path = write_onnx(source_folder / "m.onnx", "sub/w.data")
        write_raw(source_folder / "sub" / "w.data")
        (source_folder / "sub" / other).write_text("{}")
        if other == "n.onnx":
            write_onnx(source_folder / "sub" / other, "w.data")
        elif other == "x.safetensors":
            write_safetensors(source_folder / "sub" / other, seed=1)
        error = refusal(path).error
        assert error.code == "unsafe_data"
        assert f"sub/{other}" in error.message

    def test_folder_behind_a_link(self, source_folder: Path, tmp_path: Path) -> None:
        write_raw(tmp_path / "private" / "w.data")
        path = write_onnx(source_folder / "m.onnx", "sub/w.data")
        (source_folder / "sub").symlink_to(tmp_path / "private")
        assert refusal(path).error.code == "incomplete"

    def test_content_of_the_library(self, library: ModelLibrary, source_folder: Path) -> None:
        model = library.import_paths([write_raw(source_folder / "w.bin")]).models[0]
        place = library.path / "models" / model.id / "w.bin"
        path = write_onnx(library.path.parent / "m.onnx")
        location = place.relative_to(path.parent).as_posix()
        write_onnx(path, location)
        report = library.import_paths([path], mode=ImportMode.MOVE)
        assert statuses(report) == {"m.onnx": "refused incomplete"}
        assert place.exists()
