"""The SQL of the catalog's own tables. The search index over them is in ``search/fts5.py``."""

__all__ = ["APPLICATION_ID", "CREATE_TABLES", "UPSERT_MODEL"]

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

_COLUMNS = (
    *("id", "type", "format", "size_bytes", "added_at", "verified_at", "content_digest"),
    *("manifest", "manifest_mtime_ns", "manifest_size_bytes"),
    *("name", "words", "tags", "family_text", "description", "extension"),
)

UPSERT_MODEL = (
    f"INSERT INTO models ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
    " ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS[1:])
)
"""One row of ``models``. Not ``INSERT OR REPLACE``: that deletes without telling the triggers."""
