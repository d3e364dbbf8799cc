"""Reads records of other tools within bounds, and takes values out of them that fit."""

import re
from collections.abc import Mapping
from contextlib import suppress
from html import unescape
from pathlib import Path

from modelcellar.formats import parse_json
from modelcellar.formats.facts import clean_text
from modelcellar.io.bounded import MAX_BYTES, entries, is_folder, is_link, read_bytes
from modelcellar.naming import is_digest, relative_path_problems
from modelcellar.records import JsonValue

__all__ = [
    "MAX_BYTES",
    "commit_in",
    "entries",
    "file_name_in",
    "is_folder",
    "is_link",
    "plain",
    "read_bytes",
    "read_object",
    "repo_path",
    "sha256_in",
    "text_in",
    "texts_in",
    "whole_in",
]

MAX_TEXT_BYTES = 256
MAX_PLAIN_BYTES = 4096
MAX_TEXTS = 64
_COMMIT = re.compile("[0-9a-f]{40}")
_DIGITS = re.compile("[0-9]{1,15}")
_TAG = re.compile(r"<[^<>]{0,2000}>")


def read_object(path: Path, *, limit_bytes: int = MAX_BYTES) -> Mapping[str, JsonValue]:
    """The JSON object in a file; an empty one if there is none that can be read."""
    data = read_bytes(path, limit_bytes=limit_bytes)
    try:
        value = None if data is None else parse_json(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def text_in(value: JsonValue, *, limit_bytes: int = MAX_TEXT_BYTES) -> str | None:
    """A short line of text without control characters and private paths."""
    cleaned = clean_text(value, limit_bytes) if isinstance(value, str) else ""
    return cleaned or None


def plain(value: JsonValue) -> str | None:
    """The text of a description that may be HTML, on one line."""
    if not isinstance(value, str):
        return None
    text = _TAG.sub(" ", value[: 8 * MAX_PLAIN_BYTES])
    # ValueError: "&#" before more digits than Python reads as a number.
    with suppress(ValueError):
        text = unescape(text)
    return text_in(" ".join(text.split()), limit_bytes=MAX_PLAIN_BYTES)


def texts_in(value: JsonValue) -> list[str]:
    """The texts in a list, as `text_in` gives them; the first `MAX_TEXTS` of them."""
    listed = value[: 8 * MAX_TEXTS] if isinstance(value, list) else []
    texts = dict.fromkeys(text for text in map(text_in, listed) if text is not None)
    return list(texts)[:MAX_TEXTS]


def whole_in(value: JsonValue) -> int | None:
    """A whole number above zero that a database may have given, also where it is text."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and 0 < value < 2**53 else None


def sha256_in(value: JsonValue) -> str | None:
    """A SHA-256 in small letters."""
    lowered = value.lower() if isinstance(value, str) and len(value) == 64 else ""
    return lowered if is_digest(lowered) else None


def commit_in(value: JsonValue) -> str | None:
    """The name of a commit in full."""
    return value if isinstance(value, str) and _COMMIT.fullmatch(value) else None


def repo_path(path: str) -> str | None:
    """A path inside a repository, if it stays there and is good on every platform."""
    return None if relative_path_problems(path) else path


def file_name_in(value: JsonValue) -> str | None:
    """The name of a file, without folders and good on every platform."""
    is_name = isinstance(value, str) and len(value) <= MAX_TEXT_BYTES and "/" not in value
    return repo_path(value) if is_name else None
