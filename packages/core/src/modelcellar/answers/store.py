"""Answers of hosts kept on disk: what was asked today is not asked again, nor lost offline.

How long one holds is decided by who asks (see `cached`), not by the host's ``Cache-Control``: this
is a record of what was answered when, and a user who wants a newer answer says so.
"""

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from modelcellar.database import Connection, Database, Schema, all_rows, decoding
from modelcellar.errors import LibraryBusyError, LibraryFormatError
from modelcellar.network.http import Request, Response
from modelcellar.network.secret import Secret

__all__ = ["AnswerCache", "CachedAnswer"]

log = logging.getLogger(__name__)

APPLICATION_ID = 0x4D434143
"""``MCAC``."""
SALT_BYTES = 32
TOUCH_S = 3600.0
"""An answer's last use is noted no more often than this."""
ROW_BYTES = 512
"""About what an answer takes besides its body."""
_T = TypeVar("_T")

_SCHEMA = Schema(
    "cache of answers",
    APPLICATION_ID,
    (
        """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('salt', randomblob(32));
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    status INTEGER NOT NULL,
    stored_at REAL NOT NULL,
    expires_at REAL NOT NULL,
    used_at REAL NOT NULL,
    head TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX answers_used ON answers (used_at);
""",
    ),
)
_PUT = """
INSERT INTO answers (key, status, stored_at, expires_at, used_at, head, body)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
    status = excluded.status, stored_at = excluded.stored_at, expires_at = excluded.expires_at,
    used_at = excluded.used_at, head = excluded.head, body = excluded.body
"""
_GET = "SELECT status, head, body, stored_at, expires_at, used_at FROM answers WHERE key = ?"
_LONGEST_UNUSED = "SELECT id, length(body) FROM answers ORDER BY used_at, id"
_USED_BYTES = (
    "SELECT (page_count - freelist_count) * page_size"
    " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)

# What differs from call to call and does not change the answer.
_NOT_IN_KEY = frozenset(
    {"accept-encoding", "connection", "if-none-match", "user-agent", "x-amzn-trace-id"}
)
# What is only true of the moment, or nobody else's business.
_NOT_KEPT = frozenset(
    {"age", "connection", "date", "ratelimit", "ratelimit-policy", "retry-after", "set-cookie"}
)


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """An answer and when it came. ``stored_at``, ``expires_at``: seconds since 1970."""

    response: Response
    stored_at: float
    expires_at: float
    etag: str | None

    def is_fresh(self, now: float) -> bool:
        """Whether the host need not be asked; never of one from the future (a clock set back)."""
        return self.stored_at <= now < self.expires_at


class AnswerCache:
    """The cache in the file ``path``, for any number of threads and processes.

    It never stands in the way: where the disk is full, the file is another program's or a newer
    version's, or another process does not let go of it, a warning is logged and nothing is kept.
    A damaged file is set aside and made anew.

    :meth:`get` and :meth:`key` take well under 1 ms and wait for no writer, so they may be called
    on the event loop. The others can wait for the disk and for other processes.

    Args:
        path: the file; only the user may read it.
        max_bytes: how large it may become; then what was not used for longest goes.
        clock: seconds since 1970.
        lock_timeout_s: how long a change waits for another process.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = 256 << 20,
        clock: Callable[[], float] = time.time,
        lock_timeout_s: float = 5.0,
    ) -> None:
        self.path = path
        self.clock = clock
        self._max_bytes = max_bytes
        self._used: dict[str, float] = {}
        self._used_lock = threading.Lock()
        # Keys still have to tell requests apart where nothing is kept.
        self._spare_salt = os.urandom(SALT_BYTES)
        self._has_warned = False
        self._is_stuck = False
        self._database: Database | None = None
        try:
            self._database = Database(path, _SCHEMA, lock_timeout_s=lock_timeout_s)
        except (LibraryBusyError, LibraryFormatError, OSError) as error:
            log.warning("answers are not kept: %s", error)

    def key(self, request: Request) -> str:
        """What ``request`` is kept under: a keyed hash of all that the answer depends on.

        The ``Authorization`` header is part of it, so nobody is given what was answered to another
        token; from the key, or from anything else in the file, it cannot be told.
        """
        salt = self._read(_salt, self._spare_salt)
        headers = {
            name.lower(): value.reveal() if isinstance(value, Secret) else value
            for name, value in request.headers.items()
            if name.lower() not in _NOT_IN_KEY
        }
        parts = [request.method.upper(), request.url, sorted(headers.items()), request.json]
        text = json.dumps([*parts, request.follow_redirects], sort_keys=True)
        return hashlib.blake2b(text.encode(), key=salt, digest_size=32).hexdigest()

    def get(self, key: str) -> CachedAnswer | None:
        """What is kept under ``key``, fresh or not."""
        found = self._read(partial(_find, key=key), None)
        if found is None:
            return None
        answer, used_at = found
        now = self.clock()
        if abs(now - used_at) >= TOUCH_S:
            # Written down with the next change: a look-up changes nothing and waits for nobody.
            with self._used_lock:
                self._used[key] = now
        return answer

    def put(self, key: str, response: Response, *, lifetime_s: float) -> None:
        """Keep ``response`` for ``lifetime_s`` seconds, and longer in case the host goes down.

        One that would take more than a quarter of the cache is not kept.
        """
        if len(response.body) > self._max_bytes // 4:
            log.debug("%s: %d bytes are too many to keep", response.url, len(response.body))
            self.forget(key)
            return
        now = self.clock()
        kept = {name: value for name, value in response.headers.items() if name not in _NOT_KEPT}
        # As JSON, which holds any text; SQLite takes none with half a surrogate pair.
        head = json.dumps([response.url, kept])
        until = now + max(0.0, lifetime_s)
        values = (key, response.status, now, until, now, head, response.body)

        def work(connection: Connection) -> None:
            connection.execute(_PUT, values)
            _evict(connection, self._max_bytes)

        self._write(work)

    def renew(self, key: str, *, lifetime_s: float) -> None:
        """The host says that the answer still holds (304): it counts as asked for now."""
        now = self.clock()
        values = (now, now + max(0.0, lifetime_s), now, key)
        statement = "UPDATE answers SET stored_at = ?, expires_at = ?, used_at = ? WHERE key = ?"
        self._write(lambda connection: connection.execute(statement, values))

    def forget(self, key: str) -> None:
        """Throw one answer away."""
        statement = "DELETE FROM answers WHERE key = ?"
        self._write(lambda connection: connection.execute(statement, (key,)))

    def clear(self) -> None:
        """Throw all answers away and give the space back."""
        with self._used_lock:
            self._used.clear()
        self._write(lambda connection: connection.execute("DELETE FROM answers"))
        self._attempt(lambda database: database.compact(), None)

    def close(self) -> None:
        """Let go of the file. Whatever is asked for afterwards is not there."""
        if self._used:
            self._write(lambda _: None)
        if self._database is not None:
            self._database.close()
            self._database = None

    def _read(self, work: Callable[[Connection], _T], otherwise: _T) -> _T:
        return self._attempt(lambda database: database.read(work), otherwise)

    def _write(self, work: Callable[[Connection], object]) -> None:
        with self._used_lock:
            used, self._used = self._used, {}

        def both(connection: Connection) -> None:
            connection.executemany(
                "UPDATE answers SET used_at = ? WHERE key = ?",
                [(used_at, key) for key, used_at in used.items()],
            )
            work(connection)

        self._attempt(lambda database: database.write(both), None, is_change=True)

    def _attempt(
        self, work: Callable[[Database], _T], otherwise: _T, *, is_change: bool = False
    ) -> _T:
        database = self._database
        if database is None or (is_change and self._is_stuck):
            return otherwise
        try:
            return work(database)
        except (LibraryBusyError, LibraryFormatError, OSError) as error:
            # Once is enough where a disk is full, and each wait for another process takes long.
            self._is_stuck |= isinstance(error, LibraryBusyError)
            log.log(logging.DEBUG if self._has_warned else logging.WARNING, "%s", error)
            self._has_warned = True
            return otherwise


def _find(connection: Connection, key: str) -> tuple[CachedAnswer, float] | None:
    rows = all_rows(connection, _GET, (key,))
    if not rows:
        return None
    status, head, body, stored_at, expires_at, used_at = rows[0]
    with decoding():
        url, headers = json.loads(head)
        texts = [url, *headers, *headers.values()]
        if not (type(status) is int and type(body) is bytes and all(type(t) is str for t in texts)):
            raise TypeError("an answer is none")
        response = Response(status, url, headers, body)
        answer = CachedAnswer(response, float(stored_at), float(expires_at), headers.get("etag"))
        return answer, float(used_at)


def _salt(connection: Connection) -> bytes:
    with decoding():
        salt = all_rows(connection, "SELECT value FROM meta WHERE key = 'salt'")[0][0]
        if type(salt) is not bytes or len(salt) != SALT_BYTES:
            raise TypeError("the salt is none")
        return salt


def _evict(connection: Connection, max_bytes: int) -> None:
    """Throw away what was not used for longest until the file has room again."""
    while True:
        excess = int(all_rows(connection, _USED_BYTES)[0][0]) - max_bytes
        doomed = []
        for row_id, body_bytes in connection.execute(_LONGEST_UNUSED):
            if excess <= 0:
                break
            doomed.append((row_id,))
            excess -= body_bytes + ROW_BYTES
        if not doomed:
            return
        connection.executemany("DELETE FROM answers WHERE id = ?", doomed)
