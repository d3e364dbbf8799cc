"""A SQLite file that can be filled again: opened, shared, brought up to date, set aside if damaged.

One connection reads and one writes, so that in WAL mode no reader ever waits for a writer, neither
one of this process nor of another. Whoever opens the file or sets it aside holds a lock file: a
new database must never meet the WAL of the one that lay there before.
"""

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import apsw

from modelcellar.errors import LibraryBusyError, LibraryFormatError
from modelcellar.index_file import DAMAGED, disk_errors
from modelcellar.io.locking import try_lock

__all__ = ["Connection", "Database", "Schema", "all_rows", "decoding"]

log = logging.getLogger(__name__)

Connection = apsw.Connection
WAL_BYTES = 16 << 20
"""To this size the WAL is cut back after a checkpoint."""
PAGE_CACHE_KIB = 32 << 10
_T = TypeVar("_T")
_SqlValue = str | bytes | int | float | None
_Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file holds: ``kind`` in words, its ``application_id``, and the SQL of each version.

    ``migrations[n]`` brings ``user_version`` from ``n`` to ``n + 1``.
    """

    kind: str
    application_id: int
    migrations: tuple[str, ...]


class Database:
    """The database at ``path``, for any number of threads and processes.

    Args:
        path: its file; the folder is made. Only the user may read the file: answers of private
            repositories are in there.
        schema: what it holds.
        lock_timeout_s: how long to wait for another process.
        durable: each :meth:`write` is on the disk when it returns, power cut or not.

    Raises:
        LibraryFormatError: the file belongs to another program or to a newer version; it stays.
        LibraryBusyError: another process did not let go of it in time.
        OSError: the disk is full or fails, or the folder cannot be written to.
    """

    def __init__(
        self, path: Path, schema: Schema, *, lock_timeout_s: float = 10.0, durable: bool = False
    ) -> None:
        self.path = path
        self._schema = schema
        self._synchronous = "FULL" if durable else "NORMAL"
        self._timeout_s = lock_timeout_s
        # Taken in this order where both are.
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._is_closed = False
        self._open()

    def read(self, work: Callable[[Connection], _T]) -> _T:
        """What ``work`` finds; it may be called twice, the second time on an empty database.

        Raises:
            as the constructor; a file that proves damaged is set aside and made anew.
        """
        return self._twice(lambda: self._read(work))

    def write(self, work: Callable[[Connection], _T]) -> _T:
        """Do ``work`` in one transaction that holds the write lock; all of it or nothing.

        Raises:
            as :meth:`read`.
        """
        return self._twice(lambda: self._write(work))

    def compact(self) -> None:
        """Give the space of what was deleted back to the file system, if nobody is reading."""
        with self._writing, self._told(self._writer), suppress(apsw.BusyError):
            self._writer.execute("VACUUM")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close both connections; the file stays. May be called twice."""
        with self._writing, self._reading:
            self._is_closed = True
            self._writer.close()
            self._reader.close()

    def _twice(self, work: Callable[[], _T]) -> _T:
        file = self._file
        try:
            return work()
        except DAMAGED as error:
            self._make_anew(file, error)
        try:
            return work()
        except DAMAGED as error:
            raise LibraryFormatError(
                f"{self.path} was damaged, was made anew and is damaged again: {error}",
                "Check the disk, or remove the file.",
            ) from error

    def _read(self, work: Callable[[Connection], _T]) -> _T:
        with self._reading, self._told(self._reader):
            return work(self._reader)

    def _write(self, work: Callable[[Connection], _T]) -> _T:
        file = self._file
        if _identity(self.path) != file:
            # Set aside by another process, or removed: what is written there would be lost.
            self._make_anew(file, None)
        with self._writing, self._told(self._writer), _transaction(self._writer):
            return work(self._writer)

    @contextmanager
    def _told(self, connection: Connection) -> Iterator[None]:
        """Turns errors of SQLite into ours, but those that mean damage."""
        try:
            with disk_errors(self.path, connection):
                yield
        except (apsw.BusyError, apsw.ProtocolError) as error:
            raise self._busy() from error
        except apsw.ConnectionClosedError as error:
            raise OSError(errno.EBADF, "the database is closed", str(self.path)) from error

    def _busy(self) -> LibraryBusyError:
        return LibraryBusyError(
            f"another process holds {self.path}", "Wait for it to end, then run this again."
        )

    def _make_anew(self, file: _Identity, error: Exception | None) -> None:
        with self._writing, self._reading:
            if self._is_closed or self._file != file:
                return  # or another thread was faster
            self._writer.close()
            self._reader.close()
            self._open(file, error)

    def _open(self, bad: _Identity | None = None, error: Exception | None = None) -> None:
        """Open the file, making it anew if it is the ``bad`` one or proves to be bad now."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = try_lock(self.path.with_name(f"{self.path.name}.lock"), self._timeout_s)
        if lock is None:
            raise self._busy()
        try:
            # Another process may have set it aside already.
            if error is not None and _identity(self.path) == bad:
                _set_aside(self.path, error)
            try:
                self._connect()
            except DAMAGED as found:
                _set_aside(self.path, found)
                self._connect()
        finally:
            lock.release()

    def _connect(self) -> None:
        if not self.path.exists():
            # Those of a file that lay here before: a new one must not meet them.
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            # Only where there is none yet: closing a file takes the locks that SQLite holds on it
            # in this process (https://www.sqlite.org/howtocorrupt.html, 2.2).
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with ExitStack() as on_failure:
            writer = self._connection(on_failure)
            with self._told(writer):
                _version(self.path, writer, self._schema)
                _switch_to_wal(writer, self._timeout_s)
                _migrate(self.path, writer, self._schema)
            reader = self._connection(on_failure)
            with self._told(reader):
                reader.execute("PRAGMA query_only = ON")
                # The WAL is opened with the first read, which so happens under the lock file.
                _version(self.path, reader, self._schema)
            on_failure.pop_all()
        self._writer, self._reader, self._file = writer, reader, _identity(self.path)

    def _connection(self, on_failure: ExitStack) -> Connection:
        try:
            name = os.fsencode(self.path).decode()
        except UnicodeDecodeError:
            text = "SQLite takes no path that is not UTF-8"
            raise OSError(errno.EILSEQ, text, os.fspath(self.path)) from None
        with disk_errors(self.path):
            connection = Connection(name)
        on_failure.callback(connection.close)
        connection.set_busy_timeout(int(self._timeout_s * 1000))
        # What a stranger's schema could bring along: functions with side effects, triggers, views.
        connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0)
        with self._told(connection):
            # NORMAL: a power cut may take the last changes with it, but never damages a WAL file.
            connection.execute(
                f"PRAGMA synchronous = {self._synchronous}; PRAGMA cell_size_check = ON;"
                f"PRAGMA cache_size = -{PAGE_CACHE_KIB}; PRAGMA journal_size_limit = {WAL_BYTES}"
            )
        return connection


def all_rows(
    connection: Connection, statement: str, values: tuple[_SqlValue, ...] = ()
) -> list[tuple[Any, ...]]:
    """What a statement finds. Values are of any type where the file is not of our making."""
    return connection.execute(statement, values).fetchall()


@contextmanager
def decoding() -> Iterator[None]:
    """Rows that do not hold what was put there mean that the file is damaged."""
    try:
        yield
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise apsw.CorruptError(f"a row does not hold what it should: {error}") from error


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        # Nothing is left to roll back after a commit, or where SQLite did it by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _version(path: Path, connection: Connection, schema: Schema) -> int:
    """The version of the schema; 0 is an empty file.

    Raises:
        LibraryFormatError: another program's, or a newer version's.
        apsw.CorruptError: no version at all.
    """
    version, application_id, tables = all_rows(
        connection,
        "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema) "
        "FROM pragma_user_version, pragma_application_id",
    )[0]
    if version < 0:
        raise apsw.CorruptError(f"its version is {version}")
    if application_id != schema.application_id and (tables or version or application_id):
        raise LibraryFormatError(
            f"{path} is a database of another program",
            f"Move it away; modelcellar makes its {schema.kind} anew.",
        )
    if version > len(schema.migrations):
        raise LibraryFormatError(
            f"{path} was made by a newer modelcellar (schema {version})",
            f"Update modelcellar, or remove the file to have the {schema.kind} made anew.",
        )
    return int(version)


def _switch_to_wal(connection: Connection, timeout_s: float) -> None:
    # SQLite answers BUSY to the switch into WAL without asking the busy handler.
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _migrate(path: Path, connection: Connection, schema: Schema) -> None:
    version = _version(path, connection, schema)
    if version == len(schema.migrations):
        return
    # No other process is at it: the lock file is ours.
    with _transaction(connection):
        for step in schema.migrations[version:]:
            connection.execute(step)
        connection.execute(f"PRAGMA application_id = {schema.application_id}")
        connection.execute(f"PRAGMA user_version = {len(schema.migrations)}")


def _identity(path: Path) -> _Identity:
    """Which file lies there now; (0, 0) if none does."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def _set_aside(path: Path, error: Exception) -> None:
    """Rename a damaged database; processes that have it open notice that it was moved."""
    log.warning("%s is damaged (%s); it is set aside and made anew", path, error)
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        with suppress(FileNotFoundError):
            part.replace(part.with_name(f"{part.name}.damaged"))
