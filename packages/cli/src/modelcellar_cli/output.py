"""What goes to standard output (data) and standard error (talk), for machines and for people."""

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from modelcellar_cli.options import Options
from modelcellar_cli.tables import Column, render

if TYPE_CHECKING:
    from modelcellar.records import (
        ErrorInfo,
        FileRecord,
        Finding,
        Identity,
        JournalEntry,
        ModelRecord,
    )

__all__ = [
    "counted",
    "emit_json",
    "emit_lines",
    "emit_table",
    "entry_to_json",
    "error_lines",
    "error_to_json",
    "errors_to_json",
    "file_to_json",
    "findings_to_json",
    "human_size",
    "identity_to_json",
    "is_plain_terminal",
    "json_text",
    "local_day",
    "model_to_json",
    "path_fields",
    "short_hashes",
    "show_text",
    "talk",
    "use_colour",
]


def emit_json(document: Mapping[str, Any]) -> None:
    """Write the one JSON document of a command to standard output."""
    sys.stdout.write(json_text(document, indent=2 if sys.stdout.isatty() else None) + "\n")


def json_text(document: Mapping[str, Any], *, indent: int | None = None) -> str:
    """A document as JSON that any consumer can decode: ASCII, no lone surrogates."""
    return json.dumps(_valid(document), indent=indent)


def emit_lines(lines: Iterable[str]) -> None:
    """Write lines of data to standard output."""
    sys.stdout.writelines(f"{line}\n" for line in lines)


def emit_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to standard output, as wide as the terminal, or in full into a pipe."""
    colour = use_colour(sys.stdout)
    emit_lines(render(columns, rows, width=_terminal_width(sys.stdout), colour=colour))


def talk(options: Options, text: str) -> None:
    """Say something to the person at standard error; machines and ``--quiet`` do not hear it."""
    if not (options.json or options.quiet):
        sys.stdout.flush()
        sys.stderr.write(text + "\n")


def is_plain_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal that can redraw a line."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def use_colour(stream: TextIO) -> bool:
    """Whether to colour: NO_COLOR (no-color.org), else FORCE_COLOR, else only on a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_plain_terminal(stream)


def _terminal_width(stream: TextIO) -> int | None:
    if not stream.isatty():
        return None
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    return os.get_terminal_size(stream.fileno()).columns or None


def show_text(text: str) -> str:
    """Text from file names and metadata in a form that is safe on a terminal, on one line."""
    from modelcellar.naming import display

    return display(text)


def human_size(size_bytes: int) -> str:
    """A size for people, decimal as on model sites: ``6.94 GB``."""
    size, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        # 999.5 and up would be shown as 1000 with three digits.
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size_bytes} B" if unit == "B" else f"{size:.3g} {unit}"


def counted(number: int, noun: str) -> str:
    """``1 model``, ``2 models``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def local_day(instant: str) -> str:
    """The day of an ISO 8601 instant in the user's own time zone."""
    return datetime.fromisoformat(instant).astimezone().date().isoformat()


def path_fields(key: str, path: str) -> dict[str, str]:
    """A path as JSON, with ``<key>_hex`` beside it when its bytes are not UTF-8."""
    from modelcellar.naming import to_json_path

    return {name.replace("path", key): value for name, value in to_json_path(path).items()}


def model_to_json(model: "ModelRecord") -> dict[str, Any]:
    """MODEL, as every command writes it."""
    return {
        "id": model.id,
        "name": model.name,
        "type": model.type.value,
        "format": model.format.value,
        "base_model": model.base_model,
        "family": model.family,
        "summary": model.summary,
        "size_bytes": model.size_bytes,
        "files": [file_to_json(file) for file in model.files],
        "identity": identity_to_json(model.identity),
        "tags": list(model.tags),
        "note": model.note,
        "security": {"verdict": model.security.verdict, "details": list(model.security.details)},
        "added_at": model.added_at,
        "is_read": model.is_read,
        "verified_at": model.verified_at,
        "damaged_at": model.damaged_at,
        "findings": findings_to_json(model.findings),
    }


def identity_to_json(identity: "Identity") -> dict[str, Any]:
    """Where a MODEL is from."""
    return {
        "status": identity.status,
        "provider": identity.provider,
        "repo_id": identity.repo_id,
        "revision": identity.revision,
        "path": identity.path,
        "evidence": identity.evidence,
    }


def file_to_json(file: "FileRecord") -> dict[str, Any]:
    """One file of a MODEL."""
    return {
        **path_fields("path", file.path),
        "size_bytes": file.size_bytes,
        "blake3": file.digests.blake3 if file.digests is not None else None,
        "sha256": file.digests.sha256 if file.digests is not None else None,
        "format": file.format.value,
        "is_companion": file.is_companion,
        "tensor_sha256": file.tensor_sha256,
        "short_hashes": short_hashes(file),
        "claimed_sha256": file.claimed_sha256,
        "claimed_by": file.claimed_by,
    }


def short_hashes(file: "FileRecord") -> dict[str, str]:
    """What image tools call a file: AutoV1 and AutoV3 where it has them, AutoV2 once it is read."""
    names = {"AutoV1": file.autov1, "AutoV2": file.digests and file.digests.sha256[:10]}
    names["AutoV3"] = file.tensor_sha256 and file.tensor_sha256[:12]
    return {} if file.is_companion else {name: text for name, text in names.items() if text}


def findings_to_json(findings: "Mapping[str, Finding]") -> dict[str, Any]:
    """Every field with its value, how sure it is, and why."""
    return {
        name: {"value": found.value, "sure": found.sure.value, "evidence": found.evidence}
        for name, found in findings.items()
    }


def error_to_json(error: "ErrorInfo | None") -> dict[str, str] | None:
    """An error as data."""
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "hint": error.hint}


def errors_to_json(failures: Iterable[tuple[str, "ErrorInfo"]]) -> list[dict[str, Any]]:
    """What kept files from being read, each beside its path."""
    return [{**path_fields("path", path), "error": error_to_json(info)} for path, info in failures]


def error_lines(error: "ErrorInfo") -> list[str]:
    """An error for people: what happened and why, then what to do next."""
    head, *more = map(show_text, error.message.splitlines() or [""])
    return [f"error: {head}", *more, *(f"  {show_text(line)}" for line in error.hint.splitlines())]


def entry_to_json(entry: "JournalEntry") -> dict[str, Any]:
    """A journal entry as data."""
    return {
        "id": entry.id,
        "at": entry.at,
        "command": entry.command,
        "model_ids": list(entry.model_ids),
        "details": dict(entry.details),
        "undone_at": entry.undone_at,
    }


def _valid(value: Any) -> Any:
    """The document with text that UTF-8 cannot hold (lone surrogates) made printable."""
    if isinstance(value, str):
        return value if value.isascii() or _has_utf8(value) else show_text(value)
    if isinstance(value, Mapping):
        return {_valid(key): _valid(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(item) for item in value]
    # JSON has no NaN and no infinity; the metadata of a model file may.
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _has_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
