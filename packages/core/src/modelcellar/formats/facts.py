"""Small, clean and bounded values for people and for JSON, made from what hostile files say."""

import math
import re
from collections.abc import Iterable, Mapping

from modelcellar.records import JsonValue

MAX_TEXT_BYTES = 1024
MAX_KEYS = 64

# C0 and C1 controls can drive a terminal; bidirectional overrides can make one name look like
# another; lone surrogates cannot be written as UTF-8.
_UNWANTED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+"
)


# Folders of the machine that a model was trained on tell its owner's name. A path is two or more
# names, each after a separator; one in a home folder may follow anything, others must not be the
# middle of an address ("https://host/a/b") or of a relative path.
_NAMES = r"(?:[\\/]+[^\\/\s\"',;:*?<>|\[\](){}]+)"
_PATH = re.compile(
    rf"(?<![\w.:/\\-])(?:[A-Za-z]:{_NAMES}+|{_NAMES}{{2,}})"
    rf"|(?<![\w/\\])(?:[A-Za-z]:)?[\\/]+(?:home|Users|root)(?:{_NAMES}+)",
    re.IGNORECASE,
)
_WHOLE_PATH = re.compile(r"(?:[A-Za-z]:[\\/]|\\\\|/(?:home|Users|root)/)[^\n]*", re.IGNORECASE)
_SEPARATOR = re.compile(r"[\\/]+")


def without_private_paths(text: str) -> str:
    """``text`` with each path of somebody's machine cut down to its last name."""
    if "/" not in text and "\\" not in text:
        return text
    if _WHOLE_PATH.fullmatch(text.strip()):
        return _last_name(text.strip())
    return _PATH.sub(lambda match: _last_name(match[0]), text)


def _last_name(path: str) -> str:
    names = _SEPARATOR.split(path.rstrip("\\/"))
    is_home = len(names) >= 2 and names[-2].lower() in ("home", "users")
    return "~" if is_home else names[-1]


def clean_text(text: str, limit_bytes: int = MAX_TEXT_BYTES) -> str:
    """``text`` on one line, cut to ``limit_bytes`` of UTF-8; no control characters, no paths."""
    # A character is at least one byte, so the rest of a huge value need not be looked at.
    cleaned = without_private_paths(_UNWANTED.sub(" ", text[: limit_bytes + 1])).strip()
    encoded = cleaned.encode()
    if len(encoded) <= limit_bytes:
        return cleaned
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
    """``1 tensor``, ``1,234 tensors``; a noun in -y becomes -ies."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("y") else f"{count:,} {noun}s"


def kinds_line(counts: Mapping[str, int], limit: int = 3) -> str:
    """``F32``, ``F16 + F32``, ``F16 + F32 + I8 + 2 more``: most frequent first."""
    names = list(most_common(counts))
    shown = " + ".join(names[:limit])
    return f"{shown} + {len(names) - limit} more" if len(names) > limit else shown


def join(parts: Iterable[str]) -> str:
    """The parts that are not empty, with commas."""
    return ", ".join(part for part in parts if part)
