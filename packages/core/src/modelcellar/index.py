"""The catalog: a SQLite file made from the manifests. It may be deleted at any time and rebuilt.

Each row holds its manifest whole, so a search reads one file instead of thousands.
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import apsw

from modelcellar import manifest as manifests
from modelcellar import naming
from modelcellar.errors import LibraryFormatError
from modelcellar.index_fields import CREATE_FIELDS, INSERT_FIELDS, author_of, field_values
from modelcellar.index_file import CatalogFile, Migration
from modelcellar.index_schema import (
    ADD_AUTHOR,
    ADD_IMAGE_HASHES,
    ADD_KINDS,
    APPLICATION_ID,
    CREATE_TABLES,
    INSERT_FILE,
    INSERT_WORD,
    MODELS_BY_DIGEST_START,
    MODELS_CALLED,
    MODELS_WITH_TENSORS,
    NEVER_LOOKED_UP,
    ROWS_TO_READ,
    SET_AUTHOR,
    UNIDENTIFIED,
    UNREAD,
    UNREAD_TOTALS,
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
    "MIGRATIONS",
    "SORT_KEYS",
    "Catalog",
    "CatalogRow",
    "Filter",
    "SearchText",
]

_ORDER = {"name": "name COLLATE NOCASE", "size": "size_bytes", "added": "added_at"}
SORT_KEYS = tuple(_ORDER)


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


def _add_kinds(connection: apsw.Connection) -> None:
    connection.execute(ADD_KINDS)


def _decoded(data: bytes, origin: str) -> Manifest:
    try:
        return manifests.decode(data, origin)
    except LibraryFormatError as error:
        # Only what can be read is put in, so something has changed it since.
        raise apsw.CorruptError(str(error)) from error


MIGRATIONS: tuple[Migration, ...] = (_create_tables, _add_image_hashes, _add_fields, _add_kinds)
"""Step ``n`` brings ``user_version`` from ``n`` to ``n + 1``."""


class Catalog(CatalogFile):
    """The catalog's rows. See `CatalogFile` for how it is opened and what that raises.

    Args:
        path: the database file; its folder exists.
        search_text: what of a model goes into the search index.
        migrations: the steps from an empty file to the newest schema.
    """

    def __init__(
        self,
        path: Path,
        *,
        search_text: Callable[[ModelRecord], SearchText],
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        self._search_text = search_text
        super().__init__(path, migrations=migrations)

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
        if (found := self.value("PRAGMA integrity_check(1)")) != "ok":
            raise apsw.CorruptError(str(found))

    def stamp(self) -> str | None:
        """The state of the manifests folder that the rows stand for; see :meth:`set_stamp`."""
        stamp = self.value("SELECT value FROM meta WHERE key = 'manifests_stamp'")
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

    def same_content(self, content_digest: str) -> list[str]:
        """Ids of all models with exactly this content: adopted ones may have twins."""
        return self.ids(
            "SELECT id FROM models WHERE content_digest = ? ORDER BY id", content_digest
        )

    def has_size(self, size_bytes: int) -> bool:
        """Whether any file of the library has this size."""
        return self.value("SELECT 1 FROM files WHERE size_bytes = ? LIMIT 1", size_bytes) == 1

    def files_of_size(self, size_bytes: int) -> list[tuple[str, str]]:
        """Model id and path inside the model of every file of this size."""
        return self._places("f.size_bytes = ?", size_bytes)

    def files_with_sha256(self, sha256: str) -> list[tuple[str, str]]:
        """Model id and path inside the model of every file with this SHA-256."""
        return self._places("f.sha256 = ?", sha256)

    def same_tensors(self, model: ModelRecord) -> list[str]:
        """Ids of other models that hold the same tensors, whatever their headers say."""
        found: set[str] = set()
        for file in model.files:
            if file.tensor_sha256 is not None:
                found.update(self.ids(MODELS_WITH_TENSORS, file.tensor_sha256))
        return sorted(found - {model.id})

    def resolve(self, text: str) -> list[str]:
        """Ids of the models that ``text`` names: an id, else a name or digest, else a prefix."""
        if not text:
            return []
        # The catalog holds names as they are shown; one that is not UTF-8 could not be bound.
        text = naming.display(text)
        if self.value("SELECT 1 FROM models WHERE id = ?", text):
            return [text]
        exact = self.ids(MODELS_CALLED, text, text.lower())
        if exact:
            return exact
        prefixed = self.ids(
            "SELECT id FROM models WHERE id >= ?1 AND id < ?1 || char(0x10ffff)", text
        )
        if prefixed or len(text) < 6:
            return prefixed
        return self.ids(MODELS_BY_DIGEST_START, text.lower())

    def names(self) -> list[str]:
        """Every model's name, for "did you mean"."""
        return [name for (name,) in self.connection.execute("SELECT DISTINCT name FROM models")]

    def page(self, which: Filter, *, limit: int | None, offset: int) -> tuple[int, list[Manifest]]:
        """How many models there are by ``which``, and one page of them."""
        where = "WHERE (?1 IS NULL OR type = ?1) AND (?2 IS NULL OR format = ?2)"
        values = (which.model_type, which.file_format)
        total = self.value(f"SELECT count(*) FROM models {where}", *values)
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
        return self.ids("SELECT id FROM models ORDER BY verified_at IS NOT NULL, verified_at, id")

    def totals(self) -> tuple[int, int]:
        """How many models there are, and the bytes of all their files."""
        statement = "SELECT count(*), coalesce(sum(size_bytes), 0) FROM models"
        ((models, size_bytes),) = self.connection.execute(statement)
        return int(models), int(size_bytes)

    def unread(self) -> list[str]:
        """Ids of the models that were adopted and not read whole yet, the smallest first."""
        return self.ids(UNREAD)

    def unread_totals(self) -> tuple[int, int]:
        """How many models were not read whole yet, and the bytes of all their files."""
        ((models, size_bytes),) = self.connection.execute(UNREAD_TOTALS)
        return int(models), int(size_bytes)

    def unidentified(self) -> list[str]:
        """Ids of the models whose origin is not proved, those never asked about first."""
        return self.ids(UNIDENTIFIED)

    def never_looked_up(self) -> int:
        """How many models somebody who may know has not been asked about yet."""
        return int(str(self.value(NEVER_LOOKED_UP)))

    def _put(self, row: CatalogRow) -> None:
        manifest, record = row.manifest, manifests.to_record(row.manifest)
        text = self._search_text(record)
        rowid = self.connection.execute(UPSERT_MODEL, row.model_values(text, record)).get
        values = field_values(rowid, text.name, manifest, record)
        self.connection.execute(INSERT_FIELDS, values)
        self.connection.execute("DELETE FROM files WHERE model = ?", (rowid,))
        self.connection.executemany(INSERT_FILE, row.file_values(rowid))
        self.connection.executemany(INSERT_WORD, [(word,) for word in sorted(text.known)])

    def _places(self, condition: str, value: SqlValue) -> list[tuple[str, str]]:
        rows = self.connection.execute(
            "SELECT m.id, f.path FROM files f JOIN models m ON m.rowid = f.model"
            f" WHERE {condition} ORDER BY m.id, f.path",
            (value,),
        )
        return [(model_id, path.decode("utf-8", "surrogateescape")) for model_id, path in rows]

    def _manifests(self, statement: str, *values: SqlValue) -> list[Manifest]:
        rows = self.connection.execute(statement, values)
        return [_decoded(data, str(self.path)) for (data,) in rows]
