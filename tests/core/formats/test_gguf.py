"""Our GGUF reader against the ``gguf`` package, and against hostile headers."""

import io
import struct
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES, GGUFEndian, LlamaFileType
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcellar.formats.cursor import Cursor
from modelcellar.formats.gguf import GgufArray, GgufHeader, GgufLongString, read_header
from modelcellar.formats.gguf_types import FILE_TYPES, TENSOR_TYPES
from modelcellar.records import FileFormat
from tests.core.formats.builders import (
    gguf_file,
    gguf_pair,
    gguf_string,
    gguf_tensor,
    gguf_text_pair,
    inspect_bytes,
    refusal_code,
)

_text = st.text(st.characters(codec="utf-8"), max_size=40)
_values = st.one_of(
    st.tuples(st.just("uint8"), st.integers(0, 255)),
    st.tuples(st.just("int16"), st.integers(-(2**15), 2**15 - 1)),
    st.tuples(st.just("uint32"), st.integers(0, 2**32 - 1)),
    st.tuples(st.just("int64"), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just("uint64"), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("float32"), st.floats(width=32, allow_nan=False)),
    st.tuples(st.just("float64"), st.floats(allow_nan=False)),
    st.tuples(st.just("bool"), st.booleans()),
    st.tuples(st.just("string"), _text.filter(bool)),
    st.tuples(st.just("array"), st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=8)),
    st.tuples(st.just("array"), st.lists(_text, min_size=1, max_size=8)),
)


def read(data: bytes) -> GgufHeader:
    return read_header(Cursor(io.BytesIO(data), len(data)))


def plain(value: Any) -> Any:
    return list(value.items or ()) if isinstance(value, GgufArray) else value


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,8}\.[a-z]{1,8}", fullmatch=True), _values, max_size=8),
    st.dictionaries(
        st.from_regex(r"[a-z.]{1,20}", fullmatch=True),
        st.tuples(
            st.sampled_from(["float32", "float16", "int8", "int32", "float64"]),
            st.lists(st.integers(1, 4), min_size=1, max_size=4),
        ),
        max_size=4,
    ),
    st.sampled_from([GGUFEndian.LITTLE, GGUFEndian.BIG]),
)
def test_header_equals_the_reference(
    tmp_path_factory: pytest.TempPathFactory,
    values: dict[str, tuple[str, Any]],
    tensors: dict[str, tuple[str, list[int]]],
    endian: GGUFEndian,
) -> None:
    path = tmp_path_factory.mktemp("reference") / "file"
    writer = gguf.GGUFWriter(path, "llama", endianess=endian)
    for key, (kind, value) in values.items():
        getattr(writer, f"add_{kind}")(key, value)
    for name, (dtype, shape) in tensors.items():
        writer.add_tensor(name, np.zeros(shape, dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    header = read(path.read_bytes())
    reference = gguf.GGUFReader(path)
    fields = {
        name: field.contents()
        for name, field in reference.fields.items()
        if not name.startswith("GGUF.")
    }
    assert header.big_endian is (endian is GGUFEndian.BIG)
    assert header.metadata.keys() == fields.keys()
    for name, value in header.metadata.items():
        is_strings = isinstance(value, GgufArray) and value.item_type == 8
        assert (len(fields[name]) == value.count) if is_strings else (plain(value) == fields[name])
    assert header.data_start == reference.data_offset or not tensors
    assert [
        (
            tensor.name,
            list(tensor.shape),
            tensor.type_id,
            header.data_start + tensor.start,
            tensor.size_bytes,
        )
        for tensor in header.tensors
    ] == [
        (
            tensor.name,
            tensor.shape.tolist(),
            int(tensor.tensor_type),
            tensor.data_offset,
            tensor.n_bytes,
        )
        for tensor in reference.tensors
    ]
    found = inspect_bytes(path.read_bytes())
    assert found.refusal is None
    assert found.facts["byte_order"] == ("big" if header.big_endian else "little")


def test_tensor_types_are_those_of_the_reference() -> None:
    assert {
        kind.value: (kind.name, *GGML_QUANT_SIZES[kind]) for kind in GGML_QUANT_SIZES
    }.items() <= {number: tuple(kind) for number, kind in TENSOR_TYPES.items()}.items()


def test_file_types_are_those_of_the_reference() -> None:
    names = {
        kind.value: kind.name.removeprefix("ALL_").removeprefix("MOSTLY_")
        for kind in LlamaFileType
        if kind is not LlamaFileType.GUESSED
    }
    assert names.items() <= FILE_TYPES.items()


@pytest.mark.parametrize("name", ["Q4_K", "Q8_0", "IQ2_XS", "TQ1_0", "MXFP4", "BF16"])
def test_extent_of_a_quantized_tensor(name: str) -> None:
    type_id = next(number for number, kind in TENSOR_TYPES.items() if kind.name == name)
    size = 512 * 3 // TENSOR_TYPES[type_id].block_elements * TENSOR_TYPES[type_id].block_bytes
    tensors = [gguf_tensor("a", (512, 3), type_id, 0)]
    assert refusal_code(gguf_file([], tensors, bytes(size))) is None
    assert refusal_code(gguf_file([], tensors, bytes(size - 1))) == "truncated"


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("order", ["<", ">"])
def test_versions_and_byte_orders(version: int, order: str) -> None:
    found = inspect_bytes(
        gguf_file(
            [gguf_text_pair("general.architecture", "qwen2", order)],
            [gguf_tensor("a", (4,), 0, 0, order)],
            bytes(16),
            version=version,
            order=order,
        )
    )
    assert found.technical == f"GGUF v{version} qwen2, F32, 1 tensor"
    assert found.facts["parameter_count"] == 4


@pytest.mark.parametrize("version", [1, 4])
def test_other_versions_are_recognised_but_not_read(version: int) -> None:
    found = inspect_bytes(gguf_file(version=version))
    assert found.format is FileFormat.GGUF
    assert found.refusal is None
    assert found.facts == {"version": version, "byte_order": "little", "header_read": False}


def test_text_that_begins_with_the_magic_is_no_model() -> None:
    found = inspect_bytes(b"GGUF is a file format for models.")
    assert found.format is FileFormat.UNKNOWN
    assert found.facts["kind"] == "text"
    assert inspect_bytes(b"GGUF\0\xff\0\xff" + bytes(40)).format is FileFormat.UNKNOWN


def test_vocabulary_only() -> None:
    tokens = struct.pack("<IQ", 8, 3) + b"".join(gguf_string(token) for token in ("a", "", "ü"))
    pairs = [
        gguf_text_pair("general.architecture", "qwen2"),
        gguf_pair("tokenizer.ggml.tokens", 9, tokens),
    ]
    found = inspect_bytes(gguf_file(pairs))
    assert found.technical == "GGUF v3 qwen2, no tensors"
    assert found.facts["vocabulary_only"] is True
    assert found.facts["tensor_count"] == 0


def test_quantization_comes_from_the_file_type_not_from_the_tensors() -> None:
    pairs = [gguf_pair("general.file_type", 4, struct.pack("<I", 15))]
    tensors = [gguf_tensor("a", (32,), 6, 0), gguf_tensor("b", (32,), 6, 32)]
    found = inspect_bytes(gguf_file(pairs, tensors, bytes(64)))
    assert found.facts["quantization"] == "Q4_K_M"
    assert found.facts["dtypes"] == {"Q5_0": 2}


def test_name_may_be_a_path_or_hold_control_characters() -> None:
    name = "C:\\models\\\x1b[2Jllama\n\u202etxt"
    found = inspect_bytes(gguf_file([gguf_text_pair("general.name", name)]))
    assert found.facts["name"] == "[2Jllama txt"
    assert "\x1b" not in found.summary


def test_head_count_may_be_an_array() -> None:
    counts = struct.pack("<IQ3i", 5, 3, 1, 2, 3)
    header = read(gguf_file([gguf_pair("llama.attention.head_count_kv", 9, counts)]))
    assert header.metadata["llama.attention.head_count_kv"] == GgufArray(5, 3, (1, 2, 3))


def test_long_values_are_passed_over() -> None:
    numbers = struct.pack("<IQ", 6, 5000) + bytes(20_000)
    pairs = [
        gguf_text_pair("tokenizer.chat_template", "x" * 200_000),
        gguf_pair("tokenizer.ggml.scores", 9, numbers),
        gguf_text_pair("general.name", "after"),
    ]
    header = read(gguf_file(pairs))
    assert header.metadata["tokenizer.chat_template"] == GgufLongString(200_000)
    assert header.metadata["tokenizer.ggml.scores"] == GgufArray(6, 5000)
    assert header.metadata["general.name"] == "after"


def test_tensor_of_unknown_type_is_let_pass() -> None:
    found = inspect_bytes(gguf_file([], [gguf_tensor("a", (2**40,), 999, 0)], b"x"))
    assert found.refusal is None
    assert found.facts["dtypes"] == {"type 999": 1}


def test_missing_padding_after_the_last_tensor_is_no_fault() -> None:
    assert refusal_code(gguf_file([], [gguf_tensor("a", (3,), 0, 0)], bytes(12))) is None


def test_facts_hold_no_number_that_json_cannot() -> None:
    pair = gguf_pair("llama.rope.freq_base", 6, struct.pack("<f", float("nan")))
    assert "llama.rope.freq_base" not in inspect_bytes(gguf_file([pair])).facts["metadata"]


U32, U64 = struct.Struct("<I"), struct.Struct("<Q")


class TestHostileHeaders:
    """Patterns of CVE-2024-21802, CVE-2025-53630, CVE-2026-27940, CVE-2026-7482 and kin."""

    @pytest.mark.parametrize("counts", [(2**64 - 1, 0), (0, 2**64 - 1), (2**60, 1), (1, 2**32)])
    def test_counts_beyond_the_file(self, counts: tuple[int, int]) -> None:
        assert refusal_code(gguf_file(counts=counts)) == "truncated"

    def test_more_keys_than_allowed(self) -> None:
        assert refusal_code(gguf_file(data=bytes(2_000_000), counts=(0, 100_001))) == "damaged"

    @pytest.mark.parametrize("length", [2**64 - 1, 2**63, 2**64 - 8, 64 * 1024 * 1024 + 1])
    def test_string_longer_than_allowed(self, length: int) -> None:
        pair = gguf_pair("a", 8, U64.pack(length) + b"x")
        assert refusal_code(gguf_file([pair])) == "damaged"

    def test_string_longer_than_the_file(self) -> None:
        assert refusal_code(gguf_file([gguf_pair("a", 8, U64.pack(1000) + b"x")])) == "truncated"

    def test_key_longer_than_allowed(self) -> None:
        assert refusal_code(gguf_file([gguf_text_pair("k" * 65_536, "")])) == "damaged"

    @pytest.mark.parametrize("item_type", [0, 8, 9, 12])
    def test_array_longer_than_the_file(self, item_type: int) -> None:
        pair = gguf_pair("a", 9, struct.pack("<IQ", item_type, 2**61 + 1) + bytes(16))
        assert refusal_code(gguf_file([pair])) == "truncated"

    def test_array_longer_than_allowed(self) -> None:
        count = 16 * 1024 * 1024 + 1
        pair = gguf_pair("a", 9, struct.pack("<IQ", 0, count) + bytes(count))
        assert refusal_code(gguf_file([pair])) == "damaged"

    def test_arrays_nested_too_deep(self) -> None:
        inner = struct.pack("<IQ", 0, 0)
        for depth in range(1, 6):
            code = refusal_code(gguf_file([gguf_pair("a", 9, inner)]))
            assert code == (None if depth <= 4 else "damaged"), depth
            inner = struct.pack("<IQ", 9, 1) + inner

    def test_arrays_of_arrays_are_bounded(self) -> None:
        inner = struct.pack("<IQ", 0, 0) * 70_000
        found = inspect_bytes(gguf_file([gguf_pair("a", 9, struct.pack("<IQ", 9, 70_000) + inner)]))
        assert found.facts["header_read"] is False

    def test_duplicate_key(self) -> None:
        assert (
            refusal_code(gguf_file([gguf_pair("a", 0, b"1"), gguf_pair("a", 0, b"1")])) == "damaged"
        )

    def test_duplicate_tensor(self) -> None:
        tensors = [gguf_tensor("a", (8,), 0, 0), gguf_tensor("a", (8,), 0, 32)]
        assert refusal_code(gguf_file([], tensors, bytes(64))) == "damaged"

    @pytest.mark.parametrize("kind", [13, 255, 2**32 - 1])
    def test_value_type_that_does_not_exist(self, kind: int) -> None:
        assert refusal_code(gguf_file([gguf_pair("a", kind, bytes(8))])) == "damaged"

    @pytest.mark.parametrize("alignment", [0, 3, 2**17, 2**31])
    def test_alignment_that_is_not_allowed(self, alignment: int) -> None:
        pair = gguf_pair("general.alignment", 4, U32.pack(alignment))
        assert refusal_code(gguf_file([pair])) == "damaged"

    def test_alignment_moves_the_data(self) -> None:
        pair = gguf_pair("general.alignment", 4, U32.pack(64))
        data = gguf_file([pair], [gguf_tensor("a", (8,), 0, 0), gguf_tensor("b", (8,), 0, 64)])
        data += bytes(-len(data) % 64)
        assert refusal_code(data + bytes(96)) is None
        assert refusal_code(data + bytes(95)) == "truncated"

    def test_tensor_that_is_not_aligned(self) -> None:
        assert refusal_code(gguf_file([], [gguf_tensor("a", (1,), 0, 4)], bytes(64))) == "damaged"

    def test_tensors_that_overlap(self) -> None:
        tensors = [gguf_tensor("a", (16,), 0, 0), gguf_tensor("b", (8,), 0, 32)]
        assert refusal_code(gguf_file([], tensors, bytes(64))) == "damaged"

    def test_declared_tensor_larger_than_the_file(self) -> None:
        refusal = inspect_bytes(
            gguf_file([], [gguf_tensor("a", (2**33,), 0, 0)], bytes(64))
        ).refusal
        assert refusal is not None
        assert refusal.code == "truncated"
        assert "34,359,738," in refusal.reason

    @pytest.mark.parametrize("shape", [(2**63, 2), (2**32, 2**32), (2**40, 2**40, 2**40, 2**40)])
    def test_product_of_the_shape_that_overflows(self, shape: tuple[int, ...]) -> None:
        assert refusal_code(gguf_file([], [gguf_tensor("a", shape, 0, 0)], bytes(8))) == "damaged"

    def test_offset_that_overflows(self) -> None:
        tensor = gguf_tensor("a", (8,), 0, 2**64 - 32)
        assert refusal_code(gguf_file([], [tensor], bytes(64))) == "truncated"

    def test_rows_that_do_not_fill_blocks(self) -> None:
        assert refusal_code(gguf_file([], [gguf_tensor("a", (33,), 2, 0)], bytes(64))) == "damaged"

    def test_too_many_dimensions(self) -> None:
        assert (
            refusal_code(gguf_file([], [gguf_tensor("a", (1,) * 5, 0, 0)], bytes(8))) == "damaged"
        )

    def test_key_that_is_not_utf8(self) -> None:
        pair = gguf_string(b"\xff\xfe") + struct.pack("<IB", 0, 1)
        assert refusal_code(gguf_file([pair])) == "damaged"
