"""Small model files that are real: every reader of their format takes them."""

import hashlib
import json
import random
import struct
from collections.abc import Mapping
from pathlib import Path

GGUF_ALIGNMENT_BYTES = 32
GGUF_STRING = 8
GGUF_UINT32 = 4


def write_safetensors(
    path: Path, *, seed: int, size_bytes: int = 4096, metadata: Mapping[str, str] | None = None
) -> Path:
    """One F32 tensor of ``size_bytes`` (a multiple of 4), different for every seed."""
    return _write(path, safetensors_bytes(seed=seed, size_bytes=size_bytes, metadata=metadata))


def safetensors_bytes(
    *, seed: int, size_bytes: int = 4096, metadata: Mapping[str, str] | None = None
) -> bytes:
    """The content of :func:`write_safetensors`."""
    header: dict[str, object] = {
        "weight": {"dtype": "F32", "shape": [size_bytes // 4], "data_offsets": [0, size_bytes]}
    }
    if metadata is not None:
        header["__metadata__"] = dict(metadata)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + random.Random(seed).randbytes(size_bytes)


def sha256(data: bytes) -> str:
    """The SHA-256 of some bytes, lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def write_gguf(
    path: Path,
    *,
    seed: int,
    size_bytes: int = 4096,
    name: str = "small",
    metadata: Mapping[str, str | int] | None = None,
) -> Path:
    """One F32 tensor of ``size_bytes`` (a multiple of 32) with an architecture and a name.

    ``metadata`` lays texts and numbers over those two.
    """
    data = gguf_bytes(seed=seed, size_bytes=size_bytes, name=name, metadata=metadata)
    return _write(path, data)


def gguf_bytes(
    *,
    seed: int,
    size_bytes: int = 4096,
    name: str = "small",
    metadata: Mapping[str, str | int] | None = None,
) -> bytes:
    """The content of :func:`write_gguf`."""
    values = {"general.architecture": "llama", "general.name": name, **(metadata or {})}
    parts = [b"GGUF", struct.pack("<IQQ", 3, 1, len(values))]
    for key, value in values.items():
        parts += [_gguf_text(key), *_gguf_value(value)]
    parts += [_gguf_text("token_embd.weight"), struct.pack("<IQIQ", 1, size_bytes // 4, 0, 0)]
    head = b"".join(parts)
    head += b"\0" * (-len(head) % GGUF_ALIGNMENT_BYTES)
    return head + random.Random(seed).randbytes(size_bytes)


def write_lfs_pointer(path: Path) -> Path:
    """What a clone without git-LFS leaves in the place of a model."""
    oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393"
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 12345678\n"
    return _write(path, text.encode())


def write_html_page(path: Path) -> Path:
    """What a site that wants a sign-in sends instead of a model."""
    return _write(path, b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n")


def write_picture(path: Path) -> Path:
    """A preview beside a model: the smallest PNG, one pixel."""
    data = (
        "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
        "1f15c4890000000d4944415478da63fccfc0500f0004850180"
        "84a98c210000000049454e44ae426082"
    )
    return _write(path, bytes.fromhex(data))


def write_transformers_folder(folder: Path, *, seed: int, shards: int = 2) -> Path:
    """``config.json``, a tokenizer and shards of weights, as in a Hugging Face repository."""
    _write(
        folder / "config.json", b'{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}'
    )
    _write(folder / "tokenizer" / "tokenizer.json", b'{"version": "1.0", "model": {}}')
    _write(folder / "README.md", f"# Model {seed}\n".encode())
    for number in range(1, shards + 1):
        name = f"model-{number:05}-of-{shards:05}.safetensors"
        write_safetensors(folder / name, seed=seed * 1000 + number)
    return folder


def write_diffusers_folder(folder: Path, *, seed: int) -> Path:
    """``model_index.json`` with the weights in the folders that it names."""
    index = {"_class_name": "StableDiffusionPipeline", "safety_checker": [None, None]}
    index |= {part: ["diffusers", "AnyModel"] for part in ("scheduler", "unet", "vae")}
    _write(folder / "model_index.json", json.dumps(index).encode())
    _write(folder / "scheduler" / "scheduler_config.json", b'{"num_train_timesteps": 1000}')
    for number, part in enumerate(("unet", "vae")):
        _write(folder / part / "config.json", b'{"in_channels": 4}')
        weights = folder / part / "diffusion_pytorch_model.safetensors"
        write_safetensors(weights, seed=seed * 1000 + number)
    return folder


def write_hub_cache(folder: Path, repo_id: str, *, seed: int) -> Path:
    """The cache of the Hub's client: blobs, and a snapshot of relative links to them."""
    repository = folder / ("models--" + repo_id.replace("/", "--"))
    revision = "0123456789abcdef0123456789abcdef01234567"
    snapshot = repository / "snapshots" / revision
    snapshot.mkdir(parents=True)
    _write(repository / "refs" / "main", revision.encode())
    write_safetensors(repository / "blobs" / "aaaa", seed=seed)
    _write(repository / "blobs" / "bbbb", b'{"model_type": "bert"}')
    (snapshot / "model.safetensors").symlink_to("../../blobs/aaaa")
    (snapshot / "config.json").symlink_to("../../blobs/bbbb")
    return snapshot


def write_shared_hub_cache(folder: Path, repo_id: str, name: str, data: bytes) -> Path:
    """The cache since huggingface_hub 1.32: blobs of the repository lead to those of all."""
    repository = folder / ("models--" + repo_id.replace("/", "--"))
    digest, xet_hash = sha256(data), sha256(b"xet" + data)
    _write(folder / "blobs" / ".huggingface-shared-blobs", b"1\n")
    _write(folder / "blobs" / xet_hash[:2] / xet_hash, data)
    _write(folder / "blobs" / xet_hash[:2] / f"{xet_hash}.refs", b"")
    snapshot = repository / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    place = snapshot / name
    for path in (place, repository / "blobs" / digest):
        path.parent.mkdir(parents=True, exist_ok=True)
    (repository / "blobs" / digest).symlink_to(f"../../blobs/{xet_hash[:2]}/{xet_hash}")
    place.symlink_to("../" * (name.count("/") + 2) + f"blobs/{digest}")
    return place


def _gguf_value(value: str | int) -> tuple[bytes, bytes]:
    if isinstance(value, str):
        return struct.pack("<I", GGUF_STRING), _gguf_text(value)
    return struct.pack("<I", GGUF_UINT32), struct.pack("<I", value)


def _gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
