"""GGML, CTranslate2, CoreML, TensorFlow.js, NumPy, and files that are two things at once."""

import io
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from modelcellar.formats import inspect_stream
from modelcellar.records import FileFormat, Inspection
from tests.core.formats.builders import (
    bytes_field,
    gguf_file,
    gguf_tensor,
    inspect_bytes,
    number_field,
    onnx_file,
    onnx_tensor,
    refusal_code,
    safetensors_file,
    tensor_entry,
    tflite_file,
    torch_legacy_file,
    torch_zip_entries,
    zip_file,
)


def ctranslate2_file(
    variables: Sequence[tuple[str, tuple[int, ...], int, bytes]] = (("a", (2, 2), 0, bytes(16)),),
    *,
    spec: str = "WhisperSpec",
    version: int = 6,
) -> bytes:
    def string(text: str) -> bytes:
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    data = struct.pack("<I", version) + string(spec) + struct.pack("<II", 3, len(variables))
    for name, shape, kind, content in variables:
        data += string(name) + struct.pack(f"<B{len(shape)}I", len(shape), *shape)
        data += struct.pack("<BI", kind, len(content)) + content
    return data + struct.pack("<I", 0)


def coreml_weights(sizes: Sequence[int] = (100, 7)) -> bytes:
    data = bytearray(struct.pack("<II56x", len(sizes), 2))
    for size in sizes:
        start = len(data) + 64
        data += struct.pack("<IIQQ40x", 0xDEADBEEF, 1, size, start) + bytes(size)
        data += bytes(-len(data) % 64)
    return bytes(data)


def npy(array: np.ndarray[Any, Any], *, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def whisper_ggml() -> bytes:
    numbers = (51864, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1)
    return b"lmgg" + struct.pack("<11i", *numbers) + bytes(100)


WEIGHT = {"name": "dense/kernel", "shape": [3, 4], "dtype": "float32"}


def tfjs_document(**changes: Any) -> bytes:
    manifest = [{"paths": ["group1-shard1of1.bin"], "weights": [WEIGHT]}]
    document = {"format": "layers-model", "weightsManifest": manifest} | changes
    return json.dumps(document).encode()


class TestGgml:
    def test_whisper(self) -> None:
        found = inspect_bytes(whisper_ggml())
        assert found.format is FileFormat.GGML
        assert found.findings["family"].value == "Whisper"
        assert found.facts["mels"] == 80

    def test_silero(self) -> None:
        found = inspect_bytes(b"lmgg" + struct.pack("<I", 10) + b"silero-16k" + bytes(50))
        assert found.findings["type"].value == "audio"

    @pytest.mark.parametrize("magic", [b"fmgg", b"tjgg", b"algg"])
    def test_versions(self, magic: bytes) -> None:
        assert inspect_bytes(magic + struct.pack("<I", 1) + bytes(99)).format is FileFormat.GGML
        assert inspect_bytes(magic + struct.pack("<I", 9) + bytes(99)).format is FileFormat.UNKNOWN

    def test_llama(self) -> None:
        data = b"tjgg" + struct.pack("<I7i", 3, 32000, 4096, 256, 32, 32, 128, 2) + bytes(99)
        assert inspect_bytes(data).facts["ggml_model"] == "llama"

    def test_other_numbers_say_nothing(self) -> None:
        found = inspect_bytes(b"lmgg" + random.Random(1).randbytes(200))
        assert found.format is FileFormat.GGML
        assert "type" not in found.findings


class TestCtranslate2:
    def test_variables_are_read(self) -> None:
        found = inspect_bytes(ctranslate2_file())
        assert found.format is FileFormat.CTRANSLATE2
        assert found.facts["spec"] == "WhisperSpec"
        assert found.findings["family"].value == "Whisper"
        assert found.summary.endswith("CTranslate2, WhisperSpec, 1 tensor, F32")

    def test_cut_off_at_every_byte(self) -> None:
        data = ctranslate2_file()
        for end in range(20, len(data) - 4):
            found = inspect_bytes(data[:end])
            assert found.refusal is not None or found.format is FileFormat.UNKNOWN, end

    def test_size_must_fit_the_shape(self) -> None:
        assert refusal_code(ctranslate2_file([("a", (2, 2), 0, bytes(15))])) == "damaged"

    def test_hostile_counts(self) -> None:
        data = bytearray(ctranslate2_file())
        data[22:26] = b"\xff\xff\xff\x7f"
        assert inspect_bytes(bytes(data)).format in (FileFormat.UNKNOWN, FileFormat.CTRANSLATE2)


class TestCoreml:
    def test_weights(self) -> None:
        found = inspect_bytes(coreml_weights())
        assert (found.format, found.facts["blob_count"]) == (FileFormat.COREML, 2)
        assert found.facts["blob_bytes"] == 107

    def test_weights_that_are_cut_off(self) -> None:
        data = coreml_weights([5000, 5000])
        for end in (200, 4000, 5200, 8000):
            assert refusal_code(data[:end]) in ("truncated", "damaged")

    @pytest.mark.parametrize(("field", "kind"), [(502, "ML program"), (500, "neural network")])
    def test_specification(self, field: int, kind: str) -> None:
        data = number_field(1, 8) + bytes_field(2, b"\x0a\x00") + bytes_field(field, b"xyz")
        found = inspect_bytes(data)
        assert (found.format, found.facts["model"]) == (FileFormat.COREML, kind)

    def test_onnx_is_none(self) -> None:
        assert inspect_bytes(onnx_file()).format is FileFormat.ONNX


class TestTfjs:
    def test_lists_its_files(self) -> None:
        found = inspect_bytes(tfjs_document())
        assert found.format is FileFormat.TFJS
        assert found.facts["external_data"] == ["group1-shard1of1.bin"]
        assert found.facts["tensor_count"] == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"format": "other"},
            {"weightsManifest": 3},
            {"weightsManifest": [{}]},
            *(
                {"weightsManifest": [{"paths": [], "weights": [{**WEIGHT, "shape": shape}]}]}
                for shape in ([10**400], [2**62, 2], [-1], [True], ["1"], None)
            ),
        ],
    )
    def test_other_json_is_json(self, changes: Mapping[str, Any]) -> None:
        found = inspect_bytes(tfjs_document(**changes))
        assert (found.format, found.facts.get("kind")) == (FileFormat.UNKNOWN, "json")


class TestNumpy:
    @pytest.mark.parametrize(
        ("dtype", "name"),
        [
            ("<f4", "F32"),
            ("<f2", "F16"),
            (">i8", "I64"),
            ("|u1", "U8"),
            ("|b1", "BOOL"),
            ("<c8", "C64"),
        ],
    )
    def test_arrays(self, dtype: str, name: str) -> None:
        found = inspect_bytes(npy(np.zeros((3, 4), dtype)))
        assert found.format is FileFormat.NUMPY
        assert found.facts["dtypes"] == {name: 1}
        assert found.security.verdict == "no_pickle"

    def test_cut_off(self) -> None:
        data = npy(np.zeros((100, 100)))
        assert inspect_bytes(data).refusal is None
        assert refusal_code(data[:-1]) == "truncated"

    def test_objects_hold_a_pickle(self) -> None:
        harmless = npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)
        assert inspect_bytes(harmless).security.verdict == "known_classes"
        body = b"cos\nsystem\n(X\x01\0\0\0xtR."
        start = harmless.index(b"\x80")
        found = inspect_bytes(harmless[:start] + b"\x80\x02" + body)
        assert found.security.verdict == "dangerous_imports"

    def test_archives(self) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, a=np.zeros(3), b=np.zeros((2, 2), "f4"))
        found = inspect_bytes(buffer.getvalue())
        assert (found.format, found.facts["tensor_count"]) == (FileFormat.NUMPY, 2)
        assert "2 arrays" in found.summary
        np.savez_compressed(buffer := io.BytesIO(), a=np.zeros(3))
        assert inspect_bytes(buffer.getvalue()).format is FileFormat.NUMPY

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "{",
            "{'descr': '<f4'}",
            "{'descr': '<f4', 'shape': (-1,)}",
            "(" * 5000,
            "__import__('os')",
        ],
    )
    def test_broken_headers(self, header: str) -> None:
        text = header.encode()
        data = b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + bytes(64)
        assert refusal_code(data) == "damaged"


def onnx_body(inner: bytes) -> bytes:
    """A node with a sub-graph that holds a tensor."""
    graph = bytes_field(2, b"then") + bytes_field(5, inner)
    attribute = bytes_field(1, b"then_branch") + bytes_field(6, graph)
    return bytes_field(1, bytes_field(4, b"If") + bytes_field(5, attribute))


class TestOnnx:
    def outer(self, graph: bytes) -> Inspection:
        data = number_field(1, 8) + bytes_field(7, graph) + bytes_field(8, number_field(2, 15))
        return inspect_bytes(data)

    def test_tensors_of_sub_graphs_count(self) -> None:
        found = self.outer(onnx_body(onnx_tensor([10, 10])) + bytes_field(2, b"main"))
        assert found.facts["parameter_count"] == 100

    def test_constants_count_where_they_are_weights(self) -> None:
        def constant(tensor: bytes) -> bytes:
            return bytes_field(
                1, bytes_field(4, b"Constant") + bytes_field(5, bytes_field(5, tensor))
            )

        found = self.outer(constant(onnx_tensor([64])) + constant(onnx_tensor([2])))
        assert found.facts["parameter_count"] == 64

    def test_nesting_is_bounded(self) -> None:
        graph = onnx_tensor([64])
        body = bytes_field(5, graph)
        for _ in range(60):
            body = bytes_field(1, bytes_field(5, bytes_field(6, body)))
        assert self.outer(body).refusal is None

    @pytest.mark.parametrize(
        ("location", "is_inside"),
        [
            ("m.onnx_data", True),
            ("sub/m.data", True),
            ("../m.data", False),
            ("/etc/x", False),
            ("C:/x", False),
        ],
    )
    def test_external_data(self, location: str, is_inside: bool) -> None:
        pair = bytes_field(1, b"location") + bytes_field(2, location.encode())
        found = self.outer(bytes_field(5, onnx_tensor([9], external=True) + bytes_field(13, pair)))
        key = "external_data" if is_inside else "external_data_outside"
        assert len(found.facts[key]) == 1

    def test_names_are_kept_as_they_are_written(self) -> None:
        names = [f"/model/layers.{n}/attn/q/weight" for n in range(2)]
        graph = b"".join(
            bytes_field(5, onnx_tensor([64]).replace(b"\x42\1w", bytes_field(8, name.encode())))
            for name in names
        )
        graph += bytes_field(11, bytes_field(1, b"/model/input/weight"))
        graph += bytes_field(11, bytes_field(1, names[0].encode()))
        data = number_field(1, 8) + bytes_field(7, graph) + bytes_field(8, number_field(2, 15))
        found = inspect_stream(io.BytesIO(data), len(data), with_tensors=True)
        assert [one.name for one in found.tensors] == names
        assert found.facts["inputs"] == ["/model/input/weight"]

    def test_voice_detector_by_its_inputs(self) -> None:
        inputs = b"".join(
            bytes_field(11, bytes_field(1, name)) for name in (b"input", b"state", b"sr")
        )
        assert self.outer(inputs + bytes_field(2, b"g")).findings["type"].value == "audio"


def test_private_paths_in_names_of_tensors_are_cut_where_they_are_shown() -> None:
    names = ["/home/alice/a", "C:\\Users\\alice\\b", "/decoder/c", "x\x1b[31m"]
    data = safetensors_file({name: tensor_entry(0, 0) for name in names})
    found = inspect_stream(io.BytesIO(data), len(data), with_tensors=True)
    assert [one.name for one in found.tensors] == ["a", "b", "/decoder/c", "x [31m"]


class TestPolyglots:
    """One file that two programs read as two things."""

    def test_safetensors_that_is_a_pickle_too(self) -> None:
        # The eight length bytes are themselves opcodes: PROTO 2 and an import follow.
        length = b"\x80\x02" + b"}0" + bytes(4)
        assert struct.unpack("<Q", length)[0] < 2**40
        found = inspect_bytes(length + b"{" + b" " * 100)
        assert found.refusal is not None or found.format is not FileFormat.SAFETENSORS

    @pytest.mark.parametrize(
        ("front", "format_"),
        [
            (safetensors_file({"a": tensor_entry(0, 200)}, bytes(200)), FileFormat.SAFETENSORS),
            (gguf_file([], [gguf_tensor("a", (32,), 0, 0)], bytes(128)), FileFormat.GGUF),
            (torch_legacy_file(), FileFormat.TORCH_LEGACY),
            (whisper_ggml(), FileFormat.GGML),
            (npy(np.zeros(4)), FileFormat.NUMPY),
        ],
    )
    def test_archive_at_the_end(self, front: bytes, format_: FileFormat) -> None:
        attack = b"\x80\x02cos\nsystem\n(X\x01\0\0\0xtR."
        archive = zip_file(torch_zip_entries() | {"archive/data.pkl": attack})
        if format_ is FileFormat.SAFETENSORS:
            # The archive lies in a tensor, so that the header fits the file.
            data = safetensors_file({"a": tensor_entry(0, len(archive))}, archive)
        else:
            data = front + archive
        found = inspect_bytes(data)
        assert found.format is format_
        assert FileFormat.TORCH_ZIP in found.also
        assert found.security.verdict == "dangerous_imports"

    def test_plain_archive_at_the_end_is_said(self) -> None:
        archive = zip_file({"readme.txt": b"hello"})
        data = safetensors_file({"a": tensor_entry(0, len(archive))}, archive)
        assert inspect_bytes(data).also == (FileFormat.UNKNOWN,)

    @pytest.mark.parametrize(
        "data",
        [
            safetensors_file({"a": tensor_entry(0, 9)}, bytes(9)),
            torch_legacy_file(),
            zip_file(torch_zip_entries()),
            b"\0\0" + zip_file({"m.tflite": tflite_file()}),
            tflite_file() + zip_file({"labels.txt": b"cat"}),
            onnx_file(),
            npy(np.zeros(3)),
        ],
    )
    def test_ordinary_files_are_one_thing(self, data: bytes) -> None:
        assert inspect_bytes(data).also == ()


@pytest.mark.parametrize(
    "data",
    [ctranslate2_file(), coreml_weights(), whisper_ggml(), npy(np.zeros(9)), tfjs_document()],
    ids=["ctranslate2", "coreml", "ggml", "numpy", "tfjs"],
)
def test_mutations_never_fail(data: bytes) -> None:
    rng = random.Random(7)
    for _ in range(400):
        mutated = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        if rng.random() < 0.3:
            del mutated[rng.randrange(len(mutated)) :]
        inspect_bytes(bytes(mutated))


def test_pickles_in_archives_of_any_kind() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("m/data.pkl", pickle.dumps({}))
        archive.writestr("m/version", "3\n")
    assert inspect_bytes(data.getvalue()).security.verdict == "tensors_only"
