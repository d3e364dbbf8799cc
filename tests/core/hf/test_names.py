"""File names of real repositories, of Civitai and of what browsers make of them."""

import time
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcellar.formats.gguf_types import FILE_TYPES
from modelcellar.hf.names import NameParts, parse_name
from modelcellar.hf.quantisation import spelled_label, spelled_precision


def real_names() -> Iterator[tuple[str, NameParts]]:
    """The rows of ``real_names.txt``."""
    for row in Path(__file__).with_name("real_names.txt").read_text(encoding="utf-8").splitlines():
        if not row.startswith("#"):
            name, base, said = (column.strip() for column in row.split("|"))
            parts: dict[str, Any] = {"titled": base, "extension": PurePath(name).suffix.lower()}
            for word in said.split():
                key, is_given, value = word.partition("=")
                parts[key] = _value(key, value) if is_given else True
            yield name, NameParts(base=base, **parts)


def _value(key: str, text: str) -> object:
    if key == "shard":
        return tuple(map(int, text.split("/")))
    return int(text) if key == "copy_number" else text


REAL_NAMES = list(real_names())


def test_there_are_names_enough() -> None:
    assert len(dict(REAL_NAMES)) >= 180


@pytest.mark.parametrize(("name", "parts"), REAL_NAMES)
def test_what_a_real_name_says(name: str, parts: NameParts) -> None:
    assert parse_name(name) == parts


@pytest.mark.parametrize("label", sorted(set(FILE_TYPES.values()) - {"F32", "F16", "BF16"}))
@pytest.mark.parametrize("separator", ["-", ".", "_"])
def test_every_label_of_llama_cpp_is_taken_off(label: str, separator: str) -> None:
    for spelling in (label, label.lower()):
        parts = parse_name(f"Some-Model-7B{separator}{spelling}.gguf")
        assert (parts.base, parts.quantisation) == ("Some-Model-7B", label)


@pytest.mark.parametrize("name", ["", "/", "a/", "---", "...", "()", " ", "v1", "final", "(1)"])
def test_nothing_is_taken_off_that_would_leave_no_name(name: str) -> None:
    stem = name.rstrip("/").rpartition("/")[2]
    assert bool(parse_name(name).base) is bool(stem)


def test_a_shard_that_cannot_be_is_a_part_of_the_name() -> None:
    assert parse_name("model-00004-of-00003.gguf").shard is None
    assert parse_name("model-00000-of-00003.gguf").base == "model-00000-of-00003"


def test_the_last_label_counts() -> None:
    assert parse_name("model-Q8_0-to-Q4_K_M.gguf").quantisation == "Q4_K_M"
    assert parse_name("model-Q4_K_M-custom.gguf").quantisation == "Q4_K_M"


@pytest.mark.parametrize(
    ("label", "spelled"),
    [
        ("q4-k-m", "Q4_K_M"),
        ("ud-q4_k_xl", "UD-Q4_K_XL"),
        ("FP8-E4M3FN", "fp8_e4m3fn"),
        ("BNB-NF4", "bnb_nf4"),
        ("4.0bpw", "4.0bpw"),
    ],
)
def test_labels_have_one_spelling(label: str, spelled: str) -> None:
    assert spelled_label(label) == spelled


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        *(("F16", "fp16"), ("float16", "fp16"), ("BF16", "bf16"), ("bfloat16", "bf16")),
        *(("fp32", "fp32"), ("FLOAT64", "fp64")),
    ],
)
def test_precisions_have_one_spelling(written: str, spelled: str) -> None:
    assert spelled_precision(written) == spelled


PIECES = [
    *("llama", "3", "8b", "Q4_K_M", "UD", "IQ3_XXS", "fp8", "e4m3fn", "fp16", "4bit", "128g"),
    *("pruned", "ema", "only", "final", "v1", "v1.5", "2.0", "(1)", "copy", "1", "00001-of-00003"),
    *("mmproj", "model", "gguf", ".safetensors", ".bin", "[", ")", "/", "é", "日本", "K", "ſ"),
    *("-", "_", ".", " ", "--", "\u3000", "\udce9", "part1of2", "split-a", "5.0bpw", "0_5b", "i1"),
]
NAMES = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=14).map("".join))


@given(NAMES)
def test_any_name_has_a_base_that_is_its_own_base(name: str) -> None:
    parts = parse_name(name)
    stem = name.rstrip("/").rpartition("/")[2]
    assert parts.base in stem
    assert parts.base or not stem
    assert parse_name(parts.base).base == parts.base
    assert parts.titled.startswith(parts.base)


@pytest.mark.parametrize(
    "piece",
    [
        *("-", "a", "1", "-fp16", "(1)", "-copy", "v1.", "q4_k_m-", "0_", "mmproj-", ".bin", "- "),
        *("-of-", "00001-of-", "ema-", "1.1.", "[", "fp8-e4m3fn-", "\u3000", "4-bit-"),
    ],
)
def test_a_hostile_name_takes_no_time(piece: str) -> None:
    name = piece * (1_000_000 // len(piece))
    began = time.perf_counter()
    parse_name(name)
    assert time.perf_counter() - began < 1.0
