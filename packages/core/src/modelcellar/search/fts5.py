"""The FTS5 indexes over the table ``models``: their definition, their triggers, their care.

``models_fts`` holds words, ``models_names`` every three neighbouring characters of the names.

They keep no copy of the text (external content), so SQLite cannot know by itself when the
two differ: the triggers must hand back ALL the old values of a row that changes, as documented at
https://www.sqlite.org/fts5.html#external_content_tables. ``PRAGMA integrity_check`` does not see a
difference; `integrity_check` does.

Who writes to ``models`` must not use ``INSERT OR REPLACE`` unless ``PRAGMA recursive_triggers`` is
on: without it SQLite deletes the replaced row without a delete trigger. UPSERT is fine.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from modelcellar.search.vocabulary import refill

__all__ = [
    "COLUMNS",
    "DEFINITION",
    "DEFINITION_KEY",
    "MAX_PREFIX",
    "create_fts5_triggers",
    "integrity_check",
    "migrate_to_fts5",
    "rebuild",
]

logger = logging.getLogger(__name__)

COLUMNS = ("name", "words", "tags", "family_text", "author", "description", "extension", "kinds")
"""The indexed columns of ``models``, in the order of the index."""

_NAMES = ", ".join(COLUMNS)
_CHANGING = ", ".join((*COLUMNS[:-1], "type", "format"))
"""What changes them; ``kinds`` is made of the last two."""

_OLD = ", ".join(f"old.{column}" for column in COLUMNS)
_NEW = ", ".join(f"new.{column}" for column in COLUMNS)
_REMOVE = (
    f"INSERT INTO models_fts(models_fts, rowid, {_NAMES}) VALUES ('delete', old.rowid, {_OLD});"
)
_ADD = f"INSERT INTO models_fts(rowid, {_NAMES}) VALUES (new.rowid, {_NEW});"

MAX_PREFIX = 6
"""Characters of the longest beginnings of words that are ready in the index."""

TABLE = (
    f"CREATE VIRTUAL TABLE models_fts USING fts5({_NAMES}, content='models', "
    "content_rowid='rowid', tokenize='unicode61 remove_diacritics 2', "
    f"prefix='2 3 4 5 {MAX_PREFIX}')"
)

NAMES_TABLE = (
    "CREATE VIRTUAL TABLE models_names USING fts5(name, content='models', content_rowid='rowid', "
    "tokenize='trigram remove_diacritics 1', columnsize=0)"
)

_REMOVE_NAME = (
    "INSERT INTO models_names(models_names, rowid, name) VALUES ('delete', old.rowid, old.name);"
)
_ADD_NAME = "INSERT INTO models_names(rowid, name) VALUES (new.rowid, new.name);"

TRIGGERS = {
    "models_fts_insert": (
        f"CREATE TRIGGER models_fts_insert AFTER INSERT ON models BEGIN {_ADD} END"
    ),
    "models_fts_delete": (
        f"CREATE TRIGGER models_fts_delete AFTER DELETE ON models BEGIN {_REMOVE} END"
    ),
    "models_fts_update": (
        f"CREATE TRIGGER models_fts_update AFTER UPDATE OF rowid, {_CHANGING} ON models "
        f"BEGIN {_REMOVE} {_ADD} END"
    ),
    "models_names_insert": (
        f"CREATE TRIGGER models_names_insert AFTER INSERT ON models BEGIN {_ADD_NAME} END"
    ),
    "models_names_delete": (
        f"CREATE TRIGGER models_names_delete AFTER DELETE ON models BEGIN {_REMOVE_NAME} END"
    ),
    "models_names_update": (
        "CREATE TRIGGER models_names_update AFTER UPDATE OF rowid, name ON models "
        f"BEGIN {_REMOVE_NAME} {_ADD_NAME} END"
    ),
}

TABLES = {"models_fts": TABLE, "models_names": NAMES_TABLE}

DEFINITION = (*TABLES.values(), *TRIGGERS.values())
"""Every statement that makes the indexes. Their hash tells whether a catalog has these very ones.
"""

_HASH = hashlib.sha256("\n".join(DEFINITION).encode()).hexdigest()

DEFINITION_KEY = "fts5_definition"
"""The key of that hash in the table ``meta``."""


def migrate_to_fts5(connection: apsw.Connection) -> bool:
    """Gives the catalog this version's index, built from ``models``; True when it had to.

    Needs the tables ``models`` (the columns of `COLUMNS`, TEXT NOT NULL) and ``meta(key PRIMARY
    KEY, value)``. All in one transaction: the old index stays when it fails. Raises apsw.Error.
    """
    if _is_current(connection):
        return False
    with _writing(connection):
        if _is_current(connection):
            return False  # Another process made it while this one waited to write.
        for name in TRIGGERS:
            connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        for name, statement in TABLES.items():
            connection.execute(f"DROP TABLE IF EXISTS {name}")
            connection.execute(statement)
        create_fts5_triggers(connection)
        rebuild(connection)
        connection.execute(
            "INSERT INTO meta(key, value) VALUES (?, ?) "
            "ON CONFLICT(key) DO UPDATE SET value = excluded.value",
            (DEFINITION_KEY, _HASH),
        )
    logger.info("built the search index of %s", connection.filename or "a catalog in memory")
    return True


def create_fts5_triggers(connection: apsw.Connection) -> None:
    """Makes the triggers that keep the index equal to ``models``, replacing those of that name."""
    with connection:
        for name, statement in TRIGGERS.items():
            connection.execute(f"DROP TRIGGER IF EXISTS {name}")
            connection.execute(statement)


def integrity_check(connection: apsw.Connection) -> bool:
    """Whether the index is whole and equal to ``models``. Reads every row; needs to write.

    Rank 1 makes FTS5 compare with the content table; without it only the index itself is read.
    """
    try:
        for name in TABLES:
            connection.execute(f"INSERT INTO {name}({name}, rank) VALUES ('integrity-check', 1)")
    except apsw.CorruptError:
        return False
    return True


def rebuild(connection: apsw.Connection) -> None:
    """Makes the indexes anew from ``models``, and the words to suggest. Raises apsw.Error."""
    with connection:
        for name in TABLES:
            connection.execute(f"INSERT INTO {name}({name}) VALUES ('rebuild')")
        refill(connection)


def _is_current(connection: apsw.Connection) -> bool:
    found = connection.execute("SELECT value FROM meta WHERE key = ?", (DEFINITION_KEY,)).get
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    return found == _HASH and there.issuperset([*TABLES, *TRIGGERS])


@contextmanager
def _writing(connection: apsw.Connection) -> Iterator[None]:
    """A transaction that waits its turn to write before it reads; a savepoint within another.

    One that reads first is refused at once when another process has written in between. Not
    ``transaction_mode``: apsw keeps the interpreter to itself while that one waits, and the thread
    it waits for can never finish.
    """
    if connection.in_transaction:
        with connection:
            yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if not connection.get_autocommit():
            connection.execute("ROLLBACK")
