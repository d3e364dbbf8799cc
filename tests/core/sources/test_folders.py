"""What the configuration in a folder speaks for, and what it does not."""

import json
from pathlib import Path

import pytest

from modelcellar.library import ModelLibrary
from modelcellar.reports import ImportMode
from modelcellar.sources import Source, find_sources
from tests.core.formats.builders import onnx_file
from tests.core.formats.test_other_formats import ctranslate2_file
from tests.support.models import (
    write_diffusers_folder,
    write_gguf,
    write_lfs_pointer,
    write_picture,
    write_safetensors,
    write_transformers_folder,
)
from tests.support.sources import found, refusal

LLAMA = '{"architectures": ["LlamaForCausalLM"], "model_type": "llama"}'


def write_llama(folder: Path, name: str = "model.safetensors") -> Path:
    write_safetensors(folder / name, seed=99)
    (folder / "config.json").write_text(LLAMA)
    return folder


class TestDownloads:
    """A folder where somebody collects files, a configuration among them."""

    @pytest.mark.parametrize(
        ("marker", "text"),
        [
            ("config.json", LLAMA),
            ("adapter_config.json", '{"peft_type": "LORA"}'),
            ("model_index.json", "{}"),
            ("model_index.json", '{"_class_name": "StableDiffusionPipeline"}'),
            ("model_index.json", '["_class_name"]'),
        ],
    )
    def test_is_not_one_model(self, source_folder: Path, marker: str, text: str) -> None:
        for seed, name in enumerate(("sdxl_lora", "other_lora", "sub/third", "model_v2_lora")):
            write_safetensors(source_folder / f"{name}.safetensors", seed=seed)
        (source_folder / marker).write_text(text)
        assert found(source_folder) == {
            "model_v2_lora": ["model_v2_lora.safetensors"],
            "other_lora": ["other_lora.safetensors"],
            "sdxl_lora": ["sdxl_lora.safetensors"],
            "third": ["third.safetensors"],
            "skipped not_a_model": [marker],
        }

    def test_with_a_model_in_it(self, source_folder: Path) -> None:
        write_llama(source_folder)
        for name in ("tokenizer.json", "generation_config.json", "README.md", "modeling_x.py"):
            (source_folder / name).write_text("{}")
        write_safetensors(source_folder / "lora.safetensors", seed=1)
        write_picture(source_folder / "lora.png")
        (source_folder / "lora.json").write_text("{}")
        write_picture(source_folder / "holiday.png")
        write_gguf(source_folder / "more" / "q4.gguf", seed=2)
        (source_folder / "papers").mkdir()
        (source_folder / "papers" / "a.txt").write_text("words")
        shown = found(source_folder)
        assert sorted(shown.pop(source_folder.name)) == [
            *("README.md", "config.json", "generation_config.json", "model.safetensors"),
            *("modeling_x.py", "tokenizer.json"),
        ]
        assert shown == {
            "lora": ["lora.safetensors", "[lora.json]", "[lora.png]"],
            "q4": ["q4.gguf"],
            "skipped not_a_model": ["holiday.png", "a.txt"],
        }

    def test_move_takes_what_was_shown(self, library: ModelLibrary, source_folder: Path) -> None:
        write_llama(source_folder)
        write_safetensors(source_folder / "lora.safetensors", seed=1)
        write_picture(source_folder / "holiday.png")
        (source_folder / "papers").mkdir()
        shown = library.import_paths([source_folder], mode=ImportMode.MOVE, dry_run=True)
        done = library.import_paths([source_folder], mode=ImportMode.MOVE)
        assert [result.files for result in shown.results] == [
            result.files for result in done.results
        ]
        assert len(done.models) == 2
        assert sorted(path.name for path in source_folder.iterdir()) == ["holiday.png", "papers"]


class TestRepositories:
    @pytest.mark.parametrize(
        "name",
        [
            *("model.safetensors", "model.fp16.safetensors", "pytorch_model.bin", "tf_model.h5"),
            *("flax_model.msgpack", "adapter_model.safetensors", "consolidated.00.pth"),
            *("diffusion_pytorch_model.fp16.safetensors", "gptq_model-4bit-128g.safetensors"),
            *("model_fp16.safetensors", "consolidated.safetensors", "adapter_model.bin"),
        ],
    )
    def test_names_that_libraries_write(self, source_folder: Path, name: str) -> None:
        write_llama(source_folder, name)
        assert sorted(found(source_folder)[source_folder.name]) == sorted(["config.json", name])

    @pytest.mark.parametrize(
        "name", ["model2.safetensors", "mymodel.safetensors", "model_lora.safetensors", "x.bin"]
    )
    def test_names_that_they_do_not(self, source_folder: Path, name: str) -> None:
        write_llama(source_folder, name)
        assert found(source_folder) == {
            Path(name).stem: [name],
            "skipped not_a_model": ["config.json"],
        }

    def test_what_the_index_lists(self, source_folder: Path) -> None:
        write_llama(source_folder, "odd-name-1.safetensors")
        index = {"weight_map": {"a": "odd-name-1.safetensors"}}
        (source_folder / "model.safetensors.index.json").write_text(json.dumps(index))
        assert len(found(source_folder)[source_folder.name]) == 3

    def test_index_of_another_model_claims_nothing(self, source_folder: Path) -> None:
        write_llama(source_folder)
        for number in (1, 2):
            write_safetensors(source_folder / f"x-0000{number}-of-00002.safetensors", seed=number)
        index = {"weight_map": {"a": "x-00001-of-00002.safetensors"}}
        (source_folder / "x.safetensors.index.json").write_text(json.dumps(index))
        shown = found(source_folder)
        assert sorted(shown.pop(source_folder.name)) == ["config.json", "model.safetensors"]
        assert {name for name in shown["x"] if name.endswith("safetensors")} == {
            f"x-0000{number}-of-00002.safetensors" for number in (1, 2)
        }
        assert "x.safetensors.index.json" in shown["x"]

    def test_state_of_the_training_goes_along(self, source_folder: Path) -> None:
        write_llama(source_folder)
        for name in ("optimizer.pt", "training_args.bin", "rng_state.pth"):
            (source_folder / name).write_bytes(b"\x11" * 99)
        assert len(found(source_folder)[source_folder.name]) == 5

    def test_exports_in_their_folders(self, source_folder: Path) -> None:
        write_llama(source_folder)
        for name in (
            "onnx/model.onnx",
            "onnx/model_quantized.onnx",
            "onnx/decoder_model_merged.onnx",
        ):
            (source_folder / "onnx").mkdir(exist_ok=True)
            (source_folder / name).write_bytes(onnx_file())
        write_safetensors(source_folder / "original" / "consolidated.safetensors", seed=1)
        assert len(found(source_folder)[source_folder.name]) == 6

    def test_onnx_alone(self, source_folder: Path) -> None:
        (source_folder / "onnx").mkdir()
        (source_folder / "onnx" / "model.onnx").write_bytes(onnx_file())
        (source_folder / "config.json").write_text(LLAMA)
        (source_folder / "tokenizer.json").write_text("{}")
        assert len(found(source_folder)[source_folder.name]) == 3

    def test_modules_of_sentence_transformers(self, source_folder: Path) -> None:
        write_llama(source_folder)
        modules = [{"path": ""}, {"path": "2_Dense", "type": "x"}, {"path": "../y"}, 3]
        (source_folder / "modules.json").write_text(json.dumps(modules))
        write_safetensors(source_folder / "2_Dense" / "dense.safetensors", seed=1)
        write_safetensors(source_folder / "3_Own" / "own.safetensors", seed=2)
        shown = found(source_folder)
        assert "2_Dense/dense.safetensors" in shown[source_folder.name]
        assert shown["own"] == ["own.safetensors"]

    def test_missing_shard_is_said(self, source_folder: Path) -> None:
        folder = write_transformers_folder(source_folder / "llm", seed=1, shards=3)
        (folder / "model-00002-of-00003.safetensors").unlink()
        error = refusal(source_folder).error
        assert (error.code, "2 of 3 parts" in error.message) == ("incomplete", True)
        [item] = find_sources([folder], as_one=True)
        assert isinstance(item, Source)

    def test_empty_shard_is_refused(self, source_folder: Path) -> None:
        folder = write_transformers_folder(source_folder / "llm", seed=1)
        (folder / "model-00002-of-00002.safetensors").write_bytes(b"")
        assert refusal(source_folder).error.code == "empty"

    def test_broken_other_weights_do_not_refuse_it(self, source_folder: Path) -> None:
        write_llama(source_folder)
        write_lfs_pointer(source_folder / "lora.safetensors")
        shown = found(source_folder)
        assert len(shown[source_folder.name]) == 2
        assert shown["refused lfs_pointer"] == ["lora.safetensors"]

    def test_unfinished_download_is_left(self, source_folder: Path) -> None:
        write_llama(source_folder)
        for name in ("x.gguf.part", "assets/y.bin.incomplete"):
            write_gguf(source_folder / name, seed=1)
        shown = found(source_folder)
        assert len(shown[source_folder.name]) == 2
        assert sorted(shown["skipped unfinished"]) == ["x.gguf.part", "y.bin.incomplete"]

    def test_one_in_another_to_any_depth(self, source_folder: Path) -> None:
        folder = source_folder
        for seed in range(4):
            folder /= f"m{seed}"
            write_safetensors(folder / "model.safetensors", seed=seed)
            (folder / "config.json").write_text(LLAMA)
        assert {name: len(files) for name, files in found(source_folder).items()} == {
            f"m{seed}": 2 for seed in range(4)
        }


class TestPipelines:
    def test_other_weights_are_models(self, source_folder: Path) -> None:
        folder = write_diffusers_folder(source_folder / "pipe", seed=1)
        write_safetensors(folder / "v1-5-pruned.safetensors", seed=2)
        write_safetensors(folder / "loras" / "z.safetensors", seed=3)
        (folder / "README.md").write_text("words")
        shown = found(source_folder)
        assert len(shown.pop("pipe")) == 7
        assert shown == {"v1-5-pruned": ["v1-5-pruned.safetensors"], "z": ["z.safetensors"]}

    def test_folder_without_weights_goes_along(self, source_folder: Path) -> None:
        folder = write_diffusers_folder(source_folder / "pipe", seed=1)
        (folder / "assets").mkdir()
        write_picture(folder / "assets" / "teaser.png")
        assert len(found(source_folder)["pipe"]) == 7

    def test_names_outside_are_not_followed(self, source_folder: Path) -> None:
        folder = write_diffusers_folder(source_folder / "pipe", seed=1)
        write_safetensors(source_folder / "x" / "y.safetensors", seed=2)
        index = json.loads((folder / "model_index.json").read_text())
        index |= {"../x": ["a", "b"], "/etc": ["a", "b"], "": ["a", "b"]}
        (folder / "model_index.json").write_text(json.dumps(index))
        assert {name: len(files) for name, files in found(source_folder).items()} == {
            "pipe": 6,
            "y": 1,
        }


def test_ctranslate2_keeps_its_words(source_folder: Path) -> None:
    (source_folder / "model.bin").write_bytes(ctranslate2_file())
    for name in ("config.json", "tokenizer.json", "vocabulary.json"):
        (source_folder / name).write_text('{"lang_ids": []}')
    assert len(found(source_folder)[source_folder.name]) == 4
