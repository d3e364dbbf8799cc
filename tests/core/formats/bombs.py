"""Small files, or files of a few megabytes, that would cost a reader much more than that."""

import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

from tests.core.formats.builders import (
    bytes_field,
    number_field,
    safetensors_file,
    tensor_entry,
    varint,
    zip_file,
)

__all__ = ["MORE_BOMBS"]

EMPTY = tensor_entry(0, 0, dtype="F32")
DICTS = b"\x80\x02(" + b"}" * 249_000 + b"l."


def _key(number: int) -> bytes:
    return b"\x8c\x02" + b"%02d" % number


def _laughs() -> bytes:
    """Seven levels of dicts, each thirty times in the next."""
    data = b"\x80\x04}\x94"
    for level in range(7):
        items = b"".join(_key(number) + b"h" + bytes([level]) for number in range(30))
        data += b"}(" + items + b"u\x94"
    return data + b"."


def _copies() -> bytes:
    """Many a dict made of one list."""
    pairs = b"".join(b"J" + struct.pack("<i", number) + b"N\x86" for number in range(20_000))
    data = b"\x80\x02ccollections\nOrderedDict\nq\0]q\1(" + pairs + b"e\x85q\x020"
    return data + b"(" + b"h\0h\2R" * 3000 + b"l."


def _pickles() -> bytes:
    names = ["a/data.pkl", "a/version", *(f"a/{number}.pkl" for number in range(15))]
    return zip_file(dict.fromkeys(names, DICTS), method=zipfile.ZIP_DEFLATED)


def _tables() -> bytes:
    """2,000 offsets to one table, which a description of 64 KiB describes."""
    count = 2000
    data = bytearray(8) + bytearray(4)
    data[4:8] = b"TFL3"
    described = len(data)
    data += struct.pack("<HH6H", 16, 24, 0, 4, 0, 0, 0, 0)
    root = len(data)
    data += struct.pack("<i", root - described)
    offset = len(data)
    data += bytes(20)
    vector = len(data)
    struct.pack_into("<I", data, offset, vector - offset)
    data += struct.pack("<I", count) + bytes(4 * count)
    fields = b"".join(struct.pack("<H", 300 + number % 60_000) for number in range(32_765))
    description = len(data)
    data += struct.pack("<HH", 65_534, 65_532) + fields
    table = len(data)
    data += struct.pack("<i", table - description) + bytes(65_540)
    for number in range(count):
        at = vector + 4 + 4 * number
        struct.pack_into("<I", data, at, table - at)
    struct.pack_into("<I", data, 0, root)
    return bytes(data)


def _entries(apart: bool) -> bytes:
    """Hundreds of arrays that are one stream of 16 MiB, or as many streams."""
    header = b"{'descr':'<f4','fortran_order':False,'shape':(0,)}"
    array = b"\x93NUMPY\x03\0" + struct.pack("<I", len(header)) + header
    array += bytes((16 << 20) - len(array))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(array) + packer.flush()
    sizes = (zlib.crc32(array), len(packed), len(array), 5)
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0x21, *sizes, 0) + b"a.npy" + packed
    count = 300
    body = local * (count if apart else 1)
    listing = b"".join(
        struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0x21, *sizes, 0, 0, 0, 0, 0, at)
        + b"a.npy"
        for at in (number * len(local) * apart for number in range(count))
    )
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(listing), len(body), 0)
    return body + listing + end


def _onnx(graph: bytes, opsets: bytes = b"") -> bytes:
    model = number_field(1, 8) + bytes_field(7, bytes_field(2, b"g") + graph)
    return model + bytes_field(8, number_field(2, 17)) + opsets


def _onnx_tensors() -> bytes:
    return b"".join(
        bytes_field(
            5,
            number_field(1, 2**31 + number)
            + number_field(2, 1)
            + bytes_field(8, b"%05d" % number + b".1.a" * 62),
        )
        for number in range(40_000)
    )


PACKED = bytes_field(1, varint(0) + varint(300) * 15)
OUTSIDE = bytes_field(
    13, bytes_field(1, b"location") + bytes_field(2, b"a") + number_field(3, 1) * 13
)
MORE_BOMBS: Mapping[str, Callable[[], bytes]] = {
    "pickle of laughs": _laughs,
    "pickle of copies": _copies,
    "pickle of dicts": lambda: DICTS,
    "zip of pickles of dicts": _pickles,
    "tflite with a large description": _tables,
    "npz of one array": lambda: _entries(apart=False),
    "npz of large arrays": lambda: _entries(apart=True),
    "onnx with packed dimensions": lambda: _onnx(bytes_field(5, PACKED * 240_000)),
    "onnx with data elsewhere": lambda: _onnx(bytes_field(5, OUTSIDE * 240_000)),
    "onnx with many sets": lambda: _onnx(b"", bytes_field(8, number_field(2, 17) * 16) * 49_000),
    "onnx with long names": lambda: _onnx(_onnx_tensors()),
    "coreml with many fields": lambda: number_field(1, 1) * 3_000_000,
    "safetensors with long names": lambda: safetensors_file(
        {f"{number:05}" + ".1.a" * 4000: EMPTY for number in range(740)}
    ),
    "safetensors with escaped names": lambda: safetensors_file(
        {f"a\t{number:05}." + "b.1.c." * 12: EMPTY for number in range(65_000)}
    ),
    "safetensors with names of their own": lambda: safetensors_file(
        {f"x{number}_lora_down.weight": EMPTY for number in range(65_000)}
    ),
}
