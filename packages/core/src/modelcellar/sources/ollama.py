"""An Ollama store as a source: each name in it is a model, made of the blobs that it names.

The texts beside the weights (template, system, parameters, licences) come along under the names
that the Hub has for them. A store is only ever read: what Ollama names it would miss.
"""

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from modelcellar import naming
from modelcellar.ollama_store import Layer, StoredModel, stored_models
from modelcellar.records import FileFormat
from modelcellar.sources.source import NotTaken, Source, SourceFile, look, refused, skipped

__all__ = ["OLLAMA", "store_of", "store_sources"]

OLLAMA = "Ollama"
BLOBS = "blobs"
WEIGHTS = ("model", "projector", "adapter", "draft")
TEXTS = ("template", "system", "params", "license", "messages")
MAX_TEXT_BYTES = 1 << 20
_LEVELS_OF_MANIFEST = 5


def store_of(path: Path, names: Collection[str] = ()) -> Path | None:
    """The store that a path is the folder of, is the folder of blobs of, or is a file in.

    Args:
        path: what may be it.
        names: of what is in it, where it is a folder.
    """
    candidates = [path.parent] if path.name == BLOBS else []
    if {BLOBS, "manifests"} <= set(names):
        candidates.append(path)
    if not names and path.parent.name == BLOBS:
        candidates.append(path.parent.parent)
    if not names and len(path.parents) > _LEVELS_OF_MANIFEST:
        candidates.append(path.parents[_LEVELS_OF_MANIFEST - 1])
    return next((root for root in candidates if next(stored_models(root), None)), None)


def store_sources(root: Path, *, only: Path | None = None) -> Iterator[Source | NotTaken]:
    """What the models of a store become, in order of their names, and what else is in it.

    Args:
        root: the folder with ``blobs`` and ``manifests`` in it.
        only: one of its files; only models that it is a part of are told of then.

    Raises:
        OSError: it cannot be read.
    """
    named: set[str] = set()
    weights: dict[tuple[str, ...], StoredModel] = {}
    for stored in sorted(stored_models(root), key=lambda one: str(one.name)):
        digests = {layer.sha256 for layer in stored.layers}
        named |= {*digests, stored.config or ""}
        if only is not None and only != stored.path and _digest(only) not in digests:
            continue
        key = tuple(layer.sha256 for layer in stored.layers if layer.kind in WEIGHTS)
        same = weights.setdefault(key, stored)
        if same is stored or not key:
            yield _source(root, stored)
        elif only is None:
            yield skipped(stored.path, "same_files", f"another name of {same.name}")
    if only is None:
        yield from _unnamed(root, named)


def _source(root: Path, stored: StoredModel) -> Source | NotTaken:
    kinds = {layer.kind for layer in stored.layers}
    if "model" not in kinds:
        if "tensor" in kinds:
            reason = f"Ollama keeps {stored.name} tensor by tensor"
            return refused(stored.path, "not_one_file", reason, "Get it from where it is from.")
        return skipped(stored.path, "not_a_model", f"{stored.name} has no weights here")
    files: dict[str, SourceFile] = {}
    for layer in stored.layers:
        blob = root / BLOBS / f"sha256-{layer.sha256}"
        if layer.kind in WEIGHTS:
            found = _weights(blob, stored, layer)
            if isinstance(found, NotTaken):
                return found
            relative = _free(_weights_name(stored, layer, found), files)
            files[relative] = replace(found, relative=relative)
        elif layer.kind in TEXTS and (layer.size_bytes or 0) <= MAX_TEXT_BYTES:
            relative = _free(layer.kind, files)
            with suppress(FileNotFoundError):
                files[relative] = replace(look(blob, relative), is_companion=True)
    lead = next(file for file in files.values() if not file.is_companion)
    return Source(
        stored.path,
        str(stored.name),
        tuple(files.values()),
        lead.inspection.findings,
        kept_by=OLLAMA,
    )


def _weights(blob: Path, stored: StoredModel, layer: Layer) -> SourceFile | NotTaken:
    try:
        file = look(blob, "")
    except FileNotFoundError:
        return _incomplete(stored, f"{blob.name} is not in the store")
    if layer.size_bytes not in (None, file.stamp.size_bytes):
        reason = f"{blob.name} has {file.stamp.size_bytes:,} of {layer.size_bytes:,} bytes"
        return _incomplete(stored, reason)
    if (refusal := file.inspection.refusal) is not None:
        text = f"{stored.name}: {refusal.reason}"
        return refused(blob, refusal.code, text, refusal.remedy)
    return file


def _weights_name(stored: StoredModel, layer: Layer, file: SourceFile) -> str:
    """``llama3-8b.gguf``; blobs have no names that say what is in them."""
    stem = naming.portable_name(f"{stored.name.model}-{stored.name.tag}")
    before = {"model": "", "projector": "mmproj-"}.get(layer.kind, f"{layer.kind}-")
    ending = "gguf" if file.inspection.format is FileFormat.GGUF else "bin"
    return f"{before}{stem}.{ending}"


def _free(name: str, taken: Collection[str]) -> str:
    """``name``, or with a number where there are several, as licences."""
    stem, dot, ending = name.rpartition(".") if "." in name else (name, "", "")
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{stem}-{number}{dot}{ending}"
    return found


def _incomplete(stored: StoredModel, reason: str) -> NotTaken:
    remedy = f"Pull it again: ollama pull {stored.name}"
    return refused(stored.path, "incomplete", f"{stored.name}: {reason}", remedy)


def _unnamed(root: Path, named: Collection[str]) -> Iterator[NotTaken]:
    for blob in sorted((root / BLOBS).iterdir()):
        digest = _digest(blob)
        if digest is None:
            yield skipped(blob, "unfinished", "an unfinished download of Ollama")
        elif digest not in named:
            yield skipped(blob, "unnamed", "no name in Ollama leads to it, which will delete it")


def _digest(path: Path) -> str | None:
    digest = path.name.removeprefix("sha256-")
    return digest if digest != path.name and naming.is_digest(digest) else None
