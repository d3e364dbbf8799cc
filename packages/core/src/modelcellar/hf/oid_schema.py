"""The SQL of the index of what repositories hold."""

from modelcellar.database import Schema

__all__ = [
    "BY_GIT_SHA1",
    "BY_SHA256",
    "INSERT_FILE",
    "INSERT_REPOSITORY",
    "KNOWN_CONTENTS",
    "SCHEMA",
    "SEEN_AGAIN",
    "TOTALS",
    "UPSERT_COMMIT",
]

APPLICATION_ID = 0x4D434F49
"""``MCOI``."""
MAX_SIGHTINGS = 1000
"""Of content that is everywhere no more rows than this are looked at."""

# Digests are random, so the first 8 bytes find a row as well as all 32 and the index is half as
# large. The blob name is of the content only where there is no sha256.
SCHEMA = Schema(
    "index of what repositories hold",
    APPLICATION_ID,
    (
        """
CREATE TABLE repositories (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    repo_id TEXT NOT NULL,
    commit_id INTEGER NOT NULL,
    fetched_at TEXT NOT NULL,
    UNIQUE (provider, repo_id)
) STRICT;
CREATE TABLE commits (
    id INTEGER PRIMARY KEY,
    repository INTEGER NOT NULL,
    name TEXT NOT NULL,
    fetched_at TEXT NOT NULL,
    UNIQUE (repository, name)
) STRICT;
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    repository INTEGER NOT NULL,
    first_commit INTEGER NOT NULL,
    last_commit INTEGER NOT NULL,
    is_current INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 BLOB,
    git_sha1 BLOB,
    scan TEXT,
    path BLOB NOT NULL
) STRICT;
CREATE INDEX files_repository ON files (repository);
CREATE INDEX files_sha256 ON files (substr(sha256, 1, 8)) WHERE sha256 IS NOT NULL;
CREATE INDEX files_git_sha1 ON files (substr(git_sha1, 1, 8))
    WHERE sha256 IS NULL AND git_sha1 IS NOT NULL;
""",
    ),
)

_SIGHTINGS = """
SELECT r.provider, r.repo_id, last.name, last.fetched_at, first.name, f.is_current,
       f.path, f.size_bytes, f.sha256, f.git_sha1, f.scan
FROM (SELECT * FROM files WHERE {where} LIMIT {limit}) f
JOIN repositories r ON r.id = f.repository
JOIN commits first ON first.id = f.first_commit
JOIN commits last ON last.id = f.last_commit
ORDER BY f.is_current DESC, last.fetched_at DESC, r.repo_id, f.path
"""


def _sightings(where: str) -> str:
    return _SIGHTINGS.format(where=where, limit=MAX_SIGHTINGS)


BY_SHA256 = _sightings(
    "sha256 IS NOT NULL AND substr(sha256, 1, 8) = substr(?1, 1, 8) AND sha256 = ?1"
)
BY_GIT_SHA1 = _sightings(
    "sha256 IS NULL AND git_sha1 IS NOT NULL"
    " AND substr(git_sha1, 1, 8) = substr(?1, 1, 8) AND git_sha1 = ?1 AND size_bytes = ?2"
)
UPSERT_COMMIT = """
INSERT INTO commits (repository, name, fetched_at) VALUES (?1, ?2, ?3)
ON CONFLICT (repository, name) DO UPDATE SET fetched_at = max(fetched_at, excluded.fetched_at)
RETURNING id
"""
INSERT_FILE = (
    "INSERT INTO files (repository, first_commit, last_commit, is_current, size_bytes, sha256,"
    " git_sha1, scan, path) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
# A poorer listing takes nothing away: the content is the same, so what was known of it holds.
SEEN_AGAIN = (
    "UPDATE files SET is_current = 1, last_commit = ?, scan = coalesce(?, scan),"
    " git_sha1 = coalesce(?, git_sha1) WHERE id = ?"
)

KNOWN_CONTENTS = """
SELECT path, size_bytes, sha256, git_sha1, id, is_current, last_commit, scan
FROM files WHERE repository = ?
"""
INSERT_REPOSITORY = (
    "INSERT INTO repositories (provider, repo_id, commit_id, fetched_at)"
    " VALUES (?, ?, 0, ?) RETURNING id"
)

TOTALS = """
SELECT (SELECT count(*) FROM repositories),
    (SELECT count(*) FROM files WHERE sha256 IS NOT NULL OR git_sha1 IS NOT NULL)
"""
