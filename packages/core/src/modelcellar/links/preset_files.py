"""Reads one preset file: its keys, each checked, so that a mistake is told with its place.

The keys are those of :class:`modelcellar.links.preset_values.Preset`, and ``extends``.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial

from modelcellar import naming
from modelcellar.errors import UsageError
from modelcellar.link_records import LinkKind
from modelcellar.links.preset_values import ANY_TYPE, Collision, RootRule, Rule, Shape, Unit
from modelcellar.records import JsonValue, ModelType
from modelcellar.search.parser import parse_query

__all__ = ["PLACEHOLDERS", "TYPES", "check_folder", "read_preset", "tidy_folder"]

PLACEHOLDERS = ("name", "publisher", "repository")
"""What may stand in braces in a folder."""

TYPES = (*(kind.value for kind in ModelType), ANY_TYPE)
"""What a folder can be for."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_TOKEN = re.compile(r"[a-z0-9][a-z0-9_-]*")
_Reader = Callable[[object], JsonValue]


class _MistakeError(Exception):
    """What is wrong with a value; the place in the file is put before it on the way up."""

    def __init__(self, message: str, *place: str) -> None:
        super().__init__(message)
        self.message = message
        self.place = place


def read_preset(text: bytes, origin: str) -> Mapping[str, JsonValue]:
    """The values of a preset file by their keys, of the types that `Preset` has them in.

    Raises:
        UsageError: with the file, the key and what would be right.
    """
    try:
        return _table(_KEYS, tomllib.loads(text.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{origin} is not valid TOML: {error}", "Mend the file.") from None
    except _MistakeError as mistake:
        place = ".".join(mistake.place)
        raise UsageError(
            f"{origin}: {place + ': ' if place else ''}{mistake.message}",
            "What presets hold is in docs/presets.md.",
        ) from None


def tidy_folder(value: str) -> str:
    """A folder without what says nothing: ``./`` in front, a slash at the end."""
    return value.removeprefix("./").rstrip("/") or ("." if value == "./" else value)


def check_folder(value: str) -> str | None:
    """What is wrong with a folder inside an application's root; None if nothing is."""
    if value in ("", "."):
        return None
    names = _BRACES.findall(value)
    filled = _BRACES.sub("x", value)
    if "{" in filled or "}" in filled:
        return f"{value!r} has a brace without its pair"
    for name in names:
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
            return f"{value!r} has {{{name}}}; what can be put in is {known}"
    problems = naming.relative_path_problems(filled)
    return f"{value!r}: {problems[0].reason}" if problems else None


def _table(keys: Mapping[str, _Reader], value: object) -> dict[str, JsonValue]:
    if not isinstance(value, dict):
        raise _MistakeError("must be a table")
    found = {}
    for key, one in value.items():
        if key not in keys:
            raise _MistakeError(f"there is no such key{_instead(key, keys)}", key)
        found[key] = _inside(key, keys[key], one)
    return found


def _inside(place: str, read: _Reader, value: object) -> JsonValue:
    try:
        return read(value)
    except _MistakeError as mistake:
        raise _MistakeError(mistake.message, place, *mistake.place) from None


def _instead(key: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(key, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _MistakeError(f"must be a text, not {value!r}")
    return value


def _words(value: object) -> str:
    if not _text(value).strip():
        raise _MistakeError("must not be empty")
    return _text(value)


def _token(value: object) -> str:
    if not _TOKEN.fullmatch(_text(value)):
        raise _MistakeError(f"{value!r} must be lower-case letters, digits, - and _")
    return _text(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _MistakeError(f"must be true or false, not {value!r}")
    return value


def _choice(kinds: type[StrEnum], value: object) -> StrEnum:
    try:
        return kinds(_text(value))
    except ValueError:
        known = ", ".join(kind.value for kind in kinds)
        raise _MistakeError(f"{value!r} is none of {known}") from None


def _many(read: _Reader, value: object) -> tuple[JsonValue, ...]:
    if not isinstance(value, list):
        raise _MistakeError(f"must be a list, not {value!r}")
    return tuple(_inside(f"{number}", read, one) for number, one in enumerate(value, start=1))


def _folder(value: object) -> str:
    folder = tidy_folder(_text(value))
    wrong = check_folder(folder)
    if wrong is not None:
        raise _MistakeError(wrong)
    return folder


def _relative(value: object) -> str:
    problems = naming.relative_path_problems(_text(value))
    if problems:
        raise _MistakeError(f"{value!r}: {problems[0].reason}")
    return _text(value)


def _ending(value: object) -> str:
    if not re.fullmatch(r"(\.[^\s./\\]+)+", _text(value)):
        raise _MistakeError(f"{value!r} must be an extension with its dot, such as .gguf")
    return _text(value).lower()


def _link(value: object) -> LinkKind:
    kind = LinkKind(_choice(LinkKind, value))
    if kind in (LinkKind.COPY, LinkKind.GENERATED):
        raise _MistakeError(
            f"{kind} is never the choice of a preset: a copy is asked for with --link copy"
            if kind is LinkKind.COPY
            else f"{kind} is no link"
        )
    return kind


def _by_type(read: _Reader, value: object) -> dict[str, JsonValue]:
    if not isinstance(value, dict):
        raise _MistakeError("must be a table")
    for key in value:
        if key not in TYPES:
            raise _MistakeError(f"there is no such model type{_instead(key, TYPES)}", key)
    return {key: _inside(key, read, one) for key, one in value.items()}


def _query(value: object) -> str:
    query = parse_query(_words(value))
    notes = [*query.notes]
    if len(query.alternatives) > 1:
        notes.append("a rule has no 'or': write a rule for each")
    if query.sort:
        notes.append("a rule sorts nothing")
    if notes:
        raise _MistakeError(f"{value!r}: {notes[0]}")
    return _words(value)


def _rule(value: object) -> Rule:
    found = _table(_RULE_KEYS, value)
    if "folder" not in found:
        raise _MistakeError('folder: is missing; "" takes models away')
    if not any(found.get(key) for key in ("when", "kind", "shapes")):
        raise _MistakeError("has no condition: when, kind or shapes")
    return Rule(**found)


def _root(value: object) -> RootRule:
    return RootRule(**_table(_ROOT_KEYS, value))


def _options(value: object) -> dict[str, JsonValue]:
    if not isinstance(value, dict):
        raise _MistakeError("must be a table")
    return value


_ROOT_KEYS: Mapping[str, _Reader] = {
    "hint": _words,
    "marks": partial(_many, _relative),
    "places": partial(_many, _words),
}
_RULE_KEYS: Mapping[str, _Reader] = {
    "when": _query,
    "kind": _words,
    "shapes": partial(_many, partial(_choice, Shape)),
    "folder": _folder,
    "unit": partial(_choice, Unit),
    "extensions": partial(_many, _ending),
}
_KEYS: Mapping[str, _Reader] = {
    "extends": _token,
    "title": _words,
    "layout": _token,
    "root": _root,
    "folders": partial(_by_type, _folder),
    "units": partial(_by_type, partial(_choice, Unit)),
    "rules": partial(_many, _rule),
    "extensions": partial(_many, _ending),
    "takes": partial(_by_type, partial(_many, _ending)),
    "hidden": partial(_many, _words),
    "shapes": partial(_many, partial(_choice, Shape)),
    "shared": partial(_many, partial(_many, _folder)),
    "links": partial(_many, _link),
    "collision": partial(_choice, Collision),
    "rewrites": _flag,
    "companions": partial(_many, _ending),
    "projectors": _folder,
    "hazards": partial(_many, _words),
    "options": _options,
}
