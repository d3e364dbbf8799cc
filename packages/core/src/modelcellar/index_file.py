"""The file of the catalog: opened, brought up to date, written in transactions.

apsw brings its own SQLite, because every SQLite before 3.51.3 has a WAL race that can damage a
database.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw

from modelcellar.errors import LibraryFormatError
from modelcellar.index_schema import APPLICATION_ID, SqlValue

__all__ = ["BUSY", "DAMAGED", "CatalogFile", "Migration", "disk_errors"]

DAMAGED = (
    apsw.CorruptError,
    apsw.NotADBError,
    # Damage inside the schema or a row can leave well-formed SQL or a well-formed value. With a
    # sound file our own statements never raise these.
    apsw.SQLError,
    apsw.ConstraintError,
    apsw.MismatchError,
    apsw.TooBigError,
    UnicodeDecodeError,
)
"""What is raised when the catalog file is no good; the manifests are, so it is made anew."""

BUSY = (apsw.BusyError,)
"""What is raised when another process did not let go of the file in time."""

CACHE_KIB = 32 << 10
"""SQLite's 2 MiB are less than the pages that a batch of an import touches."""

BUSY_TIMEOUT_MS = 10_000
KEPT_BACKUPS = 3

_DISK_ERRNO = {
    apsw.FullError: errno.ENOSPC,
    apsw.IOError: errno.EIO,
    apsw.ReadOnlyError: errno.EROFS,
    apsw.CantOpenError: errno.EACCES,
}


@contextmanager
def disk_errors(path: Path, connection: apsw.Connection | None = None) -> Iterator[None]:
    """Turns what SQLite says about the disk into an ``OSError`` that names the file."""
    try:
        yield
    except tuple(_DISK_ERRNO) as error:
        # A full disk can also be an I/O error: SQLITE_IOERR_SHMSIZE, when the WAL's index grows.
        number = _DISK_ERRNO.get(type(error), errno.EIO)
        if connection is not None and not isinstance(error, apsw.FullError):
            number = connection.system_errno or number
        raise OSError(number, os.strerror(number), str(path)) from error


Migration = Callable[[apsw.Connection], None]


class CatalogFile:
    """One connection to the catalog file, brought up to date when it is opened.

    Args:
        path: the database file; its folder exists.
        migrations: the steps from an empty file to the newest schema.

    Raises:
        LibraryFormatError: the file belongs to another program or to a newer version.
        OSError: the disk is full or fails, or the folder cannot be written to.
        apsw.Error: one of ``DAMAGED``: the file may be set aside and rebuilt.
    """

    def __init__(
        self,
        path: Path,
        *,
        migrations: Sequence[Migration],
    ) -> None:
        self.path = path
        with disk_errors(path):
            self.connection = apsw.Connection(str(path))
        with ExitStack() as on_failure, disk_errors(path, self.connection):
            on_failure.callback(self.connection.close)
            self.connection.set_busy_timeout(BUSY_TIMEOUT_MS)
            # Before anything is written: a file that is not ours stays as it is.
            self._version(len(migrations))
            self._configure()
            self._migrate(migrations)
            on_failure.pop_all()

    def close(self) -> None:
        """Close the connection; the catalog stays."""
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A write transaction that takes the write lock at once and rolls back on any error.

        Raises:
            OSError: the disk is full or fails.
        """
        with disk_errors(self.path, self.connection), ExitStack() as at_end:
            self.connection.execute("BEGIN IMMEDIATE")
            at_end.callback(self._roll_back)
            yield
            self.connection.execute("COMMIT")

    def value(self, statement: str, *values: SqlValue) -> SqlValue:
        row = self.connection.execute(statement, values).fetchone()
        return None if row is None else row[0]

    def ids(self, statement: str, *values: SqlValue) -> list[str]:
        found = self.connection.execute(statement, values)
        return [str(model_id) for (model_id,) in found]

    def _roll_back(self) -> None:
        # Nothing is left to roll back after a commit, or where SQLite did it by itself.
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def _configure(self) -> None:
        # SQLite answers BUSY to the switch into WAL without asking the busy handler.
        deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
        while True:
            try:
                self.connection.execute("PRAGMA journal_mode = WAL")
                break
            except apsw.BusyError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        self.connection.execute(
            f"PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA cache_size = -{CACHE_KIB}"
        )

    def _migrate(self, migrations: Sequence[Migration]) -> None:
        newest = len(migrations)
        version = self._version(newest)
        if version == newest:
            return
        if version > 0:
            self._back_up(version)
        with self.transaction():
            # Another process may have done it while this one waited for the write lock.
            for step in migrations[self._version(newest) :]:
                step(self.connection)
            self.connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self.connection.execute(f"PRAGMA user_version = {newest}")

    def _version(self, newest: int) -> int:
        # One statement, because another process may be making the tables at this moment.
        found, application_id, tables = self.connection.execute(
            "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema) "
            "FROM pragma_user_version, pragma_application_id"
        ).fetchall()[0]
        version = int(str(found))
        if application_id != APPLICATION_ID and (tables or version):
            raise LibraryFormatError(
                f"{self.path} is a database of another program",
                "Move it away; modelcellar makes its catalog anew from the manifests.",
            )
        if version > newest:
            raise LibraryFormatError(
                f"{self.path} was made by a newer modelcellar (schema {version})",
                "Update modelcellar, or move the file away to have it made anew.",
            )
        return version

    def _back_up(self, version: int) -> None:
        target = self.path.with_name(f"{self.path.name}.before-{version + 1}-{time.time_ns()}")
        self.connection.execute("VACUUM INTO ?", (str(target),))
        backups = self.path.parent.glob(f"{self.path.name}.before-*")
        kept = sorted(backups, key=lambda backup: backup.stat().st_mtime_ns)
        for old in kept[:-KEPT_BACKUPS]:
            old.unlink()
