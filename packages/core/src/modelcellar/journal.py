"""Journal entries: what each changing command did, so that it can be taken back."""

import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

from modelcellar.errors import LibraryFormatError
from modelcellar.records import JournalEntry, JsonValue

__all__ = ["decode", "encode", "instant_of", "new_entry", "timestamp"]

FORMAT = 1
_STAMP = "%Y%m%dT%H%M%S.%fZ"


def timestamp(now: datetime) -> str:
    """An instant as ISO 8601 in UTC with microseconds and a ``Z``."""
    return now.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def instant_of(entry_id: str) -> datetime | None:
    """When the entry with this id began; ``None`` when it is no entry's id."""
    try:
        return datetime.strptime(entry_id.partition("-")[0], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def new_entry(
    command: str, now: datetime, *, details: Mapping[str, JsonValue] | None = None
) -> JournalEntry:
    """An entry whose id sorts by time; the random tail keeps two processes apart."""
    stamp = now.astimezone(UTC).strftime(_STAMP)
    entry_id = f"{stamp}-{secrets.token_hex(4)}"
    return JournalEntry(entry_id, timestamp(now), command, (), details or {})


def encode(entry: JournalEntry) -> bytes:
    """The entry as UTF-8 JSON."""
    document = {
        "format": FORMAT,
        "id": entry.id,
        "at": entry.at,
        "command": entry.command,
        "model_ids": list(entry.model_ids),
        "details": dict(entry.details),
        "undone_at": entry.undone_at,
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def decode(data: bytes, origin: str) -> JournalEntry:
    """Read an entry; ``origin`` names the file in errors.

    Raises:
        LibraryFormatError: not a journal entry, or one of a newer format.
    """
    try:
        document = json.loads(data)
        if document["format"] > FORMAT:
            raise ValueError(f"format {document['format']} is newer than {FORMAT}")
        return JournalEntry(
            id=_text(document["id"]),
            at=_text(document["at"]),
            command=_text(document["command"]),
            model_ids=tuple(_text(model_id) for model_id in document["model_ids"]),
            details=dict(document["details"]),
            undone_at=None if document["undone_at"] is None else _text(document["undone_at"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LibraryFormatError(
            f"{origin} is not a readable journal entry: {error!r}", "Move the file away."
        ) from error


def _text(value: JsonValue) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value
