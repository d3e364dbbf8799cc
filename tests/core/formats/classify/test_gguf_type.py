"""What GGUF files are, by the keys of their headers."""

import struct

import pytest

from modelcellar.formats.classify import classify
from modelcellar.formats.classify.gguf import _architectures
from modelcellar.formats.reading import Reading
from modelcellar.records import FileFormat, Inspection, ModelType
from tests.core.formats.builders import (
    gguf_file,
    gguf_pair,
    gguf_tensor,
    gguf_text_pair,
    inspect_bytes,
)
from tests.core.formats.classify.fixtures import FIXTURES, tensors_of


def number(key: str, value: int) -> bytes:
    return gguf_pair(key, 4, struct.pack("<I", value))


def inspected(*pairs: bytes, tensors: tuple[str, ...] = ("token_embd.weight",)) -> Inspection:
    infos = [gguf_tensor(name, (32,), 0, at * 128) for at, name in enumerate(tensors)]
    found = inspect_bytes(gguf_file(list(pairs), infos, bytes(128 * len(tensors))))
    assert found.refusal is None
    return found


def told(*pairs: bytes, tensors: tuple[str, ...] = ("token_embd.weight",)) -> dict[str, object]:
    return {key: one.value for key, one in inspected(*pairs, tensors=tensors).findings.items()}


def architecture(name: str) -> bytes:
    return gguf_text_pair("general.architecture", name)


@pytest.mark.parametrize("name", sorted(_architectures()))
def test_every_architecture_of_the_table(name: str) -> None:
    entry = _architectures()[name]
    found = told(architecture(name))
    assert found["type"] == ModelType(entry["type"])
    assert found["family"] == entry["family"] != ""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llama", ("llm", "Llama")),
        ("gemma3", ("llm", "Gemma 3")),
        ("nomic-bert", ("embedding_model", "Nomic")),
        ("flux", ("diffusion_model", "Flux.1")),
        ("t5encoder", ("text_encoder", "T5")),
        ("whisper", ("audio", "Whisper")),
    ],
)
def test_type_and_family(name: str, expected: tuple[str, str]) -> None:
    found = told(architecture(name))
    assert found["architecture"] == name
    assert (found["type"], found["family"]) == expected


@pytest.mark.parametrize(
    ("name", "sure"),
    [("llama", "likely"), ("deepseek2", "likely"), ("gemma3", "certain"), ("made-up", "certain")],
)
def test_family_is_likely_where_others_share_the_architecture(name: str, sure: str) -> None:
    reading = Reading(FileFormat.GGUF, metadata={"general.architecture": name})
    assert classify([reading])["family"].sure.value == sure


def test_unknown_architecture_goes_by_its_tensors() -> None:
    found = told(architecture("made-up"), tensors=("token_embd.weight", "blk.0.attn_q.weight"))
    assert found["type"] == "llm"
    assert found["family"] == "made-up"
    assert "type" not in told(architecture("made-up"), tensors=("x",))


@pytest.mark.parametrize(
    ("name", "fixture", "family"),
    [
        ("lumina2", "Z-Image", "Z-Image"),
        ("flux", "Chroma", "Chroma"),
        ("flux", "Flux.2 dev", "Flux.2"),
        ("cosmos", "Anima", "Anima"),
        ("wan", "Wan 2.2 image to video", "Wan 2.2"),
        ("flux", "VAE of Flux.1", "Flux.1"),
    ],
)
def test_tensors_of_a_diffusion_network_win_over_its_name(
    name: str, fixture: str, family: str
) -> None:
    """The converter calls many networks by the name of the first it knew."""
    [tensors] = [one.tensors for one in FIXTURES if one.name == fixture]
    metadata = {"general.architecture": name}
    reading = Reading(FileFormat.GGUF, tensors=tuple(tensors_of(tensors)), metadata=metadata)
    found = classify([reading])
    assert found["type"].value == ModelType.DIFFUSION_MODEL
    assert found["family"].value == family


def test_pooling_makes_an_embedding_model_or_a_reranker() -> None:
    assert told(architecture("qwen3"), number("qwen3.pooling_type", 3))["type"] == "embedding_model"
    found = told(architecture("qwen3"), number("qwen3.pooling_type", 4))
    assert (found["type"], found["kind"]) == ("other", "reranker")
    assert told(architecture("qwen3"), number("qwen3.pooling_type", 0))["type"] == "llm"


def test_projector() -> None:
    for pairs in (
        [architecture("clip")],
        [architecture("x"), gguf_text_pair("general.type", "mmproj")],
    ):
        found = told(*pairs, tensors=("v.blk.0.attn_q.weight",))
        assert (found["type"], found["kind"]) == ("other", "mmproj")


def test_adapter() -> None:
    alpha = gguf_pair("adapter.lora.alpha", 6, struct.pack("<f", 32.0))
    pairs = [architecture("llama"), gguf_text_pair("general.type", "adapter"), alpha]
    infos = [gguf_tensor("blk.0.attn_q.weight.lora_a", (64, 8), 0, 0)]
    found = inspect_bytes(gguf_file(pairs, infos, bytes(64 * 8 * 4))).findings
    assert found["type"].value == "lora"
    assert (found["rank"].value, found["alpha"].value) == (8, 32)


def test_vocabulary_only_has_no_weights() -> None:
    tokens = gguf_pair("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 0))
    found = told(architecture("llama"), tokens, tensors=())
    assert (found["type"], found["not_a_model"]) == ("other", "vocabulary only")


def test_importance_matrix_is_no_model() -> None:
    found = told(gguf_text_pair("general.type", "imatrix"), architecture("llama"))
    assert found["not_a_model"] == "importance matrix"


@pytest.mark.parametrize(
    ("value", "name", "sure"), [(15, "Q4_K_M", "certain"), (1024 + 7, "Q8_0", "likely")]
)
def test_quantization_by_file_type(value: int, name: str, sure: str) -> None:
    finding = inspected(architecture("llama"), number("general.file_type", value)).findings[
        "quantization"
    ]
    assert (finding.value, finding.sure) == (name, sure)


def test_types_of_tensors_are_no_precision() -> None:
    found = told(architecture("llama"), number("general.file_type", 15))
    assert "precision" not in found
    assert found["parameter_count"] == 32


@pytest.mark.parametrize(
    ("title", "is_kept"),
    [
        ("Llama 3 8B Instruct", True),
        ("C:\\models\\llama", False),
        ("/home/alice/llama", False),
        ("0123abcd0123abcd", False),
        ("model", False),
        ("checkpoint-500", False),
        ("Qwen2.5 7B", True),
        ("", False),
    ],
)
def test_title_that_is_none(title: str, is_kept: bool) -> None:
    found = told(architecture("llama"), gguf_text_pair("general.name", title))
    assert ("title" in found) is is_kept


def test_what_its_maker_says() -> None:
    found = told(
        architecture("llama"),
        gguf_text_pair("general.license", "apache-2.0"),
        gguf_text_pair("general.author", "Somebody"),
        gguf_text_pair("general.base_model.0.repo_url", "https://huggingface.co/a/b"),
        number("llama.context_length", 8192),
        number("llama.expert_count", 8),
        gguf_text_pair("tokenizer.chat_template", "{{ x }}"),
    )
    assert found["licence"] == "apache-2.0"
    assert found["author"] == "Somebody"
    assert found["base_model"] == "https://huggingface.co/a/b"
    assert (found["context_length"], found["expert_count"]) == (8192, 8)
    assert found["chat_template"] is True


def test_without_architecture_the_tensors_decide() -> None:
    """stable-diffusion.cpp keeps the names of the original code and says nothing else."""
    infos = [
        gguf_tensor("decoder.conv_in.weight", (3, 3, 4, 512), 0, 0),
        gguf_tensor("decoder.mid.attn_1.q.weight", (1, 1, 32, 1), 0, 73728),
        gguf_tensor("decoder.up.0.block.0.conv1.weight", (32,), 0, 73856),
    ]
    found = inspect_bytes(gguf_file([], infos, bytes(73984)))
    assert found.refusal is None
    assert found.findings["type"].value == "vae"
