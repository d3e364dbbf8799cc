"""What Ollama keeps about its blobs: manifests that name them.

Layout: github.com/ollama/ollama, ``manifest/`` and ``types/model/name.go``: a blob is called after
its SHA-256, a manifest lies in ``manifests/<host>/<namespace>/<model>/<tag>``.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelcellar.formats import parse_json
from modelcellar.naming import is_repo_id
from modelcellar.origins import Claim
from modelcellar.providers.records.reading import (
    entries,
    is_folder,
    read_bytes,
    sha256_in,
    text_in,
    whole_in,
)
from modelcellar.records import JsonValue

__all__ = ["ollama_claims"]

TOOL = "ollama"
MAX_MANIFESTS = 4096
MAX_MANIFEST_BYTES = 256 << 10
MAX_TOTAL_BYTES = 64 << 20
"""Of all manifests together; a real one has about a thousand."""
MAX_CLAIMS = 4
MAX_LICENSE_BYTES = 64 << 10
_LAYERS = 4
"""Folders from ``manifests`` down to a file: host, namespace, model, tag."""
_BLOB = re.compile("sha256[-:]([0-9a-f]{64})")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,79}")
_TYPE = "application/vnd.ollama.image."
_WEIGHTS = tuple(_TYPE + kind for kind in ("model", "projector", "adapter", "draft"))
_LIBRARY = "registry.ollama.ai"
_HUB = ("hf.co", "huggingface.co")


@dataclass(frozen=True, slots=True)
class _Name:
    """What a manifest's place calls a model."""

    host: str
    namespace: str
    model: str
    tag: str

    def __str__(self) -> str:
        model = self.model if self.namespace == "library" else f"{self.namespace}/{self.model}"
        host = "" if self.host == _LIBRARY else f"{self.host}/"
        return f"{host}{model}:{self.tag}"


def ollama_claims(place: Path) -> tuple[Claim, ...]:
    """What Ollama calls the blob at ``place``; without a manifest only its SHA-256 is known."""
    match = _BLOB.fullmatch(place.name)
    if match is None or place.parent.name != "blobs":
        return ()
    sha256 = match[1]
    found: list[Claim] = []
    for name, layers in _manifests(place.parent.parent / "manifests", sha256):
        for layer in layers:
            if layer.get("digest") == f"sha256:{sha256}" and layer.get("mediaType") in _WEIGHTS:
                facts = _facts(place.parent, layers)
                found.append(_claim(name, sha256, whole_in(layer.get("size")), facts))
                break
        if len(found) == MAX_CLAIMS:
            break
    return tuple(found) or (Claim("ollama", TOOL, "its name in Ollama's store", sha256=sha256),)


def _claim(
    name: _Name, sha256: str, size_bytes: int | None, facts: Mapping[str, JsonValue]
) -> Claim:
    repo_id, is_hub = f"{name.namespace}/{name.model}", name.host in _HUB
    if is_hub and not is_repo_id(repo_id):
        is_hub = False
    return Claim(
        "huggingface" if is_hub else "ollama",
        TOOL,
        f"Ollama calls it {name}",
        repo_id=repo_id if is_hub or name.host == _LIBRARY else f"{name.host}/{repo_id}",
        # A tag of Ollama is not a revision of the Hub.
        revision=None if is_hub else name.tag,
        sha256=sha256,
        size_bytes=size_bytes,
        facts=facts,
    )


def _manifests(root: Path, sha256: str) -> Iterator[tuple[_Name, list[dict[str, JsonValue]]]]:
    """The layers of each manifest that names the blob."""
    left_bytes = MAX_TOTAL_BYTES
    for count, (path, parts) in enumerate(_files(root)):
        if count == MAX_MANIFESTS or left_bytes <= 0:
            return
        data = read_bytes(path, limit_bytes=MAX_MANIFEST_BYTES) or b""
        left_bytes -= len(data)
        if sha256.encode() not in data:
            continue
        try:
            manifest = parse_json(data)
        except ValueError:
            continue
        layers = manifest.get("layers") if isinstance(manifest, dict) else None
        if isinstance(layers, list):
            yield _Name(*parts), [layer for layer in layers if isinstance(layer, dict)]


def _files(root: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Files exactly as deep as manifests are; links to folders are not followed."""
    waiting: list[tuple[Path, tuple[str, ...]]] = [(root, ())]
    while waiting:
        folder, parts = waiting.pop()
        for entry in entries(folder):
            if not _PART.fullmatch(entry.name):
                continue
            inside = (*parts, entry.name)
            if len(inside) == _LAYERS:
                yield Path(entry.path), inside
            elif is_folder(entry):
                waiting.append((Path(entry.path), inside))


def _facts(blobs: Path, layers: list[dict[str, JsonValue]]) -> dict[str, JsonValue]:
    """The title of the license, which is a blob of its own."""
    for layer in layers:
        digest = layer.get("digest")
        sha256 = sha256_in(digest.removeprefix("sha256:")) if isinstance(digest, str) else None
        if layer.get("mediaType") == _TYPE + "license" and sha256 is not None:
            data = read_bytes(blobs / f"sha256-{sha256}", limit_bytes=MAX_LICENSE_BYTES) or b""
            lines = data.decode(errors="replace").splitlines()
            title = next((line for line in map(text_in, lines) if line is not None), None)
            return {} if title is None else {"license": title}
    return {}
