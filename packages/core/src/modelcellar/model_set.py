"""A set of models as a file that other machines can read: which files, from where, and what the
user said of them. It holds no place of this machine, but in ``apps``.

The same set is the same bytes, whenever and wherever it is written.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from modelcellar import naming
from modelcellar.content import content_digest
from modelcellar.errors import LibraryFormatError
from modelcellar.manifest import (
    Fact,
    fact_document,
    identity_document,
    to_facts,
    to_identity,
)
from modelcellar.manifest_files import file_document, to_files
from modelcellar.records import FileRecord, Identity, JsonValue

__all__ = ["FROM_FILES", "ModelSet", "SetModel", "SetSource", "decode_set", "encode_set"]

FORMAT = 1
KIND = "modelcellar set"
FROM_FILES = frozenset({"file content", "file name"})
"""Facts of these sources are read from the files again wherever those are."""
_SOURCE_KEYS = ("provider", "repo_id", "revision", "path", "url")


@dataclass(frozen=True, slots=True)
class SetSource:
    """Where a model can be had. ``url`` is for people."""

    provider: str
    repo_id: str | None = None
    revision: str | None = None
    path: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class SetModel:
    """One model of a set.

    ``name`` is what it was called when it came in; the user's own name for it is in ``edits``, with
    tags and note. ``facts`` are what hosts said of it; what its bytes say is read from them again.
    """

    content_digest: str
    name: str
    type: str
    format: str
    files: tuple[FileRecord, ...]
    identity: Identity = Identity()
    sources: tuple[SetSource, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    edits: Mapping[str, Fact] = field(default_factory=dict)

    @property
    def shown_name(self) -> str:
        """The user's name for it, or the one it came with."""
        edit = self.edits.get("name")
        return edit.value if edit is not None and isinstance(edit.value, str) else self.name

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class ModelSet:
    """Models, and the applications that are given links on the machine where it was written.

    ``apps`` and ``links`` are data, for people and for ``cellar app add`` on another machine.
    """

    models: tuple[SetModel, ...]
    apps: tuple[Mapping[str, JsonValue], ...] = ()
    links: tuple[Mapping[str, JsonValue], ...] = ()


def encode_set(found: ModelSet) -> bytes:
    """The set as UTF-8 JSON, models in order of their digests."""
    models = sorted(found.models, key=lambda model: model.content_digest)
    document = {"format": FORMAT, "kind": KIND, "models": [_model_document(one) for one in models]}
    if found.apps:
        document["apps"] = {"installed": list(found.apps), "links": list(found.links)}
    return (json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def decode_set(data: bytes, origin: str) -> ModelSet:
    """Read a set; ``origin`` names the file in errors.

    Raises:
        LibraryFormatError: it is none, one of a newer format, or one that nobody should follow.
    """
    try:
        document = json.loads(data.decode("utf-8-sig"))
        if document["kind"] != KIND:
            raise ValueError(f"kind {document['kind']!r}")
        if type(document["format"]) is not int or not 1 <= document["format"] <= FORMAT:
            raise ValueError(f"format {document['format']!r}; this version reads {FORMAT}")
        # An escape can spell half a character, which no manifest can hold.
        json.dumps(document, ensure_ascii=False).encode()
        models = tuple(map(_model, document["models"]))
        apps = document.get("apps") or {}
        found = ModelSet(models, _dicts(apps.get("installed")), _dicts(apps.get("links")))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise LibraryFormatError(
            f"{origin} is no set of models that can be read: {naming.display(str(error))}",
            "Write one with: cellar export FILE",
        ) from error
    if len({model.content_digest for model in models}) != len(models):
        raise LibraryFormatError(f"{origin} holds a model twice", "Write it anew: cellar export")
    return found


def _model_document(model: SetModel) -> dict[str, JsonValue]:
    return {
        "content_digest": model.content_digest,
        "name": model.name,
        "type": model.type,
        "format": model.format,
        "files": [file_document(file, {}) for file in model.files],
        "identity": identity_document(model.identity),
        "sources": [{key: getattr(one, key) for key in _SOURCE_KEYS} for one in model.sources],
        "facts": {name: fact_document(fact) for name, fact in model.facts.items()},
        "edits": {name: fact_document(fact) for name, fact in model.edits.items()},
    }


def _model(document: Mapping[str, JsonValue]) -> SetModel:
    files = to_files(document["files"])
    if not files or any(file.digests is None for file in files):
        raise ValueError("no files, or one without digests")
    if content_digest(files) != document["content_digest"]:
        raise ValueError("a content digest that is not that of the files")
    edits = to_facts(document["edits"])
    for fact in edits.values():
        if fact.source != "user" or datetime.fromisoformat(fact.at).tzinfo is None:
            raise ValueError("an edit that is not of a user, or of no moment")
    return SetModel(
        content_digest=document["content_digest"],
        name=_text(document["name"]),
        type=_text(document["type"]),
        format=_text(document["format"]),
        files=files,
        identity=to_identity(document["identity"]),
        sources=tuple(_source(one) for one in document["sources"]),
        facts=to_facts(document["facts"]),
        edits=edits,
    )


def _source(document: Mapping[str, JsonValue]) -> SetSource:
    others = [document.get(key) for key in _SOURCE_KEYS[1:]]
    return SetSource(
        _text(document["provider"]), *(None if one is None else _text(one) for one in others)
    )


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _dicts(value: JsonValue) -> tuple[Mapping[str, JsonValue], ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise TypeError("applications that are none")
    return tuple(value)
