"""The catalog: a SQLite file made from the manifests. It may be deleted at any time and rebuilt.

apsw brings its own SQLite, because every SQLite before 3.51.3 has a WAL race that can damage a
database. Each row holds its manifest whole, so a search reads one file instead of thousands.
"""

import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw

from modelcellar import manifest as manifests
from modelcellar import naming
from modelcellar.errors import LibraryFormatError
from modelcellar.index_fields import CREATE_FIELDS, INSERT_FIELDS, author_of, field_values
from modelcellar.index_schema import (
    ADD_AUTHOR,
    ADD_IMAGE_HASHES,
    APPLICATION_ID,
    CREATE_TABLES,
    INSERT_FILE,
    MODELS_BY_DIGEST_START,
    MODELS_CALLED,
    MODELS_WITH_TENSORS,
    NEVER_LOOKED_UP,
    ROWS_TO_READ,
    SET_AUTHOR,
    UNIDENTIFIED,
    UPSERT_MODEL,
    CatalogRow,
    Filter,
    SearchText,
    SqlValue,
)
from modelcellar.manifest import Manifest
from modelcellar.records import ModelRecord

__all__ = [
    "APPLICATION_ID",
    "DAMAGED",
    "MIGRATIONS",
    "SORT_KEYS",
    "Catalog",
    "CatalogRow",
    "Filter",
    "SearchText",
    "disk_errors",
]

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

CACHE_KIB = 32 << 10
"""SQLite's 2 MiB are less than the pages that a batch of an import touches."""

BUSY_TIMEOUT_MS = 10_000
KEPT_BACKUPS = 3
_ORDER = {"name": "name COLLATE NOCASE", "size": "size_bytes", "added": "added_at"}
SORT_KEYS = tuple(_ORDER)


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


def _create_tables(connection: apsw.Connection) -> None:
    connection.execute(CREATE_TABLES)


def _add_image_hashes(connection: apsw.Connection) -> None:
    connection.execute(ADD_IMAGE_HASHES)


def _add_fields(connection: apsw.Connection) -> None:
    """From the manifests in the rows, so that nothing has to be read again."""
    connection.execute(CREATE_FIELDS)
    connection.execute(ADD_AUTHOR)
    for rowid, name, data in connection.execute(ROWS_TO_READ):
        found = _decoded(data, connection.filename)
        record = manifests.to_record(found)
        connection.execute(INSERT_FIELDS, field_values(rowid, name, found, record))
        connection.execute(SET_AUTHOR, (naming.display(author_of(record)), rowid))


def _decoded(data: bytes, origin: str) -> Manifest:
    try:
        return manifests.decode(data, origin)
    except LibraryFormatError as error:
        # Only what can be read is put in, so something has changed it since.
        raise apsw.CorruptError(str(error)) from error


Migration = Callable[[apsw.Connection], None]
MIGRATIONS: tuple[Migration, ...] = (_create_tables, _add_image_hashes, _add_fields)
"""Step ``n`` brings ``user_version`` from ``n`` to ``n + 1``."""


class Catalog:
    """One connection to the catalog file, brought up to date when it is opened.

    Args:
        path: the database file; its folder exists.
        search_text: what of a model goes into the search index.
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
        search_text: Callable[[ModelRecord], SearchText],
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        self.path = path
        self._search_text = search_text
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

    def put(self, rows: Iterable[CatalogRow]) -> None:
        """Insert or replace the rows of these models; within a :meth:`transaction`."""
        for row in rows:
            self._put(row)

    def delete(self, model_ids: Iterable[str]) -> None:
        """Forget these models; within a :meth:`transaction`."""
        statement = "DELETE FROM models WHERE id = ?"
        self.connection.executemany(statement, [(model_id,) for model_id in model_ids])

    def clear(self) -> None:
        """Forget every model; within a :meth:`transaction`.

        Raises:
            apsw.CorruptError: the file is damaged, even where no other statement notices.
        """
        self.connection.execute("DELETE FROM models")
        if (found := self._value("PRAGMA integrity_check(1)")) != "ok":
            raise apsw.CorruptError(str(found))

    def stamp(self) -> str | None:
        """The state of the manifests folder that the rows stand for; see :meth:`set_stamp`."""
        stamp = self._value("SELECT value FROM meta WHERE key = 'manifests_stamp'")
        return None if stamp is None else str(stamp)

    def set_stamp(self, stamp: str) -> None:
        """Remember the state of the manifests folder; within a :meth:`transaction`."""
        self.connection.execute(
            "INSERT INTO meta VALUES ('manifests_stamp', ?) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (stamp,),
        )

    def file_stamps(self) -> dict[str, tuple[int, int]]:
        """Model id -> (mtime in ns, size in bytes) of the manifest each row was made from."""
        rows = self.connection.execute(
            "SELECT id, manifest_mtime_ns, manifest_size_bytes FROM models"
        )
        return {model_id: (mtime_ns, size) for model_id, mtime_ns, size in rows}

    def by_id(self, model_id: str) -> Manifest | None:
        """The manifest of one model."""
        found = self._manifests("SELECT manifest FROM models WHERE id = ?", model_id)
        return found[0] if found else None

    def by_rowids(self, rowids: Sequence[int]) -> list[Manifest]:
        """The manifests of these rows, in the given order."""
        statement = "SELECT manifest FROM models WHERE rowid = ?"
        return [found for rowid in rowids for found in self._manifests(statement, rowid)]

    def by_content(self, content_digest: str) -> Manifest | None:
        """The model with exactly this content."""
        found = self._manifests(
            "SELECT manifest FROM models WHERE content_digest = ? ORDER BY id", content_digest
        )
        return found[0] if found else None

    def has_size(self, size_bytes: int) -> bool:
        """Whether any file of the library has this size."""
        return self._value("SELECT 1 FROM files WHERE size_bytes = ? LIMIT 1", size_bytes) == 1

    def files_of_size(self, size_bytes: int) -> list[tuple[str, str]]:
        """Model id and path inside the model of every file of this size."""
        rows = self.connection.execute(
            "SELECT m.id, f.path FROM files f JOIN models m ON m.rowid = f.model"
            " WHERE f.size_bytes = ? ORDER BY m.id, f.path",
            (size_bytes,),
        )
        return [(model_id, path.decode("utf-8", "surrogateescape")) for model_id, path in rows]

    def same_tensors(self, model: ModelRecord) -> list[str]:
        """Ids of other models that hold the same tensors, whatever their headers say."""
        found: set[str] = set()
        for file in model.files:
            if file.tensor_sha256 is not None:
                found.update(self._ids(MODELS_WITH_TENSORS, file.tensor_sha256))
        return sorted(found - {model.id})

    def resolve(self, text: str) -> list[str]:
        """Ids of the models that ``text`` names: an id, else a name or digest, else a prefix."""
        if not text:
            return []
        # The catalog holds names as they are shown; one that is not UTF-8 could not be bound.
        text = naming.display(text)
        if self._value("SELECT 1 FROM models WHERE id = ?", text):
            return [text]
        exact = self._ids(MODELS_CALLED, text, text.lower())
        if exact:
            return exact
        prefixed = self._ids(
            "SELECT id FROM models WHERE id >= ?1 AND id < ?1 || char(0x10ffff)", text
        )
        if prefixed or len(text) < 6:
            return prefixed
        return self._ids(MODELS_BY_DIGEST_START, text.lower())

    def names(self) -> list[str]:
        """Every model's name, for "did you mean"."""
        return [name for (name,) in self.connection.execute("SELECT DISTINCT name FROM models")]

    def page(self, which: Filter, *, limit: int | None, offset: int) -> tuple[int, list[Manifest]]:
        """How many models there are by ``which``, and one page of them."""
        where = "WHERE (?1 IS NULL OR type = ?1) AND (?2 IS NULL OR format = ?2)"
        values = (which.model_type, which.file_format)
        total = self._value(f"SELECT count(*) FROM models {where}", *values)
        order = _ORDER[which.sort.removeprefix("-")]
        direction = "DESC" if which.sort.startswith("-") else "ASC"
        page = self._manifests(
            f"SELECT manifest FROM models {where} ORDER BY {order} {direction}, id"
            " LIMIT ?3 OFFSET ?4",
            *values,
            -1 if limit is None else limit,
            offset,
        )
        return int(str(total)), page

    def oldest_verified(self) -> list[str]:
        """Every model id, those never verified first, then by the time of the last verification."""
        return self._ids("SELECT id FROM models ORDER BY verified_at IS NOT NULL, verified_at, id")

    def totals(self) -> tuple[int, int]:
        """How many models there are, and the bytes of all their files."""
        statement = "SELECT count(*), coalesce(sum(size_bytes), 0) FROM models"
        ((models, size_bytes),) = self.connection.execute(statement)
        return int(models), int(size_bytes)

    def unidentified(self) -> list[str]:
        """Ids of the models whose origin is not proved, those never asked about first."""
        return self._ids(UNIDENTIFIED)

    def never_looked_up(self) -> int:
        """How many models somebody who may know has not been asked about yet."""
        return int(str(self._value(NEVER_LOOKED_UP)))

    def _put(self, row: CatalogRow) -> None:
        manifest, record = row.manifest, manifests.to_record(row.manifest)
        text = self._search_text(record)
        rowid = self.connection.execute(UPSERT_MODEL, row.model_values(text, record)).get
        values = field_values(rowid, text.name, manifest, record)
        self.connection.execute(INSERT_FIELDS, values)
        self.connection.execute("DELETE FROM files WHERE model = ?", (rowid,))
        self.connection.executemany(INSERT_FILE, row.file_values(rowid))

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

    def _value(self, statement: str, *values: SqlValue) -> SqlValue:
        row = self.connection.execute(statement, values).fetchone()
        return None if row is None else row[0]

    def _ids(self, statement: str, *values: SqlValue) -> list[str]:
        found = self.connection.execute(statement, values)
        return [str(model_id) for (model_id,) in found]

    def _manifests(self, statement: str, *values: SqlValue) -> list[Manifest]:
        rows = self.connection.execute(statement, values)
        return [_decoded(data, str(self.path)) for (data,) in rows]
