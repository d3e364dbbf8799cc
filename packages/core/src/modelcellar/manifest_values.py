"""Single values of a manifest's JSON, read with care."""

from collections.abc import Callable
from typing import TypeVar

from modelcellar import naming
from modelcellar.records import FileFormat, JsonValue, ModelType

__all__ = ["read_digest", "read_member", "read_optional", "read_text"]

_Kind = TypeVar("_Kind", ModelType, FileFormat)


def read_member(kind: type[_Kind], text: JsonValue, default: _Kind) -> _Kind:
    """A member of ``kind``; ``default`` for what this version does not know."""
    return kind(text) if text in kind.__members__.values() else default


def read_text(value: JsonValue) -> str:
    """A text. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def read_optional(read: Callable[[JsonValue], str], value: JsonValue) -> str | None:
    """What ``read`` makes of a value that may be missing."""
    return None if value is None else read(value)


def read_digest(value: JsonValue) -> str:
    """64 lower-case hex digits. Raises TypeError, ValueError."""
    if not naming.is_digest(read_text(value)):
        raise ValueError(f"{value!r} is not a digest")
    return str(value)
