"""The SQL of the catalog's own tables. The search index over them is in ``search/fts5.py``."""

from dataclasses import dataclass

from modelcellar.manifest import Manifest
from modelcellar.records import FileRecord, ModelRecord

__all__ = [
    "ADD_AUTHOR",
    "ADD_IMAGE_HASHES",
    "ADD_KINDS",
    "APPLICATION_ID",
    "CREATE_TABLES",
    "INSERT_FILE",
    "INSERT_WORD",
    "MODELS_BY_DIGEST_START",
    "MODELS_CALLED",
    "MODELS_WITH_TENSORS",
    "NEVER_LOOKED_UP",
    "NOT_READ",
    "ROWS_TO_READ",
    "SET_AUTHOR",
    "UNIDENTIFIED",
    "UNREAD",
    "UNREAD_TOTALS",
    "UPSERT_MODEL",
    "CatalogRow",
    "Filter",
    "SearchText",
    "SqlValue",
]

SqlValue = str | bytes | int | float | None

APPLICATION_ID = 0x4D434C52
"""``MCLR``: tells ``file`` and us that this SQLite file is a modelcellar catalog."""

CREATE_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE models (
    rowid INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    format TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    added_at TEXT NOT NULL,
    verified_at TEXT,
    content_digest TEXT NOT NULL,
    manifest BLOB NOT NULL,
    manifest_mtime_ns INTEGER NOT NULL,
    manifest_size_bytes INTEGER NOT NULL,
    name TEXT NOT NULL DEFAULT '',
    words TEXT NOT NULL DEFAULT '',
    tags TEXT NOT NULL DEFAULT '',
    family_text TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    extension TEXT NOT NULL DEFAULT ''
);
CREATE INDEX models_name ON models (name COLLATE NOCASE);
CREATE INDEX models_content ON models (content_digest);
CREATE TABLE files (
    model INTEGER NOT NULL REFERENCES models (rowid) ON DELETE CASCADE,
    path BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    blake3 TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    format TEXT NOT NULL,
    PRIMARY KEY (model, path)
) WITHOUT ROWID;
CREATE INDEX files_size ON files (size_bytes);
CREATE INDEX files_blake3 ON files (blake3);
CREATE INDEX files_sha256 ON files (sha256);
"""

ADD_IMAGE_HASHES = """
ALTER TABLE files ADD COLUMN tensor_sha256 TEXT;
ALTER TABLE files ADD COLUMN autov1 TEXT;
CREATE INDEX files_tensor_sha256 ON files (tensor_sha256) WHERE tensor_sha256 IS NOT NULL;
CREATE INDEX files_autov1 ON files (autov1) WHERE autov1 IS NOT NULL;
"""

ADD_AUTHOR = "ALTER TABLE models ADD COLUMN author TEXT NOT NULL DEFAULT ''"

ADD_KINDS = """
ALTER TABLE models ADD COLUMN kinds TEXT GENERATED ALWAYS AS (
    char(57344) || 't' || replace(type, '_', '') || ' ' || char(57344) || 'f' ||
    replace(format, '_', '')
) VIRTUAL;
CREATE TABLE known_words (
    word TEXT PRIMARY KEY,
    ending TEXT NOT NULL GENERATED ALWAYS AS (substr(word, -2)) STORED
) WITHOUT ROWID;
CREATE INDEX known_words_ending ON known_words (ending);
CREATE INDEX model_fields_numbers ON model_fields (model, size_bytes, parameter_count);
"""
"""``kinds``: type and format as words of the search index, which is quicker than a look at each
match. U+E000 is a private character that the tokenizer takes for a letter and nobody types.

``model_fields_numbers``: sizes of a million models that are looked up one by one; by themselves
they fit into the page cache, with all the fields they do not.

``known_words``: what "did you mean" chooses from. Words of models that are gone stay in there until
the index is built anew.
"""

INSERT_WORD = "INSERT OR IGNORE INTO known_words (word) VALUES (?)"

ROWS_TO_READ = "SELECT rowid, name, manifest FROM models"
SET_AUTHOR = "UPDATE models SET author = ? WHERE rowid = ?"

INSERT_FILE = (
    "INSERT INTO files (model, path, size_bytes, blake3, sha256, format, tensor_sha256, autov1)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

MODELS_CALLED = """
SELECT id FROM models WHERE name = ?1 COLLATE NOCASE
UNION SELECT m.id FROM models m JOIN files f ON f.model = m.rowid
WHERE f.blake3 = ?2 OR f.sha256 = ?2 OR f.tensor_sha256 = ?2 OR f.autov1 = ?2
"""

MODELS_BY_DIGEST_START = """
SELECT DISTINCT m.id FROM models m JOIN files f ON f.model = m.rowid
WHERE f.blake3 BETWEEN ?1 AND ?1 || 'g' OR f.sha256 BETWEEN ?1 AND ?1 || 'g'
OR f.tensor_sha256 BETWEEN ?1 AND ?1 || 'g'
"""

MODELS_WITH_TENSORS = """
SELECT DISTINCT m.id FROM models m JOIN files f ON f.model = m.rowid
WHERE f.tensor_sha256 = ? ORDER BY m.id
"""

_COLUMNS = (
    *("id", "type", "format", "size_bytes", "added_at", "verified_at", "content_digest"),
    *("manifest", "manifest_mtime_ns", "manifest_size_bytes"),
    *("name", "words", "tags", "family_text", "author", "description", "extension"),
)

UPSERT_MODEL = (
    f"INSERT INTO models ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    " ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[1:])
    + " RETURNING rowid"
)
"""One row of ``models``. Not ``INSERT OR REPLACE``: that deletes without telling the triggers."""

UNIDENTIFIED = """
SELECT m.id FROM models m JOIN model_fields v ON v.model = m.rowid
WHERE v.identity_status <> 'verified' OR v.looked_up_at IS NULL
ORDER BY v.looked_up_at IS NOT NULL, m.id
"""
NOT_READ = ""
"""In place of a digest that nobody has computed yet. No digest is equal to it, or begins so."""

UNREAD = f"SELECT id FROM models WHERE content_digest = '{NOT_READ}' ORDER BY size_bytes, id"
UNREAD_TOTALS = (
    f"SELECT count(*), coalesce(sum(size_bytes), 0) FROM models WHERE content_digest = '{NOT_READ}'"
)
NEVER_LOOKED_UP = "SELECT count(*) FROM model_fields WHERE looked_up_at IS NULL"


@dataclass(frozen=True, slots=True)
class SearchText:
    """The indexed words of one model, a column each; ``known``: those to suggest."""

    name: str
    words: str = ""
    tags: str = ""
    family_text: str = ""
    author: str = ""
    description: str = ""
    extension: str = ""
    known: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """A manifest, the bytes of the file it was read from, and that file's mtime in ns."""

    manifest: Manifest
    data: bytes
    mtime_ns: int

    def model_values(self, text: SearchText, record: ModelRecord) -> tuple[SqlValue, ...]:
        """What `UPSERT_MODEL` writes."""
        return (
            *(record.id, record.type.value, record.format.value, record.size_bytes),
            *(record.added_at, record.verified_at, self.manifest.content_digest or NOT_READ),
            *(self.data, self.mtime_ns, len(self.data)),
            *(text.name, text.words, text.tags, text.family_text),
            *(text.author, text.description, text.extension),
        )

    def file_values(self, rowid: SqlValue) -> list[tuple[SqlValue, ...]]:
        """What `INSERT_FILE` writes, for each file of the row ``rowid``."""
        return [
            (
                *(rowid, file.path.encode("utf-8", "surrogateescape"), file.size_bytes),
                *_digest_values(file),
                file.format.value,
                *(file.tensor_sha256, file.autov1),
            )
            for file in self.manifest.files
        ]


def _digest_values(file: FileRecord) -> tuple[str, str]:
    if file.digests is None:
        return NOT_READ, NOT_READ
    return file.digests.blake3, file.digests.sha256


@dataclass(frozen=True, slots=True)
class Filter:
    """Which models to list, and in which order (``name``, ``size``, ``added``; ``-`` reverses)."""

    model_type: str | None = None
    file_format: str | None = None
    sort: str = "name"
