"""What Ollama keeps about its blobs: manifests that name them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelcellar.io.bounded import read_bytes
from modelcellar.naming import is_repo_id
from modelcellar.ollama_store import HOST, Layer, OllamaName, stored_models
from modelcellar.origins import Claim
from modelcellar.providers.records.reading import text_in
from modelcellar.records import JsonValue

__all__ = ["ollama_claims"]

TOOL = "ollama"
MAX_CLAIMS = 4
MAX_LICENSE_BYTES = 64 << 10
_BLOB = re.compile("sha256[-:]([0-9a-f]{64})")
_WEIGHTS = ("model", "projector", "adapter", "draft")
_HUB = ("hf.co", "huggingface.co")


def ollama_claims(place: Path) -> tuple[Claim, ...]:
    """What Ollama calls the blob at ``place``; without a manifest only its SHA-256 is known."""
    match = _BLOB.fullmatch(place.name)
    if match is None or place.parent.name != "blobs":
        return ()
    sha256 = match[1]
    found: list[Claim] = []
    for stored in stored_models(place.parent.parent, containing=sha256):
        for layer in stored.layers:
            if layer.sha256 == sha256 and layer.kind in _WEIGHTS:
                facts = _facts(place.parent, stored.layers)
                found.append(_claim(stored.name, sha256, layer.size_bytes, facts))
                break
        if len(found) == MAX_CLAIMS:
            break
    return tuple(found) or (Claim("ollama", TOOL, "its name in Ollama's store", sha256=sha256),)


def _claim(
    name: OllamaName, sha256: str, size_bytes: int | None, facts: Mapping[str, JsonValue]
) -> Claim:
    repo_id, is_hub = f"{name.namespace}/{name.model}", name.host in _HUB
    if is_hub and not is_repo_id(repo_id):
        is_hub = False
    return Claim(
        "huggingface" if is_hub else "ollama",
        TOOL,
        f"Ollama calls it {name}",
        repo_id=repo_id if is_hub or name.host == HOST else f"{name.host}/{repo_id}",
        # A tag of Ollama is not a revision of the Hub.
        revision=None if is_hub else name.tag,
        sha256=sha256,
        size_bytes=size_bytes,
        facts=facts,
    )


def _facts(blobs: Path, layers: Sequence[Layer]) -> dict[str, JsonValue]:
    """The title of the license, which is a blob of its own."""
    for layer in layers:
        if layer.kind == "license":
            path = blobs / f"sha256-{layer.sha256}"
            data = read_bytes(path, limit_bytes=MAX_LICENSE_BYTES) or b""
            lines = data.decode(errors="replace").splitlines()
            title = next((line for line in map(text_in, lines) if line is not None), None)
            return {} if title is None else {"license": title}
    return {}
