"""Small, clean and bounded values for people and for JSON, made from what hostile files say."""

import math
import re
from collections.abc import Iterable, Mapping

from modelcellar.formats.private_paths import without_home_paths, without_private_paths
from modelcellar.records import JsonValue

MAX_TEXT_BYTES = 1024
MAX_NAME_BYTES = 1024
MAX_KEYS = 64

# C0 and C1 controls can drive a terminal; bidirectional overrides can make one name look like
# another; lone surrogates cannot be written as UTF-8.
_UNWANTED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+"
)


def fit_text(text: str, limit_bytes: int = MAX_TEXT_BYTES) -> str:
    """``text`` on one line, cut to ``limit_bytes`` of UTF-8, without control characters.

    For what has to stay what it is called; whatever a person wrote is for :func:`clean_text`.
    """
    # A character is at least one byte, so the rest of a huge value need not be looked at.
    return _cut(_UNWANTED.sub(" ", text[: limit_bytes + 1]).strip(), limit_bytes)


def clean_text(text: str, limit_bytes: int = MAX_TEXT_BYTES) -> str:
    """The same, and without private paths."""
    shown = _UNWANTED.sub(" ", text[: limit_bytes + 1])
    return _cut(without_private_paths(shown).strip(), limit_bytes)


def clean_name(name: str, limit_bytes: int = MAX_NAME_BYTES) -> str:
    """The name of a tensor or an input as it may be shown: a slash in front is a part of it."""
    return fit_text(without_home_paths(name[: limit_bytes + 1]), limit_bytes)


def _cut(text: str, limit_bytes: int) -> str:
    encoded = text.encode()
    if len(encoded) <= limit_bytes:
        return text
    return encoded[: limit_bytes - 3].decode(errors="ignore") + "…"


def clean_bytes(data: bytes, limit_bytes: int = MAX_TEXT_BYTES) -> str:
    """The same for bytes that should be UTF-8."""
    return clean_text(data.decode(errors="replace"), limit_bytes)


def clean_mapping(values: Mapping[str, object], limit: int = MAX_KEYS) -> dict[str, JsonValue]:
    """The first ``limit`` entries that are text, numbers or truth values, made clean."""
    cleaned: dict[str, JsonValue] = {}
    for key, value in values.items():
        if len(cleaned) >= limit:
            break
        if isinstance(value, str):
            cleaned[clean_text(key, 256)] = clean_text(value)
        elif isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            cleaned[clean_text(key, 256)] = value
    return cleaned


def most_common(counts: Mapping[str, int], limit: int = MAX_KEYS) -> dict[str, int]:
    """The ``limit`` entries with the highest counts, highest first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return dict(ordered[:limit])


def plural(count: int, noun: str) -> str:
    """``1 tensor``, ``1,234 tensors``, ``2 entries``, ``2 arrays``."""
    if count == 1:
        return f"1 {noun}"
    is_entry = noun.endswith("y") and noun[-2] not in "aeiou"
    return f"{count:,} {noun[:-1]}ies" if is_entry else f"{count:,} {noun}s"


def kinds_line(counts: Mapping[str, int], limit: int = 3) -> str:
    """``F32``, ``F16 + F32``, ``F16 + F32 + I8 + 2 more``: most frequent first."""
    names = list(most_common(counts))
    shown = " + ".join(names[:limit])
    return f"{shown} + {len(names) - limit} more" if len(names) > limit else shown


def join(parts: Iterable[str]) -> str:
    """The parts that are not empty, with commas."""
    return ", ".join(part for part in parts if part)
