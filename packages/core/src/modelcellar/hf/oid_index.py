"""Every file of every repository whose listing was ever fetched, to be found by what it contains.

The Hub finds no file by its SHA-256, so what its listings say is kept here. A row is one content at
one path of one repository; it says at which commits that was published first and last. A row is
never taken away: that a commit held a file stays true when the repository changes or goes.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from modelcellar.database import Connection, Database, all_rows, decoding
from modelcellar.hf.oid_schema import (
    BY_GIT_SHA1,
    BY_SHA256,
    INSERT_FILE,
    INSERT_REPOSITORY,
    KNOWN_CONTENTS,
    SCHEMA,
    SEEN_AGAIN,
    TOTALS,
    UPSERT_COMMIT,
)
from modelcellar.origins import Listing, RepoFile

__all__ = ["OidIndex", "Sighting"]

log = logging.getLogger(__name__)

BATCH_FILES = 50_000
"""Files that go in with one transaction when many listings do: what a kill can lose."""
MAX_SIZE_BYTES = (1 << 63) - 1

_Content = tuple[bytes, int, bytes | None]
"""Path, size, and what names the content: its sha256, else the name of its blob."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """One file as a listing published it.

    ``commit`` is the last one that is known to hold it, ``fetched_at`` when that was listed;
    ``is_current`` whether that is the newest listing of the repository that is known.
    """

    provider: str
    repo_id: str
    commit: str
    fetched_at: str
    first_commit: str
    is_current: bool
    file: RepoFile


class OidIndex:
    """The index at ``path``, for any number of threads and processes. A look-up takes well under
    1 ms, so it may be done on the event loop; :meth:`add` belongs in a thread.

    Raises (the constructor and every method):
        LibraryFormatError: the file belongs to another program or to a newer version.
        LibraryBusyError: another process did not let go of it within ``lock_timeout_s`` seconds.
        OSError: the disk is full or fails.

    A damaged file is set aside and an empty index takes its place.
    """

    def __init__(self, path: Path, *, lock_timeout_s: float = 10.0) -> None:
        self._database = Database(path, SCHEMA, lock_timeout_s=lock_timeout_s)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def add(self, listing: Listing, *, provider: str = "huggingface") -> None:
        """Take in one listing, whole or not at all.

        It becomes the repository's current one unless a later one is known (by ``fetched_at``).
        What only older commits held stays known as theirs.
        """
        self._database.write(partial(_store, listing=listing, provider=provider))

    def add_all(self, listings: Iterable[Listing], *, provider: str = "huggingface") -> None:
        """Take in many, some ten thousand files to a transaction; each is there whole or not."""
        for batch in _batches(listings):
            self._database.write(partial(_fill, listings=batch, provider=provider))

    def by_sha256(self, sha256: str, *, limit: int = 50) -> tuple[Sighting, ...]:
        """Files with this content, those of current listings first, then the latest."""
        oid = _oid(sha256, 32)
        return () if oid is None else self._sightings(BY_SHA256, (oid,), limit)

    def by_git_sha1(
        self, git_sha1: str, size_bytes: int, *, limit: int = 50
    ) -> tuple[Sighting, ...]:
        """Files that are no LFS objects, by git's name for the blob and its size."""
        oid = _oid(git_sha1, 20)
        if oid is None or not 0 <= size_bytes <= MAX_SIZE_BYTES:
            return ()
        return self._sightings(BY_GIT_SHA1, (oid, size_bytes), limit)

    def totals(self) -> tuple[int, int]:
        """How many repositories are known, and how many files with a digest."""

        def work(connection: Connection) -> tuple[int, int]:
            with decoding():
                ((repositories, files),) = all_rows(connection, TOTALS, ())
                return int(repositories), int(files)

        return self._database.read(work)

    def _sightings(
        self, statement: str, values: tuple[bytes | int, ...], limit: int
    ) -> tuple[Sighting, ...]:
        def work(connection: Connection) -> tuple[Sighting, ...]:
            rows = all_rows(connection, statement, values)[:limit]
            with decoding():
                return tuple(
                    Sighting(provider, repo_id, commit, at, first, bool(current), _file(*file))
                    for provider, repo_id, commit, at, first, current, *file in rows
                )

        return self._database.read(work)


def _batches(listings: Iterable[Listing]) -> Iterator[list[Listing]]:
    # Gathered before the transaction begins: whoever yields them may be waiting for a host.
    batch: list[Listing] = []
    count = 0
    for listing in listings:
        batch.append(listing)
        count += len(listing.files)
        if count >= BATCH_FILES:
            yield batch
            batch, count = [], 0
    if batch:
        yield batch


def _fill(connection: Connection, listings: Sequence[Listing], provider: str) -> None:
    began = time.monotonic()
    for listing in listings:
        _store(connection, listing, provider)
    log.debug("%d listings taken in, %.2f s", len(listings), time.monotonic() - began)


def _store(connection: Connection, listing: Listing, provider: str) -> None:
    repository, is_newest = _repository(connection, listing, provider)
    row = (repository, _clean(listing.commit), listing.fetched_at)
    commit = int(all_rows(connection, UPSERT_COMMIT, row)[0][0])
    if is_newest:
        connection.execute(
            "UPDATE repositories SET commit_id = ?, fetched_at = ? WHERE id = ?",
            (commit, listing.fetched_at, repository),
        )
    wanted = _contents(listing)
    known = _known(connection, repository)
    new = [
        (repository, commit, commit, int(is_newest), size, sha256, git_sha1, scan, path)
        for (path, size, _), (sha256, git_sha1, scan) in (
            (content, values) for content, values in wanted.items() if content not in known
        )
    ]
    connection.executemany(INSERT_FILE, new)
    if is_newest and known:
        _update_current(connection, commit, wanted, known)


_Values = tuple[bytes | None, bytes | None, str | None]
_Known = dict[_Content, tuple[int, int, int, bytes | None, str | None]]


def _repository(connection: Connection, listing: Listing, provider: str) -> tuple[int, bool]:
    """The row id of the listing's repository, and whether the listing is the newest of it."""
    key = (provider, _clean(listing.repo_id))
    found = all_rows(
        connection,
        "SELECT id, fetched_at FROM repositories WHERE provider = ? AND repo_id = ?",
        key,
    )
    if found:
        return int(found[0][0]), listing.fetched_at >= str(found[0][1])
    return int(all_rows(connection, INSERT_REPOSITORY, (*key, listing.fetched_at))[0][0]), True


def _contents(listing: Listing) -> dict[_Content, _Values]:
    """The files of a listing as they are kept: digests that are none say nothing."""
    found: dict[_Content, _Values] = {}
    for file in listing.files:
        if not 0 <= file.size_bytes <= MAX_SIZE_BYTES:
            log.debug("%s: %r has no possible size", listing.repo_id, file.path)
            continue
        sha256, git_sha1 = _oid(file.sha256, 32), _oid(file.git_sha1, 20)
        # "surrogatepass": JSON can hold half a surrogate pair, which UTF-8 proper cannot.
        content = (file.path.encode("utf-8", "surrogatepass"), file.size_bytes, sha256 or git_sha1)
        found[content] = (sha256, git_sha1, _clean_or_none(file.scan))
    return found


def _known(connection: Connection, repository: int) -> _Known:
    rows = all_rows(connection, KNOWN_CONTENTS, (repository,))
    return {
        (path, size, sha256 or git_sha1): (row_id, current, last_commit, git_sha1, scan)
        for path, size, sha256, git_sha1, row_id, current, last_commit, scan in rows
    }


def _update_current(
    connection: Connection, commit: int, wanted: dict[_Content, _Values], known: _Known
) -> None:
    """Bring known rows to what the newest listing says; those it says nothing new of stay."""
    seen, gone = [], []
    for content, (row_id, is_current, last_commit, git_sha1, scan) in known.items():
        values = wanted.get(content)
        if values is not None:
            _, new_git_sha1, new_scan = values
            after = (1, commit, new_scan or scan, new_git_sha1 or git_sha1)
            if after != (is_current, last_commit, scan, git_sha1):
                seen.append((commit, new_scan, new_git_sha1, row_id))
        elif is_current:
            gone.append((row_id,))
    connection.executemany(SEEN_AGAIN, seen)
    connection.executemany("UPDATE files SET is_current = 0 WHERE id = ?", gone)


def _file(
    path: bytes, size_bytes: int, sha256: bytes | None, git_sha1: bytes | None, scan: str | None
) -> RepoFile:
    return RepoFile(
        path.decode("utf-8", "surrogatepass"),
        size_bytes,
        None if sha256 is None else sha256.hex(),
        None if git_sha1 is None else git_sha1.hex(),
        scan,
    )


def _oid(text: str | None, size_bytes: int) -> bytes | None:
    """The bytes of a digest, ``None`` if it is none of that size."""
    if text is None or len(text) != 2 * size_bytes:
        return None
    try:
        oid = bytes.fromhex(text)
    except ValueError:
        return None
    return oid if len(oid) == size_bytes else None


def _clean(text: str) -> str:
    """``text`` as SQLite can hold it."""
    return text.encode("utf-8", "replace").decode()


def _clean_or_none(text: str | None) -> str | None:
    return None if text is None else _clean(text)
