"""What the index of digests holds, read behind its back."""

from pathlib import Path
from typing import Any

import apsw

from modelcellar.origins import Listing, RepoFile

__all__ = ["current_listing", "known_repositories", "rows"]

_LISTING = """
SELECT c.name, r.fetched_at, f.path, f.size_bytes, f.sha256, f.git_sha1, f.scan
FROM repositories r JOIN commits c ON c.id = r.commit_id
LEFT JOIN files f ON f.repository = r.id AND f.is_current
WHERE r.provider = ? AND r.repo_id = ? ORDER BY f.path
"""


def rows(path: Path, statement: str, values: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    """What a statement finds in the file ``path``."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()


def known_repositories(path: Path) -> list[str]:
    """The ids of all repositories, in their order."""
    return [row[0] for row in rows(path, "SELECT repo_id FROM repositories ORDER BY repo_id")]


def current_listing(path: Path, repo_id: str, *, provider: str = "huggingface") -> Listing | None:
    """The newest listing of one repository, in the order of its paths."""
    found = rows(path, _LISTING, (provider, repo_id))
    if not found:
        return None
    files = (
        RepoFile(name.decode("utf-8", "surrogatepass"), size, _hex(sha256), _hex(git_sha1), scan)
        for _, _, name, size, sha256, git_sha1, scan in found
        if name is not None
    )
    return Listing(repo_id, found[0][0], tuple(files), found[0][1])


def _hex(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()
