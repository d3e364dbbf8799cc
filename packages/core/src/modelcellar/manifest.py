"""The manifest: the durable truth about one model, as a value and as JSON.

Layout and meaning of every field: ``docs/on-disk-format.md``. Keys that this version does not know
are kept when a manifest is written again, so an older program never loses what a newer one wrote.
"""

import codecs
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelcellar import naming
from modelcellar.errors import LibraryFormatError
from modelcellar.manifest_files import file_document, path_keys, to_files
from modelcellar.manifest_values import read_digest, read_member, read_optional, read_text
from modelcellar.records import (
    Confidence,
    FileFormat,
    FileRecord,
    Finding,
    Identity,
    JsonValue,
    ModelRecord,
    ModelType,
    Security,
)

_SHOWN_APART = frozenset({"name", "format", "summary", "tags", "note"})

__all__ = [
    "FORMAT",
    "Fact",
    "Manifest",
    "decode",
    "encode",
    "fact_document",
    "identity_document",
    "is_writable",
    "to_facts",
    "to_identity",
    "to_record",
]

FORMAT = 1
"""Format number written into every manifest. A higher number is never rewritten by this version."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One value, who said so (``file name``, ``file content``, ``user``) and when.

    What a file's content tells also has its ``evidence`` in words and how ``sure`` it is.
    """

    value: JsonValue
    source: str
    at: str
    evidence: str | None = None
    sure: Confidence | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known about one model. ``facts`` are guesses, ``edits`` are the user's and win.

    ``content_digest`` is ``None`` until every file was read whole: an adopted model has none yet,
    so it equals no other.
    """

    id: str
    content_digest: str | None
    added_at: str
    files: tuple[FileRecord, ...]
    facts: Mapping[str, Fact] = field(default_factory=dict)
    edits: Mapping[str, Fact] = field(default_factory=dict)
    identity: Identity = Identity()
    security: Security = Security("not_checked")
    verified_at: str | None = None
    damaged_at: str | None = None
    """When a verification last found files missing or changed; ``None`` when they are well."""
    looked_up_at: str | None = None
    """When everybody who may know had last been asked where it is from; ``None``: not yet."""
    raw: Mapping[str, JsonValue] = field(default_factory=dict, compare=False, repr=False)
    """The document this was read from, so that unknown keys survive."""

    @property
    def is_read(self) -> bool:
        """Whether every file was read whole, so that digests of all are known."""
        return self.content_digest is not None


def encode(manifest: Manifest) -> bytes:
    """The manifest as UTF-8 JSON, a line for each file and fact.

    Raises:
        LibraryFormatError: it was read from a document of a newer format, or is nested too deeply.
    """
    if not is_writable(manifest):
        raise LibraryFormatError(
            f"the manifest of {manifest.id} has format {manifest.raw['format']}, "
            f"this version writes {FORMAT}",
            "Use a newer modelcellar to change this model.",
        )
    raw_files = {json.dumps(path_keys(f)): f for f in _dicts(manifest.raw.get("files"))}
    document = {
        **manifest.raw,
        "format": FORMAT,
        "id": manifest.id,
        "content_digest": manifest.content_digest,
        "added_at": manifest.added_at,
        "verified_at": manifest.verified_at,
        "damaged_at": manifest.damaged_at,
        "looked_up_at": manifest.looked_up_at,
        "files": [file_document(f, raw_files) for f in manifest.files],
        "facts": _facts_document(manifest.facts, _dict(manifest.raw.get("facts"))),
        "edits": _facts_document(manifest.edits, _dict(manifest.raw.get("edits"))),
        "identity": {
            **_dict(manifest.raw.get("identity")),
            **identity_document(manifest.identity),
        },
        "security": {
            **_dict(manifest.raw.get("security")),
            "verdict": manifest.security.verdict,
            "details": list(manifest.security.details),
        },
    }
    try:
        return (_lines(document) + "\n").encode()
    except RecursionError:
        raise LibraryFormatError(
            f"the manifest of {manifest.id} holds lists in lists too deep to be written",
            "Take them out of the file, or restore it from a backup.",
        ) from None


def _lines(document: Mapping[str, JsonValue]) -> str:
    """JSON that people can read; ``indent`` of :mod:`json` takes ten times as long."""
    lines = [f" {_json(key)}: {_block(value)}" for key, value in document.items()]
    return "{\n" + ",\n".join(lines) + "\n}"


def _block(value: JsonValue) -> str:
    if isinstance(value, dict) and any(isinstance(item, dict) for item in value.values()):
        items = [f"{_json(key)}: {_json(item)}" for key, item in value.items()]
        return "{\n  " + ",\n  ".join(items) + "\n }"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "[\n  " + ",\n  ".join(map(_json, value)) + "\n ]"
    return _json(value)


_json = json.JSONEncoder(ensure_ascii=False).encode


def is_writable(manifest: Manifest) -> bool:
    """Whether this version knows the format of the document that the manifest was read from."""
    number = manifest.raw.get("format", FORMAT)
    return type(number) is int and 1 <= number <= FORMAT


def decode(data: bytes, origin: str) -> Manifest:
    """Read a manifest; ``origin`` names the file in errors.

    Raises:
        LibraryFormatError: not a manifest, or one that a library would not write.
    """
    try:
        document = json.loads(data.removeprefix(codecs.BOM_UTF8).decode())
        if b"\\u" in data:
            # An escape can spell half a character, which no file and no catalog can hold.
            json.dumps(document, ensure_ascii=False).encode()
        manifest = Manifest(
            id=read_text(document["id"]),
            content_digest=read_optional(read_digest, document["content_digest"]),
            added_at=read_text(document["added_at"]),
            files=to_files(document["files"]),
            facts=to_facts(document.get("facts")),
            edits=to_facts(document.get("edits")),
            identity=to_identity(_dict(document.get("identity"))),
            security=_security(_dict(document.get("security"))),
            verified_at=read_optional(read_text, document.get("verified_at")),
            damaged_at=read_optional(read_text, document.get("damaged_at")),
            looked_up_at=read_optional(read_text, document.get("looked_up_at")),
            raw=document,
        )
        if manifest.is_read != all(file.digests is not None for file in manifest.files):
            raise ValueError("digests of some files only")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LibraryFormatError(
            f"{origin} is not a readable manifest: {error!r}",
            "Restore the file from a backup, or move it away and import the model again.",
        ) from error
    if not naming.is_model_id(manifest.id) or not manifest.files:
        raise LibraryFormatError(f"{origin} names no valid model", "Move the file away.")
    return manifest


def to_record(manifest: Manifest) -> ModelRecord:
    """The model as users see it: the user's edits laid over the guesses."""
    known = {**manifest.facts, **manifest.edits}

    def text(name: str) -> str | None:
        fact = known.get(name)
        return fact.value if fact is not None and isinstance(fact.value, str) else None

    tags = known.get("tags")
    return ModelRecord(
        id=manifest.id,
        name=text("name") or manifest.id,
        files=manifest.files,
        added_at=manifest.added_at,
        type=read_member(ModelType, text("type"), ModelType.UNKNOWN),
        format=read_member(FileFormat, text("format"), FileFormat.UNKNOWN),
        base_model=text("base_model"),
        family=text("family"),
        summary=text("summary") or "",
        identity=manifest.identity,
        security=manifest.security,
        tags=_tags(tags.value) if tags is not None else (),
        note=text("note") or "",
        verified_at=manifest.verified_at,
        damaged_at=manifest.damaged_at,
        findings={
            name: Finding(fact.value, fact.evidence or fact.source, fact.sure or Confidence.CERTAIN)
            for name, fact in known.items()
            if name not in _SHOWN_APART
        },
    )


def identity_document(identity: Identity) -> dict[str, JsonValue]:
    """An identity as JSON; :func:`to_identity` reads it."""
    return {
        "status": identity.status,
        "provider": identity.provider,
        "repo_id": identity.repo_id,
        "revision": identity.revision,
        "path": identity.path,
        "evidence": identity.evidence,
    }


def to_identity(document: Mapping[str, JsonValue]) -> Identity:
    """Read an identity; ``TypeError`` where a value is no text."""
    return Identity(
        status=read_text(document.get("status", "unknown")),
        provider=read_optional(read_text, document.get("provider")),
        repo_id=read_optional(read_text, document.get("repo_id")),
        revision=read_optional(read_text, document.get("revision")),
        path=read_optional(read_text, document.get("path")),
        evidence=read_optional(read_text, document.get("evidence")),
    )


def _security(document: Mapping[str, JsonValue]) -> Security:
    details = tuple(str(line) for line in document.get("details", ()))
    return Security(read_text(document.get("verdict", "not_checked")), details)


def _facts_document(
    facts: Mapping[str, Fact], raw: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    document = {}
    for name, fact in facts.items():
        keys = fact_document(fact)
        known = _dict(raw.get(name))
        # What else was said of a value is not true of the one that took its place.
        unchanged = all(known.get(key) == value for key, value in keys.items())
        document[name] = {**known, **keys} if unchanged else keys
    return document


def fact_document(fact: Fact) -> dict[str, JsonValue]:
    """A fact as JSON; :func:`to_facts` reads it."""
    document = {"value": fact.value, "source": fact.source, "at": fact.at}
    if fact.evidence is not None:
        document |= {"evidence": fact.evidence, "sure": fact.sure}
    return document


def to_facts(document: JsonValue) -> dict[str, Fact]:
    """Read facts by field; ``KeyError`` or ``TypeError`` where one is none."""
    return {
        name: Fact(
            entry["value"],
            read_text(entry["source"]),
            read_text(entry["at"]),
            read_optional(read_text, entry.get("evidence")),
            _confidence(entry.get("sure")),
        )
        for name, entry in _dict(document).items()
    }


def _confidence(text: JsonValue) -> Confidence | None:
    return Confidence(text) if text in Confidence.__members__.values() else None


def _tags(value: JsonValue) -> tuple[str, ...]:
    return tuple(tag for tag in value if isinstance(tag, str)) if isinstance(value, list) else ()


def _dict(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _dicts(value: JsonValue) -> list[Mapping[str, JsonValue]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
