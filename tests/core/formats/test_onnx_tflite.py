"""Models without a magic number of their own, and FlatBuffers."""

import random
import struct

import pytest

from modelcellar.records import FileFormat
from tests.core.formats.builders import (
    bytes_field,
    inspect_bytes,
    number_field,
    onnx_file,
    onnx_parts,
    onnx_tensor,
    refusal_code,
    tflite_file,
    varint,
    zip_file,
)


def test_onnx() -> None:
    found = inspect_bytes(onnx_file(tensors=[onnx_tensor((2, 3)), onnx_tensor((), external=True)]))
    assert found.format is FileFormat.ONNX
    assert found.summary == "ONNX IR 8, opset 15, pytorch 2.3.1, 1 node, 2 tensors, 7 parameters"
    assert found.facts["external_tensor_count"] == 1
    assert found.facts["graph_name"] == "main"


def test_onnx_fields_in_any_order() -> None:
    parts = onnx_parts()
    for seed in range(30):
        random.Random(seed).shuffle(parts)
        assert inspect_bytes(b"".join(parts)).format is FileFormat.ONNX


def test_onnx_dimensions_may_be_packed() -> None:
    tensor = bytes_field(1, varint(300) + varint(2)) + number_field(2, 1)
    assert inspect_bytes(onnx_file(tensors=[tensor])).facts["parameter_count"] == 600


def test_onnx_with_weights_in_sub_graphs_only() -> None:
    found = inspect_bytes(onnx_file())
    assert found.summary == "ONNX IR 8, opset 15, pytorch 2.3.1, 1 node"
    assert "parameter_count" not in found.facts


def test_onnx_metadata_may_be_thousands_of_lines() -> None:
    characters = "\n".join(chr(0x4E00 + index) for index in range(7000)) + "\x1b[2J"
    prop = bytes_field(1, b"character") + bytes_field(2, characters.encode())
    found = inspect_bytes(onnx_file() + bytes_field(14, prop))
    shown = found.facts["metadata"]["character"]
    assert found.facts["metadata_key_count"] == 1
    assert len(shown.encode()) <= 1024
    assert shown.isprintable()


def test_onnx_older_than_operator_sets() -> None:
    parts = onnx_parts()
    assert inspect_bytes(number_field(1, 2) + parts[3]).format is FileFormat.ONNX
    assert refusal_code(number_field(1, 3) + parts[3]) == "truncated"


@pytest.mark.parametrize(
    "data",
    [
        number_field(1, 8),
        number_field(1, 8) + bytes_field(7, b""),
        number_field(1, 8) + bytes_field(2, b"x" * 40),
        number_field(1, 1) + bytes_field(2, bytes_field(1, b"saved_model")),
        bytes_field(1, b"piece") * 20,
        number_field(1, 0) + onnx_file()[2:],
        number_field(1, 65) + onnx_file()[2:],
        onnx_file() + number_field(64, 1),
        onnx_file() + number_field(7, 1),
        onnx_file() + b"\xff" * 12,
        number_field(1, 8) + bytes_field(7, b"\x1a\x01x" * 4) + onnx_parts()[4] + b"\0",
    ],
)
def test_other_protobuf_messages_are_no_onnx(data: bytes) -> None:
    found = inspect_bytes(data)
    assert found.format is FileFormat.UNKNOWN
    assert found.refusal is None


@pytest.mark.parametrize("shape", [(2**63,), (2**32, 2**32), (2**64 - 1, 2)])
def test_onnx_shape_that_overflows(shape: tuple[int, ...]) -> None:
    assert refusal_code(onnx_file(tensors=[onnx_tensor(shape)])) == "damaged"


def test_onnx_graph_longer_than_the_file() -> None:
    parts = onnx_parts()
    graph = b"\x3a" + varint(5_000_000_000) + parts[3][2:]
    refusal = inspect_bytes(b"".join(parts[:3]) + graph).refusal
    assert refusal is not None
    assert refusal.code == "truncated"
    assert "5,000,000,000" in refusal.reason


def test_onnx_with_too_much_to_count() -> None:
    parts = onnx_parts()
    graph = bytes_field(7, bytes_field(1, b"") * 300_000)
    found = inspect_bytes(b"".join((*parts[:3], graph, parts[4])))
    assert found.format is FileFormat.ONNX
    assert found.facts["counted"] is False
    assert found.facts["opsets"] == {"ai.onnx": 15}


def test_tflite() -> None:
    found = inspect_bytes(tflite_file())
    assert found.format is FileFormat.TFLITE
    assert found.summary == "TFLite, 2 tensors, I8, 1 operator"
    assert found.facts["description"] == "made"
    assert found.facts["buffer_bytes"] == 8
    assert found.facts["zip_appended"] is False


def test_tflite_with_an_appended_zip_stays_tflite() -> None:
    found = inspect_bytes(tflite_file() + zip_file({"labels.txt": b"cat\ndog\n"}))
    assert found.format is FileFormat.TFLITE
    assert found.facts["zip_appended"] is True


def test_tflite_of_zero_bytes_only() -> None:
    refusal = inspect_bytes(bytes(1024)).refusal
    assert refusal is not None
    assert refusal.code == "all_zero"
    assert "1,024" in refusal.reason


@pytest.mark.parametrize("root", [0, 2**32 - 1, 2**31, 199])
def test_tflite_with_a_root_outside_the_file(root: int) -> None:
    data = struct.pack("<I", root) + tflite_file()[4:]
    assert refusal_code(data) in {"truncated", "damaged"}


def test_tflite_vectors_that_are_longer_than_the_file() -> None:
    data = tflite_file()
    for at in range(8, len(data) - 4, 4):
        wrong = data[:at] + b"\xff\xff\xff\x7f" + data[at + 4 :]
        found = inspect_bytes(wrong)
        assert found.format in {FileFormat.TFLITE, FileFormat.UNKNOWN}
    at = data.index(b"weights!") - 4
    wrong = data[:at] + struct.pack("<I", 5_000_000) + data[at + 4 :]
    refusal = inspect_bytes(wrong).refusal
    assert refusal is not None
    assert refusal.code == "truncated"
    assert "5,000,000" in refusal.reason


def test_tflite_table_described_before_the_file() -> None:
    data = bytearray(tflite_file())
    struct.pack_into("<i", data, struct.unpack_from("<I", data)[0], 2**20)
    assert refusal_code(bytes(data)) == "damaged"


def test_tflite_field_outside_its_table() -> None:
    data = bytearray(tflite_file())
    root = struct.unpack_from("<I", data)[0]
    vtable = root - struct.unpack_from("<i", data, root)[0]
    last_field = vtable + 4 + 2 * 4
    assert struct.unpack_from("<H", data, last_field)[0] == 20  # buffers
    struct.pack_into("<H", data, vtable + 2, 20)  # The table ends where that field begins.
    assert refusal_code(bytes(data)) == "damaged"
