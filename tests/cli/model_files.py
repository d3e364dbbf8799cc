"""Small real model files, written byte by byte from the formats' own descriptions."""

import json
import struct
from pathlib import Path

LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)


def write_safetensors(path: Path, fill: int = 1, size_bytes: int = 4096) -> Path:
    """A safetensors file of one tensor whose bytes are all ``fill``."""
    tensor = {"dtype": "U8", "shape": [size_bytes], "data_offsets": [0, size_bytes]}
    header = json.dumps({"weight": tensor}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes([fill]) * size_bytes)
    return path


def write_sparse_safetensors(path: Path, size_bytes: int) -> Path:
    """A big safetensors file that takes no room: all of its tensor but the ends is a hole."""
    tensor = {"dtype": "U8", "shape": [size_bytes], "data_offsets": [0, size_bytes]}
    header = json.dumps({"weight": tensor}).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + b"\x01")
        file.seek(8 + len(header) + size_bytes - 1)
        file.write(b"\x01")
    return path


def write_gguf(path: Path, name: str = "small") -> Path:
    """A GGUF file (version 3) with two key-values and no tensors."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    string = 8
    pairs = (("general.architecture", "llama"), ("general.name", name))
    body = b"".join(text(key) + struct.pack("<I", string) + text(value) for key, value in pairs)
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + body)
    return path
