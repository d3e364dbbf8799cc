"""Reads records of other tools within bounds, and takes values out of them that fit."""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from html import unescape
from itertools import islice
from pathlib import Path

from modelcellar.formats import parse_json
from modelcellar.formats.facts import clean_text
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

MAX_BYTES = 4 << 20
MAX_TEXT_BYTES = 256
MAX_PLAIN_BYTES = 4096
MAX_TEXTS = 64
MAX_LISTED = 50_000
_COMMIT = re.compile("[0-9a-f]{40}")
_DIGITS = re.compile("[0-9]{1,15}")
_TAG = re.compile(r"<[^<>]{0,2000}>")


def read_bytes(path: Path, *, limit_bytes: int = MAX_BYTES) -> bytes | None:
    """All bytes of a regular file; ``None`` if there is none, or it is longer than the limit."""
    # Without O_NONBLOCK opening a named pipe would wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0))
    except (OSError, ValueError):
        # ValueError: a name with a NUL, which no file has.
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit_bytes:
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            # It may have grown since.
            data = file.read(limit_bytes + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return data if len(data) <= limit_bytes else None


def read_object(path: Path, *, limit_bytes: int = MAX_BYTES) -> Mapping[str, JsonValue]:
    """The JSON object in a file; an empty one if there is none that can be read."""
    data = read_bytes(path, limit_bytes=limit_bytes)
    try:
        value = None if data is None else parse_json(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, by name, but not without end; nothing if it cannot be listed."""
    try:
        with os.scandir(folder) as found:
            yield from sorted(islice(found, MAX_LISTED), key=lambda entry: entry.name)
    except (OSError, ValueError):
        return


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder and no link to one."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def is_link(entry: os.DirEntry[str]) -> bool:
    """Whether it is a symbolic link."""
    try:
        return entry.is_symlink()
    except OSError:
        return False


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
