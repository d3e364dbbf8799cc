"""What models are made of."""

from pathlib import Path

import pytest

from modelcellar.links.preset_values import Shape
from modelcellar.links.shapes import digest_of, main_files, shape_of
from modelcellar.records import ModelType
from tests.support.shelf import Shelf


@pytest.mark.parametrize(
    ("paths", "companions", "shape"),
    [
        (["x.safetensors"], [], Shape.SINGLE),
        (["a/b/x.safetensors"], ["a/b/x.png", "a/b/x.json"], Shape.SINGLE),
        (["x.gguf", "mmproj.gguf"], [], Shape.SET),
        (["a/x-00001-of-00002.gguf", "a/x-00002-of-00002.gguf"], ["a/x.png"], Shape.PARTS),
        (["x-00001-of-00001.gguf", "mmproj.gguf"], [], Shape.PARTS),
        # Loaders look for them by their way below one folder.
        (["one/x.safetensors", "two/x.safetensors"], [], Shape.FOLDER),
        (["x.safetensors", "two/x.safetensors"], [], Shape.FOLDER),
        (["config.json", "model.safetensors"], [], Shape.FOLDER),
        (["x.onnx", "x.onnx_data"], [], Shape.FOLDER),
    ],
)
def test_shapes(tmp_path: Path, paths: list[str], companions: list[str], shape: Shape) -> None:
    model = Shelf(tmp_path).add(ModelType.LLM, *paths, companions=companions)
    assert shape_of(model) is shape
    assert [file.path for file in main_files(model)] == paths


def test_the_digest_of_one_file_is_that_of_the_file(tmp_path: Path) -> None:
    model = Shelf(tmp_path).add(ModelType.LORA, "x.safetensors", companions=["x.png"])
    assert digest_of(model) == model.files[0].digests.sha256


def test_the_digest_of_several_hangs_on_all_of_them_and_their_names(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    same = ["a.gguf", "b.gguf"]
    one = shelf.add(ModelType.LLM, "a.gguf", "b.gguf", same=same)
    again = shelf.add(ModelType.LLM, "b.gguf", "a.gguf", same=same, companions=["a.png"])
    other = shelf.add(ModelType.LLM, "a.gguf", "b.gguf", same=["a.gguf"])
    assert digest_of(one) == digest_of(again)
    assert digest_of(one) != digest_of(other)
