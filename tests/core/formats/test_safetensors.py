"""Our safetensors reader against the reference implementation, and against hostile headers."""

import io
import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize, safe_open
from safetensors.numpy import save

from modelcellar.formats.cursor import Cursor, FormatError
from modelcellar.formats.safetensors import (
    KEPT_VALUE_BYTES,
    MAX_READ_BYTES,
    MAX_READ_TENSORS,
    read_header,
)
from modelcellar.formats.safetensors_quick import quick_tensors
from modelcellar.formats.safetensors_types import DTYPE_BITS, SafetensorsHeader, TensorInfo
from modelcellar.records import FileFormat
from tests.core.formats.builders import inspect_bytes, refusal_code, safetensors_file, tensor_entry

NUMPY_DTYPES = (
    *("float16", "float32", "float64", "complex64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)


def read(data: bytes) -> SafetensorsHeader:
    return read_header(Cursor(io.BytesIO(data), len(data)))


def reference_accepts(data: bytes) -> bool:
    try:
        deserialize(data)
    except SafetensorError:
        return False
    return True


def we_accept(data: bytes) -> bool:
    found = inspect_bytes(data)
    return found.format is FileFormat.SAFETENSORS and found.refusal is None


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=20).filter(
            lambda name: name != "__metadata__"
        ),
        st.tuples(st.sampled_from(NUMPY_DTYPES), st.lists(st.integers(0, 4), max_size=4)),
        max_size=6,
    ),
    st.none()
    # Without tensors and with empty metadata the reference writes what it cannot read itself.
    | st.dictionaries(
        st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")), min_size=1
    ),
)
def test_header_equals_the_reference(
    tmp_path_factory: pytest.TempPathFactory,
    tensors: dict[str, tuple[str, list[int]]],
    metadata: dict[str, str] | None,
) -> None:
    data = save(
        {name: np.zeros(shape, dtype) for name, (dtype, shape) in tensors.items()}, metadata
    )
    header = read(data)
    path = tmp_path_factory.mktemp("reference") / "file"
    path.write_bytes(data)
    with safe_open(path, "np") as reference:
        assert {tensor.name for tensor in header.tensors} == set(reference.keys())
        assert header.metadata == (reference.metadata() or {})
        for tensor in header.tensors:
            piece = reference.get_slice(tensor.name)
            assert list(tensor.shape) == piece.get_shape()
            assert tensor.dtype == piece.get_dtype()
            assert tensor.end - tensor.start == reference.get_tensor(tensor.name).nbytes


@pytest.mark.parametrize("dtype", DTYPE_BITS)
def test_every_dtype_has_the_size_of_the_reference(dtype: str) -> None:
    size = DTYPE_BITS[dtype]
    data = safetensors_file({"a": tensor_entry(0, size, dtype=dtype, shape=[8])}, bytes(size))
    assert reference_accepts(data)
    assert we_accept(data)
    assert refusal_code(data + b"\0") == "damaged"
    larger = safetensors_file(
        {"a": tensor_entry(0, size + 1, dtype=dtype, shape=[8])}, bytes(size + 1)
    )
    assert not reference_accepts(larger)
    assert refusal_code(larger) == "damaged"


_entries = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["U8", "F16", "F4", "BF16", "U9", "", 3, None]),
        "shape": st.lists(
            st.integers(-1, 3) | st.sampled_from([2**32, 2**63, 2**64, 1.0, True]), max_size=3
        )
        | st.none(),
        "data_offsets": st.lists(st.integers(-1, 8), max_size=3) | st.none(),
        "more": st.none() | st.integers() | st.lists(st.booleans(), max_size=2),
    },
)


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(-1, 1), st.sampled_from(["U8", "F16", "F4"])),
        max_size=4,
    ),
    st.none() | _entries,
    st.integers(-2, 2),
    st.sampled_from([b"", b" ", b"\n\t ", b"\0", b"x", b"{}"]),
    st.none() | st.sampled_from([None, {}, {"a": "b"}, {"a": 1}, [], "x", {"a": None}]),
)
def test_what_the_reference_rejects_is_refused(
    sizes: list[tuple[int, int, str]],
    odd: dict[str, Any] | None,
    extra_bytes: int,
    tail: bytes,
    metadata: Any,
) -> None:
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for index, (size, shift, dtype) in enumerate(sizes):
        start, end = end + (shift if index == 2 else 0), end + size
        elements = {"U8": size, "F16": size // 2, "F4": size * 2}[dtype]
        header[f"t{index}"] = {"dtype": dtype, "shape": [elements], "data_offsets": [start, end]}
    if odd is not None:
        header["odd"] = odd
    data = safetensors_file(json.dumps(header).encode() + tail, bytes(max(0, end + extra_bytes)))
    assert we_accept(data) == reference_accepts(data)


@pytest.mark.parametrize(
    "header",
    [
        b' {"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b'{ "a" :\n{ "shape" : [ 1 ] , "dtype" : "\\u00558" , "data_offsets" : [ 0 , 1 ] } }  ',
        b'{"__metadata__":null,"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b'{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1],"later":{"x":["{\\""]}}}',
        b'{"":{"dtype":"U8","shape":[1,1,1],"data_offsets":[0,1]}}',
        b'{"b":{"dtype":"U8","shape":[0],"data_offsets":[1,1]},'
        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
    ],
)
def test_unusual_but_valid_headers_are_read(header: bytes) -> None:
    data = safetensors_file(header, b"x")
    assert reference_accepts(data)
    assert we_accept(data)


@pytest.mark.parametrize(
    "entry",
    [
        b'{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}',
        b'{"dtype":"U8","shape":[01],"data_offsets":[0,1]}',
        b'{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}',
        b'{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}',
        b'{"dtype":"U8","shape":[1],"data_offsets":[0,1],}',
        b'{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":NaN}',
        b'{"dtype":"U8","shape":[1]',
        b"null",
        b"[]",
        b"1",
    ],
)
def test_descriptions_that_are_not_valid_are_refused(entry: bytes) -> None:
    data = safetensors_file(b'{"a":' + entry + b"}", b"x")
    assert not reference_accepts(data)
    assert refusal_code(data) == "damaged"


def test_duplicate_tensor_names_are_refused() -> None:
    one = b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    data = safetensors_file(b"{" + one + b"," + one + b"}", b"x")
    assert refusal_code(data) == "damaged"
    # Without bytes of their own: the offsets do not give them away.
    one = b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    assert refusal_code(safetensors_file(b"{" + one + b"," + one + b"}")) == "damaged"
    escaped = one.replace(b'"a"', b'"\\u0061"')
    assert refusal_code(safetensors_file(b"{" + one + b"," + escaped + b"}")) == "damaged"


def test_duplicate_metadata_is_refused() -> None:
    assert refusal_code(safetensors_file(b'{"__metadata__":{"a":"1","a":"2"}}')) == "damaged"
    block = b'"__metadata__":{"a":"1"}'
    assert refusal_code(safetensors_file(b"{" + block + b"," + block + b"}")) == "damaged"


@pytest.mark.parametrize("text", [b'"\\ud800"', b'"\xff"', b'"\x01"', b'"a'])
def test_text_that_is_not_valid_is_refused(text: bytes) -> None:
    data = safetensors_file(b'{"__metadata__":{"k":' + text + b"}}")
    assert not reference_accepts(data)
    assert refusal_code(data) == "damaged"


def test_missing_metadata_is_no_fault() -> None:
    found = inspect_bytes(safetensors_file({"a": tensor_entry(0, 1)}, b"x"))
    assert found.refusal is None
    assert found.facts["metadata"] == {}
    assert found.summary == "1 tensor, U8, 1 parameter"


def test_header_that_is_not_padded_is_read() -> None:
    header = {"abc": tensor_entry(0, 1)}
    assert len(json.dumps(header)) % 8
    assert we_accept(safetensors_file(header, b"x"))


def test_header_larger_than_its_data_is_read() -> None:
    tags = json.dumps({f"tag {index}": index for index in range(20_000)})
    found = inspect_bytes(
        safetensors_file(
            {"__metadata__": {"ss_tag_frequency": tags}, "a": tensor_entry(0, 1)}, b"x"
        )
    )
    assert found.facts["header_bytes"] > 250_000
    assert found.facts["tensor_count"] == 1
    assert len(found.facts["metadata"]["ss_tag_frequency"].encode()) <= 1024


def test_kohya_metadata_comes_through() -> None:
    metadata = {
        "modelspec.architecture": "stable-diffusion-v1/lora",
        "modelspec.title": "surtr_arknights",
        "ss_network_module": "lycoris.kohya",
        "ss_network_args": '{"preset": "attn-mlp", "algo": "lora", "dropout": 0}',
        "ss_noise_offset": "None",
        "html": "<p>not a page</p>",
    }
    found = inspect_bytes(
        safetensors_file({"__metadata__": metadata, "a": tensor_entry(0, 1)}, b"x")
    )
    assert found.facts["metadata"] == metadata
    assert found.facts["metadata_key_count"] == 6


def test_metadata_in_facts_is_bounded_and_clean() -> None:
    metadata = {f"key {index}": "x\x1b[31m\ny" + "é" * 5000 for index in range(200)}
    facts = inspect_bytes(safetensors_file({"__metadata__": metadata})).facts
    assert facts["metadata_key_count"] == 200
    assert len(facts["metadata"]) == 64
    assert all(len(value.encode()) <= 1024 for value in facts["metadata"].values())
    assert facts["metadata"]["key 0"].startswith("x [31m y")


def test_value_too_long_to_keep_is_named() -> None:
    long = "x" * (KEPT_VALUE_BYTES + 1)
    data = safetensors_file(
        {"__metadata__": {"long": long, "a": "b"}, "t": tensor_entry(0, 1)}, b"x"
    )
    header = read(data)
    assert header.metadata == {"a": "b"}
    assert header.metadata_left_out == ("long",)
    assert len(header.tensors) == 1


class TestHostileHeaders:
    """Patterns of the published attacks on parsers, and the limits of the format."""

    def test_length_beyond_the_limit_of_the_format(self) -> None:
        data = struct.pack("<Q", 100_000_001) + b'{"a":1}'
        assert not reference_accepts(data)
        assert refusal_code(data) == "damaged"

    def test_length_beyond_the_file(self) -> None:
        refusal = inspect_bytes(safetensors_file(b'{"a":{}}', length=5_000_000)).refusal
        assert refusal is not None
        assert refusal.code == "truncated"
        assert "5,000,008" in refusal.reason
        assert "has 16" in refusal.reason

    def test_tensor_larger_than_the_file(self) -> None:
        entry = tensor_entry(0, 5_120_000_000)
        refusal = inspect_bytes(safetensors_file({"a": entry}, b"x" * 60)).refusal
        assert refusal is not None
        assert refusal.code == "truncated"
        assert "says 5,120,000,0" in refusal.reason

    @pytest.mark.parametrize(
        "shape", [[2**63, 2], [2**32, 2**32], [2**64 - 1, 2**64 - 1], [2**61, 8]]
    )
    def test_product_of_the_shape_that_overflows(self, shape: list[int]) -> None:
        data = safetensors_file({"a": tensor_entry(0, 8, shape=shape, dtype="U64")}, bytes(8))
        assert not reference_accepts(data)
        assert refusal_code(data) == "damaged"

    def test_product_that_overflows_before_it_becomes_zero(self) -> None:
        data = safetensors_file({"a": tensor_entry(0, 0, shape=[2**63, 4, 0])})
        assert not reference_accepts(data)
        assert refusal_code(data) == "damaged"
        assert we_accept(safetensors_file({"a": tensor_entry(0, 0, shape=[0, 2**63, 4])}))

    def test_overlap(self) -> None:
        data = safetensors_file({"a": tensor_entry(0, 4), "b": tensor_entry(2, 6)}, bytes(6))
        assert refusal_code(data) == "damaged"

    def test_gap(self) -> None:
        data = safetensors_file({"a": tensor_entry(0, 4), "b": tensor_entry(6, 8)}, bytes(8))
        assert refusal_code(data) == "damaged"

    def test_bytes_after_the_last_tensor(self) -> None:
        refusal = inspect_bytes(safetensors_file({"a": tensor_entry(0, 4)}, bytes(10))).refusal
        assert refusal is not None
        assert refusal.code == "damaged"
        assert "6 bytes too many" in refusal.reason

    def test_nested_too_deep(self) -> None:
        deep: Any = tensor_entry(0, 1) | {"x": [[[[[[[[]]]]]]]]}
        assert refusal_code(safetensors_file({"a": deep}, b"x")) == "damaged"
        assert refusal_code(safetensors_file(b'{"a":' + b"[" * 100_000)) == "damaged"
        assert refusal_code(safetensors_file(b'{"a":' * 100_000)) == "damaged"

    def test_header_above_the_limit_of_the_reader_is_recognised(self) -> None:
        data = safetensors_file(b'{"__metadata__":{"a":"' + b"x" * MAX_READ_BYTES + b'"}}')
        found = inspect_bytes(data)
        assert found.format is FileFormat.SAFETENSORS
        assert found.refusal is None
        assert found.facts["header_read"] is False

    def test_too_many_tensors_are_not_kept(self) -> None:
        entry = b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
        body = b",".join(entry % index for index in range(MAX_READ_TENSORS + 1))
        data = safetensors_file(b"{" + body + b"}")
        assert inspect_bytes(data).facts["header_read"] is False
        with pytest.raises(FormatError):
            read(data)


@given(st.data())
def test_usual_and_other_spellings_are_read_alike(data: st.DataObject) -> None:
    """A header spelled as writers do skips the JSON parser, and nothing else changes by that."""
    tensors, end = {}, 0
    for name in data.draw(st.lists(st.text("ab.0_", max_size=5), max_size=6, unique=True)):
        shape = data.draw(st.lists(st.integers(0, 3), max_size=3))
        size = 1
        for one in shape:
            size *= one
        tensors[name] = {"dtype": "U8", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    compact = json.dumps(tensors, separators=(",", ":")).encode()
    spaced = json.dumps(tensors, indent=1).encode()
    turned = {key: dict(reversed(list(entry.items()))) for key, entry in tensors.items()}
    found = [
        inspect_bytes(safetensors_file(text, bytes(end)))
        for text in (compact, json.dumps(tensors).encode(), spaced, json.dumps(turned).encode())
    ]
    assert {one.refusal for one in found} == {None}
    assert len({one.technical for one in found}) == 1
    assert found[0].facts["tensor_count"] == len(tensors)


_PIECES = ('"', ",", ":", "{", "}", "[", "]", "0", "-", "1.0", "true", " ", "\n", "\\", "é", "]}}")


@settings(max_examples=1_000)
@given(st.data(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_quick_reader_accepts_nothing_that_the_strict_one_reads_otherwise(
    data: st.DataObject, separators: tuple[str, str]
) -> None:
    tensors = {
        "a.0": tensor_entry(0, 4, shape=[2, 2]),
        "b": tensor_entry(4, 5),
        "": tensor_entry(5, 5),
    }
    text = json.dumps(tensors, separators=separators)
    for _ in range(data.draw(st.integers(0, 3))):
        start = data.draw(st.integers(1, len(text)))
        end = start + data.draw(st.integers(0, 3))
        text = text[:start] + data.draw(st.sampled_from(_PIECES) | st.just("")) + text[end:]
    quick = quick_tensors(text[1:].encode())
    # Metadata behind the tensors are not for the quick reader.
    strict_text = text.rstrip()[:-1] + ',"__metadata__":{}}'
    assert quick_tensors(strict_text[1:].encode()) is None
    if quick is not None:
        end = max(tensor.end for tensor in quick)
        assert read(safetensors_file(strict_text.encode(), bytes(end))).tensors == quick


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("padding", [0, 7])
def test_quick_reader_reads_what_writers_write(separators: tuple[str, str], padding: int) -> None:
    tensors = {"a.0": tensor_entry(0, 4, shape=[2, 2]), "ü": tensor_entry(4, 5, shape=[])}
    text = json.dumps(tensors, separators=separators, ensure_ascii=False) + " " * padding
    assert quick_tensors(text[1:].encode()) == (
        TensorInfo("a.0", "U8", (2, 2), 0, 4),
        TensorInfo("ü", "U8", (), 4, 5),
    )


@pytest.mark.parametrize(
    "entry",
    [
        '{"dtype":"U8","shape":[1],"data_offsets":[0,2]}',
        '{"dtype":"U9","shape":[1],"data_offsets":[0,1]}',
        '{"dtype":"U8","shape":[999999999999999999,999999999999999999],"data_offsets":[0,1]}',
        '{"dtype":"U8","shape":[1],"data_offsets":[1,0]}',
        '{"dtype":"U8","shape":[01],"data_offsets":[0,1]}',
        '{"dtype":"U8","shape":[1],"data_offsets":[00,1]}',
        '{"dtype":"U8","shape":[1],"data_offsets":[0,01]}',
        '{"dtype":"U8","shape":[true],"data_offsets":[0,1]}',
        '{"dtype":"U8","shape":[1],"data_offsets":[-0,1]}',
        '{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}',
    ],
)
def test_usual_spelling_is_checked_all_the_same(entry: str) -> None:
    assert refusal_code(safetensors_file(f'{{"a":{entry}}}'.encode(), bytes(1))) == "damaged"


def test_equal_names_in_the_usual_spelling_are_refused() -> None:
    one, two = (json.dumps(tensor_entry(n, n + 1), separators=(",", ":")) for n in (0, 1))
    for text in (f'{{"a":{one},"a":{two}}}', f'{{"a":{one},"__metadata__":{two}}}'):
        assert refusal_code(safetensors_file(text.encode(), b"xy")) == "damaged"


@pytest.mark.parametrize("end", [",", "", "}}", '"b":%}', ',"b\x01":%}', ',"b\n":%}', ',"b":%}x'])
def test_header_that_is_no_json_is_refused(end: str) -> None:
    one, two = (json.dumps(tensor_entry(n, n + 1), separators=(",", ":")) for n in (0, 1))
    text = f'{{"a":{one}' + end.replace("%", two)
    assert refusal_code(safetensors_file(text.encode(), bytes(1 + end.count("%")))) == "damaged"


def test_escaped_name_in_the_usual_spelling_is_the_name_that_is_meant() -> None:
    one, two = (json.dumps(tensor_entry(n, n + 1), separators=(",", ":")) for n in (0, 1))
    header = read(safetensors_file(f'{{"\\u0061":{one},"b":{two}}}'.encode(), b"xy"))
    assert [tensor.name for tensor in header.tensors] == ["a", "b"]
    twice = safetensors_file(f'{{"\\u0061":{one},"a":{two}}}'.encode(), b"xy")
    assert refusal_code(twice) == "damaged"
