"""The fields of the query language: what each takes, and the SQL that it becomes.

To add a field: a row in ``FIELDS``, and what it looks at in the table ``model_fields``
(:mod:`modelcellar.index_fields`), where one model is one short row, called ``v`` here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from modelcellar.index_fields import key_of
from modelcellar.journal import timestamp
from modelcellar.records import FileFormat, ModelType
from modelcellar.search.units import count_of, day_of, size_bytes_of, span_of
from modelcellar.search.words import segments

__all__ = [
    "FIELDS",
    "KINDS",
    "NUMBERS",
    "SORTS",
    "TEXT_COLUMNS",
    "Condition",
    "SqlValue",
    "asks_for_links",
    "kind_words",
    "part_of",
    "problem_of",
    "sql_of",
]

SqlValue = str | int
Sql = tuple[str, list[SqlValue]]

MIN_DIGEST_DIGITS = 4
LAST = "\U0010ffff"
"""After every text that begins alike."""

SORTS = {
    "name": "v.name COLLATE NOCASE",
    "size": "v.size_bytes",
    "added": "v.added_at",
    "params": "v.parameter_count",
    "verified": "v.verified_at",
}
"""What results can be sorted by, as SQL."""

TEXT_COLUMNS = {"tag": "tags", "author": "author"}
"""Fields that are met by words of a column of the full-text index."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``field`` compared with any of ``values``; ``operator`` is empty or a comparison (``<=``)."""

    field: str
    operator: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        values = (v if re.fullmatch(r'[^\s",<>=:]+', v) else f'"{v}"' for v in self.values)
        return f"{self.field}{self.operator or ':'}{','.join(values)}"


@dataclass(frozen=True, slots=True)
class Field:
    """``wants`` says in words what it takes; ``sql`` is None for a value that makes no sense."""

    wants: str
    sql: Callable[[str, str, datetime], Sql | None]
    """Of an operator, one value, and the present instant."""


def problem_of(condition: Condition) -> str | None:
    """Why a condition makes no sense; None when it does; "" when it was hardly meant as one."""
    field = FIELDS.get(condition.field)
    if field is None:
        if condition.operator or not condition.values:
            return ""
        return f"there is no field {condition.field}"
    if not condition.values:
        return f"{condition.field} wants {field.wants}"
    if condition.operator and len(condition.values) > 1:
        return f"{condition.field}{condition.operator} takes one value"
    for value in condition.values:
        if field.sql(condition.operator, value, _ANY_INSTANT) is None:
            return f"{condition.field} wants {field.wants}"
    return None


def sql_of(condition: Condition, *, excluded: bool, now: datetime) -> Sql | None:
    """The condition over ``model_fields v``; None when the full-text index answers it."""
    if condition.field in TEXT_COLUMNS:
        return None
    field = FIELDS[condition.field]
    parts = [field.sql(condition.operator, value, now) for value in condition.values]
    ways = [part for part in parts if part is not None]
    text = " OR ".join(sql for sql, _ in ways)
    # What is not known is not a reason to leave a model out: NULL is not true.
    return (
        f"({text}) IS NOT TRUE" if excluded else f"({text})",
        [value for _, values in ways for value in values],
    )


def asks_for_links(condition: Condition) -> bool:
    """Whether the table of links has to be there (:mod:`modelcellar.search.linked`)."""
    if condition.field == "is":
        return any(value.lower() == "unused" for value in condition.values)
    return condition.field == "app"


def kind_words(condition: Condition) -> list[str]:
    """The words of the column ``kinds`` that a condition about type or format asks for."""
    letter, names = KINDS[condition.field]
    found = [name for value in condition.values for name in names[key_of(value)]]
    return [f"\ue000{letter}{name.replace('_', '')}" for name in found]


def part_of(text: str) -> str:
    """The pattern of what holds ``text``, for LIKE with a backslash as its escape."""
    escaped = re.sub(r"([\\%_])", r"\\\1", text)
    return f"%{escaped}%"


def _choice(column: str, names: Mapping[str, tuple[str, ...]]) -> Field:
    def sql(operator: str, value: str, _: datetime) -> Sql | None:
        found = names.get(key_of(value))
        if operator or found is None:
            return None
        return f"v.{column} IN ({', '.join('?' * len(found))})", list(found)

    shown = sorted({name for found in names.values() for name in found})
    return Field(f"one of {', '.join(shown)}", sql)


def _key(wants: str, *columns: str, aliases: Mapping[str, str] = {}) -> Field:
    """A text that the column begins with, whatever its case, spaces and punctuation."""

    def sql(operator: str, value: str, _: datetime) -> Sql | None:
        key = key_of(value)
        if operator or not key:
            return None
        key = aliases.get(key, key)
        text = " OR ".join(f"(v.{column} >= ? AND v.{column} < ?)" for column in columns)
        return text, [key, key + LAST] * len(columns)

    return Field(wants, sql)


def _number(column: str, wants: str, read: Callable[[str], int | None]) -> Field:
    def sql(operator: str, value: str, _: datetime) -> Sql | None:
        number = read(value)
        if number is None or not operator:
            return None
        return f"v.{column} {operator} ?", [number]

    return Field(wants, sql)


def _instant(column: str, operator: str, value: str, now: datetime) -> Sql | None:
    """Younger than a span is after an instant; a day is compared as a whole."""
    if (span := span_of(value)) is not None:
        if not operator:
            return None
        # A span longer than the calendar reaches back to before everything.
        span = min(span, now - _ANY_INSTANT)
        turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}[operator]
        return f"v.{column} {turned} ?", [timestamp(now - span)]
    if (day := day_of(value)) is None:
        return None
    start, end = timestamp(day[0]), timestamp(day[1])
    if not operator:
        return f"(v.{column} >= ? AND v.{column} < ?)", [start, end]
    bound = end if operator in (">", "<=") else start
    return f"v.{column} {'<' if operator in ('<', '<=') else '>='} ?", [bound]


def _added(operator: str, value: str, now: datetime) -> Sql | None:
    return _instant("added_at", operator, value, now)


def _verified(operator: str, value: str, now: datetime) -> Sql | None:
    if not operator and value.lower() in ("yes", "no"):
        return f"v.verified_at IS {'NOT ' if value.lower() == 'yes' else ''}NULL", []
    return _instant("verified_at", operator, value, now)


_STATES = {
    # Equal files under two names are one model, so what is left is part of two models, or the same
    # tensors under another header. Configurations are alike in many models and say nothing.
    "duplicate": (
        "EXISTS (SELECT 1 FROM files a JOIN files b ON b.model <> a.model AND (b.sha256 = a.sha256"
        " OR b.tensor_sha256 = a.tensor_sha256)"
        " WHERE a.model = v.model AND a.format <> 'unknown' AND a.sha256 <> '')"
    ),
    "broken": "v.damaged_at IS NOT NULL",
    "pending": "v.looked_up_at IS NULL",
    "unread": "v.model IN (SELECT rowid FROM models WHERE content_digest = '')",
    "unused": "v.model NOT IN (SELECT model FROM temp.linked)",
}


def _is(operator: str, value: str, _: datetime) -> Sql | None:
    state = _STATES.get(value.lower())
    return None if operator or state is None else (state, [])


def _app(operator: str, value: str, _: datetime) -> Sql | None:
    if operator or not value.strip():
        return None
    key = value.strip().lower()
    return "v.model IN (SELECT model FROM temp.linked WHERE app >= ? AND app < ?)", [
        key,
        key + LAST,
    ]


def _hash(operator: str, value: str, _: datetime) -> Sql | None:
    digits = value.lower()
    if operator or not re.fullmatch(rf"[0-9a-f]{{{MIN_DIGEST_DIGITS},64}}", digits):
        return None
    columns = ("blake3", "sha256", "tensor_sha256", "autov1")
    ways = (f"SELECT model FROM files WHERE {c} >= ? AND {c} < ?" for c in columns)
    return f"v.model IN ({' UNION '.join(ways)})", [digits, digits + "g"] * len(columns)


def _path(operator: str, value: str, _: datetime) -> Sql | None:
    if operator:
        return None
    text = "EXISTS (SELECT 1 FROM files WHERE model = v.model AND CAST(path AS TEXT) LIKE ?"
    return rf"{text} ESCAPE '\')", [part_of(value)]


def _words(operator: str, value: str, _: datetime) -> Sql | None:
    return None if operator or not segments(value) else ("", [])


_FORMATS = {
    **{key_of(kind.value): (kind.value,) for kind in FileFormat},
    **dict.fromkeys(("pt", "pth", "torch"), ("torch_zip", "torch_legacy", "torchscript")),
    **dict.fromkeys(("ckpt", "pickle", "pkl"), ("torch_zip", "torch_legacy")),
    "task": ("mediapipe_task",),
}
_TYPES = {
    **{key_of(kind.value): (kind.value,) for kind in ModelType},
    "ckpt": ("checkpoint",),
    "textualinversion": ("embedding",),
    "ti": ("embedding",),
    "unet": ("diffusion_model",),
}
NUMBERS = frozenset({"size", "params"})
"""Fields that an index of their own answers, ``model_fields_numbers``."""

KINDS: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]] = {
    "type": ("t", _TYPES),
    "format": ("f", _FORMATS),
}
"""Fields that the column ``kinds`` of the full-text index answers: the letter of their words there,
and what may be asked for."""

_HOSTS = {"hf": "huggingface", "hub": "huggingface"}

FIELDS: Mapping[str, Field] = {
    "type": _choice("type", _TYPES),
    "format": _choice("format", _FORMATS),
    "base": _key('the beginning of a base model or family: base:sdxl, base:"SD 1.5"', "base_key",
                 "family_key"),
    "family": _key("the beginning of a family: family:flux", "family_key"),
    "license": _key("the beginning of a licence: license:apache", "license_key"),
    "quant": _key("a quantization: quant:q4_k_m, quant:q4", "quantization_key"),
    "source": _key("huggingface, civitai, civarchive, web, ...", "provider_key", aliases=_HOSTS),
    "tag": Field("the words of a tag: tag:anime", _words),
    "author": Field("a name: author:city96", _words),
    "size": _number("size_bytes", "a bound: size>4GB, size<=500MB", size_bytes_of),
    "params": _number("parameter_count", "a bound: params<=8B, params>350M", count_of),
    "added": Field("an age or a day: added:<30d, added>2026-01-01, added:2026-01", _added),
    "verified": Field("yes, no, an age or a day: verified:no, verified:<30d", _verified),
    "hash": Field(f"{MIN_DIGEST_DIGITS} or more digits of a digest: hash:ab12cd", _hash),
    "path": Field("a part of the path of a file: path:unet/", _path),
    "app": Field("the beginning of an application's name: app:comfyui", _app),
    "is": Field("duplicate, broken (damaged), pending (nobody was asked yet), unread (adopted and "
                "not read whole yet) or unused (no links)", _is),
}  # fmt: skip
"""Every field by its name."""

_ANY_INSTANT = datetime.fromisoformat("0001-01-02T00:00:00+00:00")
