"""Ollama's rules about its store, written again from its source, to hold what is made against them.

From github.com/ollama/ollama at fb307609 (August 2026): ``types/model/name.go``,
``manifest/manifest.go``, ``manifest/paths.go``, and ``GetModel`` and ``PruneLayers`` of
``server/images.go``. What the server only warns of is an error here.
"""

import hashlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["OllamaStore", "StoredModel", "write_ollama_store"]

LAYER = "application/vnd.ollama.image."
CONFIG = "application/vnd.docker.container.image.v1+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
GRACE_S = 3600.0
_DIGEST = re.compile("sha256[:-][0-9a-fA-F]{64}")
_LENGTHS = (350, 80, 80, 80)
_PARTS = (
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*"),
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*"),
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*"),
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*"),
)


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model as ``GetModel`` puts it together. ``layers`` are the blobs by their kind."""

    config: dict[str, Any]
    layers: dict[str, Path]

    def text(self, kind: str) -> str:
        """What a layer of text says."""
        return self.layers[kind].read_text()


class OllamaStore:
    """A store below ``root``, read by the server's rules."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs"
        self.manifests = root / "manifests"

    def models(self) -> dict[str, StoredModel]:
        """Every model by its short name; fails where the server would not take one."""
        return {_short(path.relative_to(self.manifests)): self._model(path) for path in self._all()}

    def remove(self, name: str) -> None:
        """``ollama rm``: the manifest, and each blob that no other manifest names."""
        (path,) = (one for one in self._all() if _short(one.relative_to(self.manifests)) == name)
        digests = _digests(json.loads(path.read_bytes()))
        path.unlink()
        for digest in digests - self._in_use():
            self._blob(digest).unlink()

    def prune(self, *, now: float | None = None) -> list[str]:
        """What a server does when it starts; returns the names of the blobs that it deleted."""
        self.models()  # with a manifest that it cannot read it would delete nothing
        now = time.time() if now is None else now
        gone = []
        for path in self.blobs.iterdir():
            if now - path.lstat().st_mtime < GRACE_S:
                continue
            name = path.name.replace("-", ":")
            if _DIGEST.fullmatch(name) is None or name not in self._in_use():
                path.unlink()
                gone.append(path.name)
        return gone

    def _all(self) -> list[Path]:
        return sorted(path for path in self.manifests.glob("*/*/*/*") if not path.is_dir())

    def _in_use(self) -> set[str]:
        return set().union(*(_digests(json.loads(path.read_bytes())) for path in self._all()))

    def _blob(self, digest: str) -> Path:
        assert _DIGEST.fullmatch(digest), digest
        return self.blobs / digest.replace(":", "-")

    def _checked_blob(self, layer: dict[str, Any]) -> Path:
        path = self._blob(layer["digest"])
        data = path.read_bytes()
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == layer["digest"]
        assert len(data) == layer["size"]
        return path

    def _model(self, path: Path) -> StoredModel:
        parts = path.relative_to(self.manifests).parts
        for part, pattern, length in zip(parts, _PARTS, _LENGTHS, strict=True):
            assert pattern.fullmatch(part), part
            assert len(part) <= length, part
        document = json.loads(path.read_bytes())
        assert document["schemaVersion"] == 2
        assert document["mediaType"] == MANIFEST
        assert document["config"]["mediaType"] == CONFIG
        config = json.loads(self._checked_blob(document["config"]).read_bytes())
        _check_config(config)
        layers = {}
        for layer in document["layers"]:
            kind = layer["mediaType"].removeprefix(LAYER)
            assert kind not in layers, kind
            layers[kind] = self._checked_blob(layer)
        assert layers["model"].read_bytes().startswith(b"GGUF")
        if "params" in layers:
            assert isinstance(json.loads(layers["params"].read_bytes()), dict)
        return StoredModel(config, layers)


def _check_config(config: dict[str, Any]) -> None:
    """The types of ``ConfigV2``: Go's decoder refuses others."""
    texts = ("model_format", "model_family", "model_type", "file_type", "architecture", "os")
    assert all(isinstance(config[key], str) for key in texts)
    assert config["model_format"] == "gguf"
    assert all(isinstance(one, str) for one in config["model_families"])


def _digests(document: dict[str, Any]) -> set[str]:
    return {layer["digest"] for layer in (*document["layers"], document["config"])}


def _short(path: Path) -> str:
    """``Name.DisplayShortest``."""
    host, namespace, model, tag = path.parts
    if host.lower() != "registry.ollama.ai":
        return f"{host}/{namespace}/{model}:{tag}"
    prefix = "" if namespace.lower() == "library" else f"{namespace}/"
    return f"{prefix}{model}:{tag}"


def write_ollama_store(root: Path, name: str, layers: dict[str, bytes]) -> dict[str, Path]:
    """A model as ``ollama pull`` leaves it, under ``host/namespace/model/tag``; its blobs."""
    found: dict[str, Path] = {}
    entries = []
    config = {"model_format": "gguf", "model_family": "llama", "model_families": ["llama"]}
    config |= {"model_type": "7B", "file_type": "F32", "architecture": "amd64", "os": "linux"}
    for kind, data in {"config": json.dumps(config).encode(), **layers}.items():
        digest = hashlib.sha256(data).hexdigest()
        found[kind] = root / "blobs" / f"sha256-{digest}"
        found[kind].parent.mkdir(parents=True, exist_ok=True)
        found[kind].write_bytes(data)
        media_type = CONFIG if kind == "config" else LAYER + kind
        entries.append({"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)})
    manifest = root / "manifests" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    document = {"schemaVersion": 2, "mediaType": MANIFEST}
    document |= {"config": entries[0], "layers": entries[1:]}
    manifest.write_text(json.dumps(document))
    return found
