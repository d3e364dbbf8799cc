"""The table ``model_fields``: what of a model can be filtered and sorted by, in one short row.

Apart from ``models`` because a row there holds its manifest: to look at the type of 50,000 matches
would read 50,000 pages of it, while here 30 models share a page.
"""

import re
import unicodedata

from modelcellar.manifest import Manifest
from modelcellar.records import JsonValue, ModelRecord

__all__ = ["CREATE_FIELDS", "INSERT_FIELDS", "author_of", "field_values", "key_of"]

CREATE_FIELDS = """
CREATE TABLE model_fields (
    model INTEGER PRIMARY KEY REFERENCES models (rowid) ON DELETE CASCADE,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    format TEXT NOT NULL,
    base_key TEXT,
    family_key TEXT,
    quantization_key TEXT,
    license_key TEXT,
    provider_key TEXT,
    identity_status TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    parameter_count INTEGER,
    added_at TEXT NOT NULL,
    verified_at TEXT,
    damaged_at TEXT,
    looked_up_at TEXT
);
CREATE INDEX model_fields_name ON model_fields (name COLLATE NOCASE);
CREATE INDEX model_fields_type ON model_fields (type, name COLLATE NOCASE);
CREATE INDEX model_fields_family ON model_fields (family_key) WHERE family_key IS NOT NULL;
CREATE INDEX model_fields_base ON model_fields (base_key) WHERE base_key IS NOT NULL;
CREATE INDEX model_fields_size ON model_fields (size_bytes);
CREATE INDEX model_fields_added ON model_fields (added_at);
CREATE INDEX model_fields_damaged ON model_fields (damaged_at) WHERE damaged_at IS NOT NULL;
CREATE INDEX model_fields_pending ON model_fields (model) WHERE looked_up_at IS NULL;
"""

_COLUMNS = (
    *("model", "name", "type", "format", "base_key", "family_key", "quantization_key"),
    *("license_key", "provider_key", "identity_status", "size_bytes", "parameter_count"),
    *("added_at", "verified_at", "damaged_at", "looked_up_at"),
)

INSERT_FIELDS = (
    f"INSERT INTO model_fields ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    " ON CONFLICT (model) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[1:])
)

_PARAMETERS = re.compile(r"\b(\d{1,3}(?:,\d{3})*|\d+) parameters\b", re.ASCII)
_MOST = (1 << 63) - 1


def field_values(
    rowid: int, name: str, manifest: Manifest, record: ModelRecord
) -> tuple[str | int | None, ...]:
    """The row of one model for ``INSERT_FIELDS``; ``name`` is valid UTF-8."""
    base = (record.base_model or "").rpartition("/")[2]
    quantization = _text(record, "quantization") or _text(record, "precision")
    return (
        *(rowid, name, record.type.value, record.format.value),
        *(key_of(base) or None, key_of(record.family or "") or None, key_of(quantization) or None),
        *(key_of(_text(record, "license")) or None, key_of(record.identity.provider or "") or None),
        *(key_of(record.identity.status), record.size_bytes, _parameter_count(record)),
        *(record.added_at, record.verified_at, record.damaged_at, manifest.looked_up_at),
    )


def author_of(record: ModelRecord) -> str:
    """Who made a model, by what is said of it and by the repository it is from."""
    owner = (record.identity.repo_id or "").rpartition("/")[0]
    return " ".join(dict.fromkeys(name for name in (_text(record, "author"), owner) if name))


def key_of(text: str) -> str:
    """``text`` as it is compared: letters and digits only, case and accents folded ("sd15")."""
    decomposed = unicodedata.normalize("NFKD", text[:200]).casefold()
    return "".join(char for char in decomposed if char.isalnum())


def _text(record: ModelRecord, name: str) -> str:
    found = record.findings.get(name)
    return found.value if found is not None and isinstance(found.value, str) else ""


def _parameter_count(record: ModelRecord) -> int | None:
    found = record.findings.get("parameter_count")
    value: JsonValue = found.value if found is not None else None
    if type(value) is int and value >= 0:
        return min(value, _MOST)
    # Models that came in before the number was kept by itself have it in their summary.
    told = _PARAMETERS.search(record.summary)
    return min(int(told[1].replace(",", "")), _MOST) if told else None
