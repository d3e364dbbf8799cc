"""Small files of every format, written field by field so that each can be made wrong."""

import io
import json
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from modelcellar.formats import inspect_stream
from modelcellar.records import Inspection

TORCH_MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
TORCH_PREAMBLE = TORCH_MAGIC + b"\x80\x02M\xe9\x03." + b"\x80\x02}q\x00X\x01\x00\x00\x00aK\x01s."


def inspect_bytes(data: bytes) -> Inspection:
    return inspect_stream(io.BytesIO(data), len(data))


def refusal_code(data: bytes) -> str | None:
    refusal = inspect_bytes(data).refusal
    return refusal.code if refusal else None


def tensor_entry(start: int, end: int, **changes: Any) -> dict[str, Any]:
    return {"dtype": "U8", "shape": [end - start], "data_offsets": [start, end]} | changes


def safetensors_file(
    header: Mapping[str, Any] | bytes, data: bytes = b"", *, length: int | None = None
) -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(encoded) if length is None else length) + encoded + data


def gguf_string(text: str | bytes, order: str = "<") -> bytes:
    encoded = text.encode() if isinstance(text, str) else text
    return struct.pack(order + "Q", len(encoded)) + encoded


def gguf_pair(key: str, kind: int, value: bytes, order: str = "<") -> bytes:
    return gguf_string(key, order) + struct.pack(order + "I", kind) + value


def gguf_text_pair(key: str, text: str, order: str = "<") -> bytes:
    return gguf_pair(key, 8, gguf_string(text, order), order)


def gguf_tensor(
    name: str, shape: Sequence[int], type_id: int, start: int, order: str = "<"
) -> bytes:
    return (
        gguf_string(name, order)
        + struct.pack(f"{order}I{len(shape)}Q", len(shape), *shape)
        + struct.pack(order + "IQ", type_id, start)
    )


def gguf_file(
    pairs: Sequence[bytes] = (),
    tensors: Sequence[bytes] = (),
    data: bytes = b"",
    *,
    version: int = 3,
    order: str = "<",
    counts: tuple[int, int] | None = None,
) -> bytes:
    tensor_count, key_count = counts or (len(tensors), len(pairs))
    head = b"GGUF" + struct.pack(order + "IQQ", version, tensor_count, key_count)
    head += b"".join(pairs) + b"".join(tensors)
    if data:
        head += bytes(-len(head) % 32)
    return head + data


def zip_file(
    entries: Mapping[str, bytes] | Iterable[tuple[str, bytes]],
    *,
    method: int = zipfile.ZIP_STORED,
) -> bytes:
    pairs = entries.items() if isinstance(entries, Mapping) else entries
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in pairs:
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return buffer.getvalue()


def torch_zip_entries(root: str = "archive", **more: bytes) -> dict[str, bytes]:
    entries = {"data.pkl": b"\x80\x02}q\x00.", "data/0": bytes(8), "version": b"3\n"} | more
    return {f"{root}/{name}": data for name, data in entries.items()}


def torch_legacy_file(
    storages: Sequence[tuple[str, str, int]] = (("0", "FloatStorage", 2), ("1", "ByteStorage", 3)),
    *,
    widths: Mapping[str, int] | None = None,
) -> bytes:
    """Storages are (key, class, elements); their ids are pickled as torch does."""
    widths = widths or {"FloatStorage": 4, "ByteStorage": 1, "LongStorage": 8}
    model = b"\x80\x02]q\x00("
    for key, kind, elements in storages:
        model += b"(X\x07\x00\x00\x00storagectorch\n" + kind.encode() + b"\n"
        model += b"X" + struct.pack("<I", len(key)) + key.encode()
        model += b"X\x03\x00\x00\x00cpuJ" + struct.pack("<i", elements) + b"NtQ"
    model += b"e."
    keys = b"\x80\x02]q\x00("
    for key, _kind, _elements in storages:
        keys += b"X" + struct.pack("<I", len(key)) + key.encode()
    keys += b"e."
    data = b"".join(
        struct.pack("<q", elements) + bytes(elements * widths[kind])
        for _key, kind, elements in storages
    )
    return TORCH_PREAMBLE + model + keys + data


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*encoded, value))


def number_field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def bytes_field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def onnx_tensor(shape: Sequence[int], *, external: bool = False) -> bytes:
    dims = b"".join(number_field(1, size) for size in shape)
    return dims + number_field(2, 1) + bytes_field(8, b"w") + number_field(14, int(external))


def onnx_external_tensor(
    location: bytes, *, elements: int = 64, type_id: int = 1, **more: str
) -> bytes:
    pairs = {"location": location} | {key: value.encode() for key, value in more.items()}
    return (
        number_field(1, elements)
        + number_field(2, type_id)
        + bytes_field(8, b"w")
        + b"".join(
            bytes_field(13, bytes_field(1, key.encode()) + bytes_field(2, value))
            for key, value in pairs.items()
        )
        + number_field(14, 1)
    )


def onnx_parts(*, tensors: Sequence[bytes] = ()) -> list[bytes]:
    graph = bytes_field(1, bytes_field(4, b"Relu")) + bytes_field(2, b"main")
    graph += b"".join(bytes_field(5, tensor) for tensor in tensors)
    graph += bytes_field(11, bytes_field(1, b"x")) + bytes_field(12, bytes_field(1, b"y"))
    return [
        number_field(1, 8),
        bytes_field(2, b"pytorch"),
        bytes_field(3, b"2.3.1"),
        bytes_field(7, graph),
        bytes_field(8, number_field(2, 15)),
    ]


def onnx_file(*, tensors: Sequence[bytes] = ()) -> bytes:
    return b"".join(onnx_parts(tensors=tensors))


class _Flat:
    """Writes tables front to back; offsets are filled in when their targets are placed."""

    def __init__(self) -> None:
        self.data = bytearray(struct.pack("<I", 0) + b"TFL3")

    def point(self, at: int) -> None:
        struct.pack_into("<I", self.data, at, len(self.data) - at)

    def table(self, *widths: int) -> list[int]:
        """A table with one field of each width; returns the positions of the fields."""
        offsets, size = [], 4
        for width in widths:
            offsets.append(size if width else 0)
            size += width
        vtable = struct.pack(f"<HH{len(widths)}H", 4 + 2 * len(widths), size, *offsets)
        vtable += bytes(-len(vtable) % 4)
        start = len(self.data)
        self.data[start:] = struct.pack("<i", -(4 + size + -size % 4)) + bytes(size - 4)
        struct.pack_into("<i", self.data, start, start - (start + size + -size % 4))
        self.data += bytes(-size % 4) + vtable
        return [start + offset if offset else 0 for offset in offsets]

    def vector(self, count: int) -> list[int]:
        self.data += struct.pack("<I", count)
        start = len(self.data)
        self.data += bytes(4 * count)
        return [start + 4 * index for index in range(count)]


def tflite_file(buffer: bytes = b"weights!", *, tensors: int = 1, name: bytes = b"dens") -> bytes:
    """A graph of one tensor that is computed and ``tensors`` places for the same weights."""
    flat = _Flat()
    flat.point(0)
    version, codes, subgraphs, description, buffers = flat.table(4, 4, 4, 4, 4)
    struct.pack_into("<I", flat.data, version, 3)
    flat.point(description)
    flat.data += struct.pack("<I", 4) + b"made"
    flat.point(codes)
    (code,) = flat.vector(1)
    flat.point(code)
    flat.table(4)
    flat.point(subgraphs)
    (subgraph,) = flat.vector(1)
    flat.point(subgraph)
    places, _inputs, _outputs, operators = flat.table(4, 0, 0, 4)
    flat.point(places)
    computed, *weights = flat.vector(1 + tensors)
    flat.point(computed)
    _shape, kind = flat.table(0, 4)
    flat.data[kind] = 9
    for weight in weights:
        flat.point(weight)
    shape, kind, number, name_at = flat.table(4, 4, 4, 4)
    flat.data[kind] = 9
    struct.pack_into("<I", flat.data, number, 1)
    flat.point(shape)
    flat.data += struct.pack("<I2i", 2, 2, len(buffer) // 2)
    flat.point(name_at)
    flat.data += struct.pack("<I", len(name)) + name
    flat.point(operators)
    (operator,) = flat.vector(1)
    flat.point(operator)
    flat.table(4)
    flat.point(buffers)
    empty, first = flat.vector(2)
    flat.point(empty)
    flat.table(4)
    flat.point(first)
    (data,) = flat.table(4)
    flat.point(data)
    flat.data += struct.pack("<I", len(buffer)) + buffer
    return bytes(flat.data)


def samples() -> dict[str, bytes]:
    """One small valid file of each format, named as ``FileFormat`` names it."""
    return {
        "safetensors": safetensors_file(
            {
                "__metadata__": {"format": "pt"},
                "a": tensor_entry(0, 8, dtype="F32", shape=[2]),
                "b": tensor_entry(8, 12),
            },
            bytes(range(12)),
        ),
        "gguf": gguf_file(
            [
                gguf_text_pair("general.architecture", "llama"),
                gguf_pair("general.file_type", 4, struct.pack("<I", 15)),
                gguf_pair("llama.context_length", 4, struct.pack("<I", 4096)),
                gguf_pair(
                    "tokenizer.ggml.tokens",
                    9,
                    struct.pack("<IQ", 8, 2) + gguf_string("<s>") + gguf_string("</s>"),
                ),
            ],
            [gguf_tensor("a", (32, 2), 2, 0), gguf_tensor("b", (8,), 0, 64)],
            bytes(96),
        ),
        "torch_zip": zip_file(torch_zip_entries()),
        "torchscript": zip_file(torch_zip_entries("net", **{"constants.pkl": b"\x80\x02)."})),
        "torch_legacy": torch_legacy_file(),
        "onnx": onnx_file(tensors=[onnx_tensor((2, 3))]),
        "tflite": tflite_file(),
        "mediapipe_task": b"\0\0" + zip_file({"hand.tflite": tflite_file()}),
    }
