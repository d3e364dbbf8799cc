"""Which files of a repository are one model each. Nothing is lost, renamed or flattened."""

import json
import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcellar.sources import NotTaken, Source, find_sources
from modelcellar.sources.repository import MAX_COPIED_BYTES, split_repository
from tests.core.formats.builders import (
    gguf_file,
    gguf_pair,
    gguf_tensor,
    gguf_text_pair,
    onnx_external_tensor,
    onnx_file,
)
from tests.support.models import (
    safetensors_bytes,
    write_diffusers_folder,
    write_gguf,
    write_lfs_pointer,
    write_picture,
    write_safetensors,
    write_transformers_folder,
)

TITLE = "Some Repo"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """An empty folder for the files of a repository."""
    folder = tmp_path / "whole"
    folder.mkdir()
    return folder


def names_in(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def split(folder: Path) -> list[Source | NotTaken]:
    return split_repository(folder, names_in(folder), title=TITLE)


def shown(folder: Path) -> dict[str, list[str]]:
    """Name of each source -> the paths of its files, companions in brackets; codes of refusals."""
    found: dict[str, list[str]] = {}
    for item in split(folder):
        if isinstance(item, Source):
            assert item.name not in found
            found[item.name] = sorted(
                f"[{one.relative}]" if one.is_companion else one.relative for one in item.files
            )
            assert all(one.path == folder / one.relative for one in item.files)
        else:
            found[f"{item.kind} {item.error.code}"] = [item.path.relative_to(folder).as_posix()]
    return found


def write(folder: Path, files: Mapping[str, bytes | str]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())


def write_vision_pair(folder: Path, *names: str) -> None:
    """Language models and, as the last of the names, the projector that fits them."""
    tensors, width = [gguf_tensor("token_embd.weight", (32,), 0, 0)], struct.pack("<I", 4096)
    for number, name in enumerate(names[:-1]):
        pairs = [gguf_text_pair("general.architecture", "llama")]
        pairs += [gguf_pair("llama.embedding_length", 4, width)]
        data = bytes([number]) * 128
        (folder / name).write_bytes(gguf_file(pairs, tensors, data))
    pairs = [gguf_text_pair("general.architecture", "clip")]
    pairs += [gguf_pair("clip.vision.projection_dim", 4, width)]
    tensors = [gguf_tensor("v.patch", (32,), 0, 0)]
    (folder / names[-1]).write_bytes(gguf_file(pairs, tensors, bytes(128)))


NOTES = {"README.md": "# Words\n", ".gitattributes": "*.gguf filter=lfs\n"}


class TestOneModel:
    def test_pipeline(self, repo: Path) -> None:
        write_diffusers_folder(repo, seed=1)
        write(repo, {**NOTES, "unet/.DS_Store": b"\0\1", "assets/a.txt": "x"})
        assert shown(repo) == {
            TITLE: [
                "README.md",
                "[.gitattributes]",
                "[unet/.DS_Store]",
                "assets/a.txt",
                "model_index.json",
                "scheduler/scheduler_config.json",
                "unet/config.json",
                "unet/diffusion_pytorch_model.safetensors",
                "vae/config.json",
                "vae/diffusion_pytorch_model.safetensors",
            ]
        }

    def test_transformers_with_index_and_original(self, repo: Path) -> None:
        write_transformers_folder(repo, seed=1)
        names = [f"model-{number:05}-of-00002.safetensors" for number in (1, 2)]
        index = json.dumps({"weight_map": {"a": names[0], "b": names[1]}})
        write(repo, {**NOTES, "model.safetensors.index.json": index, "original/params.json": "{}"})
        write_safetensors(repo / "original/consolidated.safetensors", seed=9)
        whole = shown(repo)[TITLE]
        assert [name for name in whole if name.startswith("[")] == ["[.gitattributes]"]
        assert sorted(name.strip("[]") for name in whole) == names_in(repo)

    def test_is_an_import_of_the_same_folder(self, repo: Path) -> None:
        """What counts for the content is the same, so the same bytes are known as the same."""
        write_transformers_folder(repo, seed=1)
        write(repo, NOTES)
        [imported] = find_sources([repo])
        [source] = split(repo)
        assert isinstance(imported, Source)
        assert isinstance(source, Source)
        assert {one.relative for one in source.weights} == {
            one.relative for one in imported.weights
        }
        assert source.findings == imported.findings
        assert source.summary == imported.summary

    def test_exports_beside_it(self, repo: Path) -> None:
        write(repo, {"config.json": '{"model_type": "bert"}', "openvino/openvino_model.xml": "<x>"})
        write_safetensors(repo / "model.safetensors", seed=1)
        write_safetensors(repo / "onnx/model_fp16.onnx", seed=2)
        write(repo, {"openvino/openvino_model.bin": random.Random(3).randbytes(999)})
        assert shown(repo) == {TITLE: names_in(repo)}

    def test_lora_with_card_and_pictures(self, repo: Path) -> None:
        write_safetensors(repo / "my style v2.safetensors", seed=1)
        write(repo, NOTES)
        for name in ("my style v2.png", "samples/01.png"):
            write_picture(repo / name)
        assert shown(repo) == {
            "my style v2": [
                "[.gitattributes]",
                "[README.md]",
                "[my style v2.png]",
                "[samples/01.png]",
                "my style v2.safetensors",
            ]
        }

    @pytest.mark.parametrize(
        "name", ["model.safetensors", "pytorch_lora_weights.safetensors", "unet/model.safetensors"]
    )
    def test_weights_of_a_name_that_all_have(self, repo: Path, name: str) -> None:
        write_safetensors(repo / name, seed=1)
        assert shown(repo) == {TITLE: [name]}

    def test_one_of_many(self, repo: Path) -> None:
        write_gguf(repo / "x-Q4_K_M.gguf", seed=1)
        assert shown(repo) == {"x-Q4_K_M": ["x-Q4_K_M.gguf"]}

    @pytest.mark.parametrize(
        "files",
        [
            {"config.json": '{"model_type": "llama"}'},
            {"config.json": "{}", "sub/tokenizer.json": "{}", **NOTES},
            {".gitattributes": ""},
            {".cache/x.lock": "", "__pycache__/x.pyc": b"\0"},
        ],
    )
    def test_without_weights(self, repo: Path, files: dict[str, bytes | str]) -> None:
        write(repo, files)
        [source] = split(repo)
        assert isinstance(source, Source)
        assert [one.relative for one in source.weights] == names_in(repo)
        assert source.name == TITLE

    def test_folder_of_a_pipeline(self, repo: Path) -> None:
        write_diffusers_folder(repo / "all", seed=1)
        for path in [*(repo / "all").rglob("*")]:
            if path.is_file() and path.parent.name != "vae":
                path.unlink()
        write(repo, {"all/vae/config.json": '{"_class_name": "AutoencoderKL"}'})
        names = ["all/vae/config.json", "all/vae/diffusion_pytorch_model.safetensors"]
        assert shown(repo) == {TITLE: names}


class TestSeveral:
    def test_quantisations(self, repo: Path) -> None:
        write(repo, {**NOTES, "imatrix.dat": b"\x05\0\0\0words" * 50, "config.json": "{}"})
        quants = ("IQ2_M", "Q3_K_L", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0")
        for seed, quant in enumerate(quants):
            write_gguf(repo / f"x-{quant}.gguf", seed=seed)
        for number in (1, 2):
            write_gguf(repo / f"BF16/x-BF16-{number:05}-of-00002.gguf", seed=90 + number)
        along = ["[.gitattributes]", "[README.md]", "[config.json]", "[imatrix.dat]"]
        parts = [f"BF16/x-BF16-{number:05}-of-00002.gguf" for number in (1, 2)]
        assert shown(repo) == {
            **{f"x-{quant}": [*along, f"x-{quant}.gguf"] for quant in quants},
            "x-BF16": sorted([*parts, *along]),
        }

    def test_projector_goes_with_its_only_model(self, repo: Path) -> None:
        write_vision_pair(repo, "x-Q4.gguf", "mmproj-F16.gguf")
        write(repo, NOTES)
        [source] = split(repo)
        assert isinstance(source, Source)
        assert {one.relative for one in source.weights} == {"x-Q4.gguf", "mmproj-F16.gguf"}

    def test_projector_of_several_is_a_model_as_in_an_import(self, repo: Path) -> None:
        write_vision_pair(repo, "x-Q4.gguf", "x-Q8.gguf", "mmproj-F16.gguf")
        assert shown(repo) == {name: [f"{name}.gguf"] for name in ("x-Q4", "x-Q8", "mmproj-F16")}

    def test_checkpoints_beside_a_pipeline(self, repo: Path) -> None:
        write_diffusers_folder(repo, seed=1)
        write(repo, {**NOTES, "LICENSE": "free", "v1-inference.yaml": "a: b"})
        for seed, name in enumerate(("v1.safetensors", "v1-ema.safetensors")):
            write_safetensors(repo / name, seed=seed)
        found = shown(repo)
        along = ["[.gitattributes]", "[LICENSE]", "[README.md]", "[v1-inference.yaml]"]
        assert found["v1"] == [*along, "v1.safetensors"]
        assert found["v1-ema"] == [*along, "v1-ema.safetensors"]
        assert {"README.md", "LICENSE", "[.gitattributes]"} < set(found[TITLE])
        assert len(found) == 3

    def test_checkpoints_at_the_top(self, repo: Path) -> None:
        write(repo, NOTES)
        names = ("a b.safetensors", "模型.v1.5.safetensors", "caf\udce9.safetensors")
        for seed, name in enumerate(names):
            write_safetensors(repo / name, seed=seed)
        along = ["[.gitattributes]", "[README.md]"]
        assert shown(repo) == {
            name.removesuffix(".safetensors"): sorted([*along, name]) for name in names
        }

    def test_what_lies_in_a_folder_goes_with_its_models(self, repo: Path) -> None:
        write(repo, {"README.md": "all", "docs/more.md": "all"})
        for number in (1, 2):
            write_safetensors(repo / f"lora{number}/lora{number}.safetensors", seed=number)
            write(repo, {f"lora{number}/samples/{number}.txt": "x"})
        assert shown(repo) == {
            f"lora{number}": [
                "[README.md]",
                "[docs/more.md]",
                f"[lora{number}/samples/{number}.txt]",
                f"lora{number}/lora{number}.safetensors",
            ]
            for number in (1, 2)
        }

    def test_parts_of_a_pipeline_are_told_apart(self, repo: Path) -> None:
        write_diffusers_folder(repo, seed=1)
        (repo / "model_index.json").unlink()
        found = shown(repo)
        assert {f"{TITLE} unet", f"{TITLE} vae"} == found.keys()
        assert "[scheduler/scheduler_config.json]" in found[f"{TITLE} vae"]

    def test_what_is_big_goes_with_one(self, repo: Path) -> None:
        for seed, name in enumerate("abc"):
            write_gguf(repo / f"{name}.gguf", seed=seed)
        write(repo, {"README.md": "words"})
        for name, size_bytes in (
            ("big.zip", MAX_COPIED_BYTES),
            ("half.dat", 30 << 20),
            ("more.dat", 31 << 20),
        ):
            with (repo / name).open("wb") as file:
                file.write(b"\7\3\0\1")
                file.truncate(size_bytes)
        found = shown(repo)
        assert found["a"] == ["[README.md]", "[big.zip]", "[half.dat]", "[more.dat]", "a.gguf"]
        assert found["b"] == ["[README.md]", "[half.dat]", "b.gguf"]
        assert found["c"] == ["[README.md]", "[half.dat]", "c.gguf"]

    def test_what_an_import_passes_over_is_kept(self, repo: Path) -> None:
        write_safetensors(repo / "lora.safetensors", seed=1)
        weights = safetensors_bytes(seed=2)
        write(repo, {".cache/x.safetensors": weights, "y.safetensors.tmp": weights})
        assert shown(repo) == {
            "lora": ["[.cache/x.safetensors]", "[y.safetensors.tmp]", "lora.safetensors"]
        }


class TestRefused:
    def cut(self, path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-100])

    def test_truncated(self, repo: Path) -> None:
        write(repo, NOTES)
        self.cut(write_safetensors(repo / "bad.safetensors", seed=1))
        write_safetensors(repo / "good.safetensors", seed=2)
        assert shown(repo) == {
            "refused truncated": ["bad.safetensors"],
            "good": ["[.gitattributes]", "[README.md]", "good.safetensors"],
        }
        [bad, _] = split(repo)
        assert isinstance(bad, NotTaken)
        assert "published like this" in bad.error.hint

    def test_alone_with_its_notes(self, repo: Path) -> None:
        write(repo, NOTES)
        write_lfs_pointer(repo / "bad.safetensors")
        assert shown(repo) == {"refused lfs_pointer": ["bad.safetensors"]}

    def test_its_other_parts_go_with_nobody(self, repo: Path) -> None:
        for number in (1, 2):
            write_gguf(repo / f"a/big-{number:05}-of-00003.gguf", seed=number)
        write_gguf(repo / "b/small.gguf", seed=9)
        found = shown(repo)
        assert found == {
            "refused incomplete": ["a/big-00001-of-00003.gguf"],
            "small": ["b/small.gguf"],
        }

    def test_whole_folder(self, repo: Path) -> None:
        write_transformers_folder(repo, seed=1)
        self.cut(repo / "model-00002-of-00002.safetensors")
        write(repo, NOTES)
        write_gguf(repo / "q4.gguf", seed=5)
        write_gguf(repo / "apart/q5.gguf", seed=6)
        write_picture(repo / "sample.png")
        found = shown(repo)
        assert found["refused truncated"] == ["."]
        # The folder below could be anybody's, as there are other weights beside the configuration.
        along = {"[.gitattributes]", "[sample.png]", "[tokenizer/tokenizer.json]"}
        assert set(found["q4"]) == {*along, "q4.gguf"}
        assert set(found["q5"]) == {*along, "apart/q5.gguf"}
        assert not any("model-0000" in name for names in found.values() for name in names)

    def test_pages_and_empty_files_are_only_files(self, repo: Path) -> None:
        write_transformers_folder(repo / "one", seed=1)
        page = "<!DOCTYPE html><html><head></head></html>"
        write(repo, {"one/index.html": page, "one/sub/error.json": '{"error": "Not found"}'})
        write(repo, {"two/index.html": page, "two/__init__.py": "", "two/zeros.dat": bytes(5000)})
        write_safetensors(repo / "two/x.safetensors", seed=1)
        found = shown(repo)
        assert found.keys() == {f"{TITLE} one", "x"}
        assert {"one/index.html", "one/sub/error.json"} < set(found[f"{TITLE} one"])
        assert found["x"][:3] == ["[two/__init__.py]", "[two/index.html]", "[two/zeros.dat]"]

    def test_data_that_lies_below(self, repo: Path) -> None:
        """It is of the model that needs it, even if that is refused for another file."""
        tensors = [onnx_external_tensor(name) for name in (b"data/weights.bin", b"gone.bin")]
        write(repo, {"m.onnx": onnx_file(tensors=tensors), "data/weights.bin": b"\x11" * 256})
        write(repo, {"good.onnx": onnx_file(tensors=tensors[:1])})
        write_safetensors(repo / "x.safetensors", seed=1)
        assert shown(repo)["x"] == ["x.safetensors"]
        (repo / "m.onnx").unlink()
        assert shown(repo) == {"good": ["data/weights.bin", "good.onnx"], "x": ["x.safetensors"]}


PARTS = ["a", "b c", "模", ".x", "unet", "onnx", "d.e", ".cache", "original"]
ENDINGS = [".gguf", ".safetensors", ".md", ".json", "", ".png", ".tmp", ".bin"]


@settings(max_examples=60)
@given(
    names=st.lists(
        st.tuples(
            st.lists(st.sampled_from(PARTS), max_size=2),
            st.sampled_from(["x", "model", "config", "README", "模 1", ".DS_Store", "model_index"]),
            st.sampled_from(ENDINGS),
        ),
        min_size=1,
        max_size=9,
    ),
    breaking=st.booleans(),
)
def test_no_name_is_lost(
    tmp_path_factory: pytest.TempPathFactory,
    names: Sequence[tuple[list[str], str, str]],
    *,
    breaking: bool,
) -> None:
    """Every file is in a source under its path, unless a model is refused for its content."""
    folder = tmp_path_factory.mktemp("whole")
    for seed, (parents, stem, ending) in enumerate(names):
        path = folder.joinpath(*(f"{one}_" for one in parents), stem + ending)
        data = safetensors_bytes(seed=seed, size_bytes=64)
        if ending == ".gguf":
            write_gguf(path, seed=seed, size_bytes=64)
        elif ending == ".safetensors":
            write(folder, {path.relative_to(folder).as_posix(): data[: -4 if breaking else None]})
        else:
            text = '{"model_type": "llama", "_class_name": "X", "unet_": ["a", "b"]}'
            write(folder, {path.relative_to(folder).as_posix(): text})
    items = split(folder)
    sources = [item for item in items if isinstance(item, Source)]
    told = {one.relative for source in sources for one in source.files}
    counted = [one.relative for source in sources for one in source.weights]
    assert len(counted) == len(set(counted))
    assert all(len({one.relative for one in s.files}) == len(s.files) for s in sources)
    if all(isinstance(item, Source) for item in items):
        assert told == set(names_in(folder))
    else:
        assert told <= set(names_in(folder))
        assert breaking or any(ending == ".bin" for _, _, ending in names)
