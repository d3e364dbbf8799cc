"""What models are called in Ollama."""

import pytest

from modelcellar.links.ollama_names import store_name
from modelcellar.ollama_store import OllamaName

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("name", "quantization", "expected"),
    [
        ("Qwen2.5-7B-Instruct-Q4_K_M", None, "qwen2.5-7b-instruct:q4_k_m"),
        ("model-f16", None, "model:fp16"),
        ("toy", "Q8_0", "toy:q8_0"),
        ("toy", None, "toy:latest"),
        ("toy v2", None, "toy-v2:latest"),
        ("Größe XL", None, "groe-xl:latest"),
        ("大模型", None, "model:latest"),
        ("..", None, "model:latest"),
        ("llama3:8b", "Q4_0", "llama3:8b"),
        ("someone/llama3:8b-Q4", None, "someone/llama3:8b-Q4"),
        ("hf.co/acme/toy-GGUF:Q4_K_M", None, "hf.co/acme/toy-GGUF:Q4_K_M"),
        ("some.one/toy:1", None, "toy-1:latest"),
        ("a: b", None, "a-b:latest"),
    ],
)
def test_names(name: str, quantization: str | None, expected: str) -> None:
    found = store_name(name, quantization)
    assert found.is_valid
    assert str(found) == expected


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ":" + "y" * 300, "-" * 90, "\udcff", ""])
def test_every_name_becomes_a_valid_one(name: str) -> None:
    found = store_name(name, None)
    assert found.is_valid
    assert found.apart(DIGEST).is_valid


def test_a_second_one_is_told_apart_within_the_length_of_a_tag() -> None:
    found = OllamaName("m", "t" * 80).apart(DIGEST)
    assert found.tag == "t" * 71 + "-01234567"


def test_names_that_differ_by_case_are_one() -> None:
    assert OllamaName("Toy", "Q4").key == OllamaName("toy", "q4").key
