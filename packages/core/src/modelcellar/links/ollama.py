"""The layout ``ollama``: a blob for each file, and a manifest that gives them a name.

Ollama's store (github.com/ollama/ollama, ``manifest/`` and ``server/images.go``, August 2026)
calls files after their SHA-256, which the library knows, so the weights are links. What is small
is written: the configuration, and the manifest, which comes last: a server that starts deletes
blobs that no manifest names once they are an hour old, and a hard link is as old as its file.

The weights are taken as they are. ``ollama create`` would write them once more (ollama#17554).
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelcellar.link_records import App, LinkKind, Unplaced, Wish
from modelcellar.links.gguf_parts import GgufParts, find_gguf
from modelcellar.links.kinds import link_kinds
from modelcellar.links.ollama_names import store_name
from modelcellar.links.ollama_prompts import prompt_format
from modelcellar.links.place import Place
from modelcellar.links.preset_values import Preset
from modelcellar.links.rules import Rules
from modelcellar.links.shapes import shape_of
from modelcellar.ollama_store import LAYER_TYPE, OllamaName
from modelcellar.records import FileRecord, JsonValue, ModelRecord

__all__ = ["LAYER_FILES", "wishes"]

LAYER_FILES = ("template", "system", "params", "license")
"""Companions that become layers, under the names that the Hub has for them (huggingface.co/docs/
hub/ollama), and that models taken from an Ollama store bring along."""
MAX_LAYER_BYTES = 256 << 10
UNKNOWN = "unknown"
MANIFEST_ORDER = 1
ONE_WANTED = "one is wanted: join them with `llama-gguf-split --merge` and import the result"
_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_NEMOTRON = {"renderer": "nemotron-3-nano", "parser": "nemotron-3-nano"}
_RENDERERS: Mapping[str, Mapping[str, str]] = {
    "gemma4": {"renderer": "gemma4", "parser": "gemma4"},
    "laguna": {"renderer": "laguna", "parser": "laguna"},
    "nemotron_h": _NEMOTRON,
    "nemotron_h_moe": _NEMOTRON,
    "nemotron_h_omni": _NEMOTRON,
}
"""Architectures that ``ollama create`` gives a renderer of its own (``server/create.go``)."""
_STOPS: Mapping[str, tuple[str, ...]] = {"gemma4": ("<turn|>",)}
"""What ``ollama create`` has such a model stop at."""


def wishes(
    app: App, preset: Preset, models: Sequence[ModelRecord], place: Place
) -> Iterator[Wish | Unplaced]:
    """What should stand in a store, for all models of an app; a blob that several share once.

    Raises:
        UsageError: the app asks for a link that the preset does not allow.
    """
    store = _Store(app, preset, place)
    # Of two models with one name the older keeps it, so that no new one renames another.
    for model in sorted(models, key=lambda model: (model.added_at, model.id)):
        yield from store.wishes(model)


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer of a manifest: a file of the model, or ``content``."""

    kind: str
    sha256: str
    size_bytes: int
    path: str = ""
    content: bytes | None = None

    @classmethod
    def of_file(cls, kind: str, file: FileRecord) -> "_Layer":
        return cls(kind, file.known_digests.sha256, file.size_bytes, path=file.path)

    @classmethod
    def of_content(cls, kind: str, content: bytes) -> "_Layer":
        return cls(kind, hashlib.sha256(content).hexdigest(), len(content), content=content)

    def entry(self) -> dict[str, JsonValue]:
        """The layer as manifests name it."""
        media_type = _CONFIG_TYPE if self.kind == "config" else LAYER_TYPE + self.kind
        return {
            "mediaType": media_type,
            "digest": f"sha256:{self.sha256}",
            "size": self.size_bytes,
        }


class _Store:
    def __init__(self, app: App, preset: Preset, place: Place) -> None:
        self._blobs_folder: Path = app.root / "blobs"
        self._manifests_folder: Path = app.root / "manifests"
        self._kinds: tuple[LinkKind, ...] = link_kinds(app, preset)
        self._rules = Rules(app, preset, place)
        self._place = place
        self._names: set[tuple[str, ...]] = set()
        self._blobs: set[str] = set()

    def wishes(self, model: ModelRecord) -> Iterator[Wish | Unplaced]:
        spot = self._rules.spot(model, shape_of(model))
        parts = spot if isinstance(spot, str) else find_gguf(model, self._place)
        if not isinstance(parts, str) and parts.count > 1:
            parts = f"it is split into {parts.count} files, {ONE_WANTED}"
        if isinstance(parts, str):
            yield Unplaced(model.id, parts)
            return
        try:
            layers = list(_layers(model, parts, self._place.content_path(model.id)))
        except OSError as error:
            yield Unplaced(model.id, f"a file beside it cannot be read: {error}")
            return
        config = _Layer.of_content("config", _config(model, layers))
        for layer in (*layers, config):
            if layer.sha256 not in self._blobs:
                self._blobs.add(layer.sha256)
                yield self._blob(model, layer)
        yield Wish(
            self._manifests_folder / "/".join(self._name(model, parts).parts),
            model.id,
            content=_manifest(config, layers),
            order=MANIFEST_ORDER,
        )

    def _blob(self, model: ModelRecord, layer: _Layer) -> Wish:
        target = self._blobs_folder / f"sha256-{layer.sha256}"
        if layer.content is not None:
            # Models share licences and templates; a configuration is of its model alone.
            owner = model.id if layer.kind == "config" else ""
            return Wish(target, owner, content=layer.content)
        return Wish(target, model.id, layer.path, self._kinds)

    def _name(self, model: ModelRecord, parts: GgufParts) -> OllamaName:
        name = store_name(model.name, _said(model, "quantization"))
        if name.key in self._names:
            name = name.apart(parts.text.known_digests.sha256)
        self._names.add(name.key)
        return name


def _layers(model: ModelRecord, parts: GgufParts, folder: Path) -> Iterator[_Layer]:
    """What a manifest names beside the configuration, in the order that Ollama has.

    Raises:
        OSError: a companion in ``folder``, where the model's files are, cannot be read.
    """
    yield _Layer.of_file("model", parts.text)
    for projector in parts.projectors:
        yield _Layer.of_file("projector", projector)
    contents = _said_by_architecture(model) | _said_by_name(model)
    for file in model.files:
        if file.path in LAYER_FILES and 0 < file.size_bytes <= MAX_LAYER_BYTES:
            contents[file.path] = (folder / file.path).read_bytes()
    for kind in LAYER_FILES:
        if kind in contents:
            yield _Layer.of_content(kind, contents[kind])


def _said_by_architecture(model: ModelRecord) -> dict[str, bytes]:
    stops = _STOPS.get(_said(model, "architecture") or "")
    return {} if stops is None else {"params": _json({"stop": list(stops)})}


def _said_by_name(model: ModelRecord) -> dict[str, bytes]:
    """How to ask a model that does not say it itself, as all but the oldest do."""
    has_template = _said(model, "chat_template") or any(f.path == "template" for f in model.files)
    known = None if has_template else prompt_format(model.name)
    if known is None:
        return {}
    return {"template": known.template.encode(), "params": _json({"stop": list(known.stop)})}


def _config(model: ModelRecord, layers: Sequence[_Layer]) -> bytes:
    """``ConfigV2`` of ``types/model/config.go``; older servers also want ``rootfs``.

    Since that names the layers, no two models have the same one, and it goes with its model.
    """
    architecture = _said(model, "architecture") or UNKNOWN
    document = {
        "model_format": "gguf",
        "model_family": architecture,
        "model_families": [architecture],
        "model_type": _said(model, "size_label") or _size(model),
        "file_type": _said(model, "quantization") or UNKNOWN,
        **_RENDERERS.get(architecture, {}),
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.sha256}" for layer in layers]},
    }
    return _json(document)


def _manifest(config: _Layer, layers: Sequence[_Layer]) -> bytes:
    return _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "config": config.entry(),
            "layers": [layer.entry() for layer in layers],
        }
    )


def _json(document: JsonValue) -> bytes:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _said(model: ModelRecord, field: str) -> str | None:
    finding = model.findings.get(field)
    return str(finding.value) if finding is not None and finding.value else None


def _size(model: ModelRecord) -> str:
    """``8.0B``: how many parameters, as ``HumanNumber`` of Ollama's ``format/format.go`` has it."""
    finding = model.findings.get("parameter_count")
    count = finding.value if finding is not None else None
    if type(count) is not int or count < 0:
        return UNKNOWN
    for unit, word, digits in ((10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0)):
        if count >= unit:
            digits = 0 if math.fmod(count, unit) == 0 else digits
            return f"{count / unit:.{digits}f}{word}"
    return str(count)
