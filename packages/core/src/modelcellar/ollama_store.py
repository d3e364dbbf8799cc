"""A store of Ollama on disk: what models are called there, and which blobs they are made of.

Layout and rules: github.com/ollama/ollama, ``manifest/`` and ``types/model/name.go`` (August 2026).
A blob is called after its SHA-256, and a manifest lies in
``manifests/<host>/<namespace>/<model>/<tag>``. What is read may be anything: it is bounded, and
what does not fit is passed over.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from modelcellar.formats import parse_json
from modelcellar.io.bounded import entries, is_folder, read_bytes
from modelcellar.records import JsonValue

__all__ = ["HOST", "NAMESPACE", "TAG", "Layer", "OllamaName", "StoredModel", "stored_models"]

HOST = "registry.ollama.ai"
NAMESPACE = "library"
TAG = "latest"
LAYER_TYPE = "application/vnd.ollama.image."
MAX_PART_CHARACTERS = 80
MAX_HOST_CHARACTERS = 350
MAX_MANIFESTS = 4096
MAX_MANIFEST_BYTES = 256 << 10
MAX_TOTAL_BYTES = 64 << 20
"""Of all manifests together; a real one has about a thousand."""
_LEVELS = 4
"""Folders from ``manifests`` down to a file: host, namespace, model, tag."""
_READ = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_DIGEST = re.compile("sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class OllamaName:
    """A full name. ``str`` is the shortest text that ``ollama run`` takes for it."""

    model: str
    tag: str = TAG
    namespace: str = NAMESPACE
    host: str = HOST

    def __str__(self) -> str:
        prefix = "" if self.namespace == NAMESPACE else f"{self.namespace}/"
        if self.host != HOST:
            prefix = f"{self.host}/{self.namespace}/"
        return f"{prefix}{self.model}:{self.tag}"

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """The folders of its manifest, and the manifest's file name."""
        return self.host, self.namespace, self.model, self.tag

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for names that Ollama takes for one (``Name.EqualFold``)."""
        return tuple(part.casefold() for part in self.parts)

    @property
    def is_valid(self) -> bool:
        """Whether Ollama takes it."""
        host_fits = len(self.host) <= MAX_HOST_CHARACTERS and _HOST.fullmatch(self.host)
        others = (self.namespace, self.model, self.tag)
        return bool(
            host_fits
            and _NAMESPACE.fullmatch(self.namespace)
            and all(map(_PART.fullmatch, others))
            and all(len(part) <= MAX_PART_CHARACTERS for part in others)
        )

    def apart(self, sha256: str) -> "OllamaName":
        """The same with eight digits of a digest, for the second model of this name."""
        end = f"-{sha256[:8]}"
        return replace(self, tag=self.tag[: MAX_PART_CHARACTERS - len(end)] + end)


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob of a model, and what for: ``model``, ``projector``, ``template``, ``license``, ..."""

    kind: str
    sha256: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class StoredModel:
    """What one manifest says; ``path`` is its own, ``config`` the SHA-256 of its configuration."""

    name: OllamaName
    path: Path
    layers: tuple[Layer, ...]
    config: str | None = None


def stored_models(root: Path, *, containing: str = "") -> Iterator[StoredModel]:
    """The models of the store at ``root``, in a stable order.

    Args:
        root: the folder with ``blobs`` and ``manifests`` in it.
        containing: only those whose manifests have this text in them.
    """
    left_bytes = MAX_TOTAL_BYTES
    for count, (path, parts) in enumerate(_files(root / "manifests")):
        if count == MAX_MANIFESTS or left_bytes <= 0:
            return
        data = read_bytes(path, limit_bytes=MAX_MANIFEST_BYTES) or b""
        left_bytes -= len(data)
        if containing.encode() not in data:
            continue
        manifest = _object(data)
        listed = manifest.get("layers")
        found = map(_layer, listed if isinstance(listed, list) else ())
        layers = tuple(layer for layer in found if layer is not None)
        if layers:
            host, namespace, model, tag = parts
            config = _digest_in(manifest.get("config"))
            yield StoredModel(OllamaName(model, tag, namespace, host), path, layers, config)


def _files(root: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Files exactly as deep as manifests are; links to folders are not followed."""
    waiting: list[tuple[Path, tuple[str, ...]]] = [(root, ())]
    while waiting:
        folder, parts = waiting.pop()
        for entry in entries(folder):
            if not _READ.fullmatch(entry.name):
                continue
            inside = (*parts, entry.name)
            if len(inside) == _LEVELS:
                yield Path(entry.path), inside
            elif is_folder(entry):
                waiting.append((Path(entry.path), inside))


def _object(data: bytes) -> dict[str, JsonValue]:
    try:
        document = parse_json(data)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _digest_in(layer: JsonValue) -> str | None:
    digest = layer.get("digest") if isinstance(layer, dict) else None
    match = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    return match[1] if match is not None else None


def _layer(layer: JsonValue) -> Layer | None:
    sha256 = _digest_in(layer)
    if sha256 is None:
        return None
    media_type, size_bytes = layer.get("mediaType"), layer.get("size")
    if not isinstance(media_type, str) or not media_type.startswith(LAYER_TYPE):
        return None
    is_size = type(size_bytes) is int and 0 < size_bytes < 2**53
    return Layer(media_type.removeprefix(LAYER_TYPE), sha256, size_bytes if is_size else None)
