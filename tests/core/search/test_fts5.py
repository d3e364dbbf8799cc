"""The index stays equal to the table, and a difference is seen and repaired."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from modelcellar.index import MIGRATIONS
from modelcellar.search import fts5
from tests.core.search.conftest import Catalog

NAMES = ", ".join(fts5.COLUMNS)
CatalogOf = Callable[..., Catalog]


def found(connection: apsw.Connection, word: str) -> list[int]:
    """Rowids the index gives, straight, without a look at the table."""
    rows = connection.execute("SELECT rowid FROM models_fts WHERE models_fts MATCH ?", (word,))
    return [rowid for (rowid,) in rows]


def insert(connection: apsw.Connection, verb: str, rowid: int, name: str, tail: str = "") -> None:
    connection.execute(
        f"{verb} INTO models (rowid, id, type, format, size_bytes, added_at, content_digest,"
        " manifest, manifest_mtime_ns, manifest_size_bytes, name)"
        f" VALUES (?1, 'id' || ?1, '', '', 0, '', '', x'', 0, 0, ?2) {tail}",
        (rowid, name),
    )


def pragma_integrity_check(connection: apsw.Connection) -> str:
    return str(connection.execute("PRAGMA integrity_check").get)


@pytest.fixture
def connection(catalog: Catalog) -> apsw.Connection:
    insert(catalog.connection, "INSERT", 1, "alpha")
    insert(catalog.connection, "INSERT", 2, "beta")
    return catalog.connection


# Our triggers


def test_insert_update_and_delete_are_followed(connection: apsw.Connection) -> None:
    assert found(connection, "alpha") == [1]
    connection.execute("UPDATE models SET name = 'gamma', tags = 'delta' WHERE rowid = 1")
    assert found(connection, "alpha") == []
    assert found(connection, "gamma") == found(connection, "delta") == [1]
    connection.execute("DELETE FROM models WHERE rowid = 1")
    assert found(connection, "gamma") == found(connection, "delta") == []
    assert fts5.integrity_check(connection)


def test_every_column_is_indexed_and_followed(connection: apsw.Connection) -> None:
    for column in fts5.COLUMNS[:-1]:
        connection.execute(f"UPDATE models SET {column} = 'only{column}' WHERE rowid = 2")
        word = f"only{column}".replace("_", " + ")
        assert found(connection, f"{column} : {word}") == [2]
    connection.execute("UPDATE models SET type = 'text_encoder', format = 'gguf' WHERE rowid = 2")
    assert found(connection, 'kinds : "\ue000ttextencoder" AND "\ue000fgguf"') == [2]
    assert fts5.integrity_check(connection)


def test_upsert_and_change_of_rowid_are_followed(connection: apsw.Connection) -> None:
    tail = "ON CONFLICT (id) DO UPDATE SET name = excluded.name"
    insert(connection, "INSERT", 1, "gamma", tail)
    assert (found(connection, "alpha"), found(connection, "gamma")) == ([], [1])
    connection.execute("UPDATE models SET rowid = 9 WHERE rowid = 1")
    assert found(connection, "gamma") == [9]
    assert fts5.integrity_check(connection)


def test_rollback_takes_the_index_back(connection: apsw.Connection) -> None:
    connection.execute("BEGIN; UPDATE models SET name = 'gamma'; DELETE FROM models; ROLLBACK")
    assert (found(connection, "alpha"), found(connection, "gamma")) == ([1], [])
    assert fts5.integrity_check(connection)


def test_other_columns_do_not_touch_the_index(connection: apsw.Connection) -> None:
    before = connection.total_changes()
    connection.execute("UPDATE models SET verified_at = 'now' WHERE rowid = 1")
    assert connection.total_changes() - before == 1
    connection.execute("UPDATE models SET name = 'new' WHERE rowid = 1")
    assert connection.total_changes() - before > 2


# The faults that stay silent: each leaves a hit for text that is gone, while SQLite's own check
# is content. Only a comparison with the table sees it.

WRONG_BODIES = {
    "plain delete": "DELETE FROM models_fts WHERE rowid = old.rowid;",
    "rowid only": "INSERT INTO models_fts(models_fts, rowid) VALUES ('delete', old.rowid);",
}


def add_new_values() -> str:
    values = ", ".join(f"new.{column}" for column in fts5.COLUMNS)
    return f"INSERT INTO models_fts(rowid, {NAMES}) VALUES (new.rowid, {values});"


def assert_silently_damaged(connection: apsw.Connection, gone: str) -> None:
    assert found(connection, gone), "the stale hit"
    assert pragma_integrity_check(connection) == "ok"
    assert not fts5.integrity_check(connection)
    fts5.rebuild(connection)
    assert not found(connection, gone)
    assert fts5.integrity_check(connection)


@pytest.mark.parametrize("body", WRONG_BODIES.values(), ids=WRONG_BODIES)
@pytest.mark.parametrize("change", ["update", "delete"])
def test_wrong_trigger_is_seen(connection: apsw.Connection, body: str, change: str) -> None:
    connection.execute("DROP TRIGGER models_fts_update; DROP TRIGGER models_fts_delete")
    connection.execute(f"CREATE TRIGGER wrong_delete AFTER DELETE ON models BEGIN {body} END")
    connection.execute(
        f"CREATE TRIGGER wrong_update AFTER UPDATE ON models BEGIN {body} {add_new_values()} END"
    )
    if change == "update":
        connection.execute("UPDATE models SET name = 'gamma' WHERE rowid = 1")
    else:
        connection.execute("DELETE FROM models WHERE rowid = 1")
    assert_silently_damaged(connection, "alpha")


def test_replace_is_damage_unless_triggers_recurse(connection: apsw.Connection) -> None:
    connection.execute("PRAGMA recursive_triggers = ON")
    insert(connection, "INSERT OR REPLACE", 2, "gamma")
    assert found(connection, "beta") == []
    assert fts5.integrity_check(connection)
    connection.execute("PRAGMA recursive_triggers = OFF")
    insert(connection, "INSERT OR REPLACE", 1, "gamma")
    assert_silently_damaged(connection, "alpha")


def test_other_errors_of_the_check_are_raised(connection: apsw.Connection) -> None:
    connection.execute("DROP TABLE models_fts")
    with pytest.raises(apsw.SQLError, match="models_fts"):
        fts5.integrity_check(connection)


# Migration


def make_catalog(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    for migration in MIGRATIONS:
        migration(connection)
    insert(connection, "INSERT", 1, "alpha")
    return connection


def test_migration_indexes_what_is_there_and_then_rests(tmp_path: Path) -> None:
    connection = make_catalog(tmp_path / "catalog.db")
    assert fts5.migrate_to_fts5(connection)
    assert found(connection, "alpha") == [1]
    assert fts5.integrity_check(connection)
    changes = connection.total_changes()
    assert not fts5.migrate_to_fts5(connection)
    assert connection.total_changes() == changes
    connection.close()
    reopened = apsw.Connection(str(tmp_path / "catalog.db"))
    assert not fts5.migrate_to_fts5(reopened)
    assert found(reopened, "alpha") == [1]


def test_another_definition_is_replaced(tmp_path: Path) -> None:
    connection = make_catalog(tmp_path / "catalog.db")
    connection.execute("CREATE VIRTUAL TABLE models_fts USING fts5(name)")
    connection.execute("INSERT INTO models_fts VALUES ('old index')")
    connection.execute(
        "CREATE TRIGGER models_fts_insert AFTER INSERT ON models "
        "BEGIN INSERT INTO models_fts VALUES (new.name); END"
    )
    connection.execute("INSERT INTO meta VALUES (?, 'another')", (fts5.DEFINITION_KEY,))
    assert fts5.migrate_to_fts5(connection)
    insert(connection, "INSERT", 2, "beta")
    assert (found(connection, "old"), found(connection, "beta")) == ([], [2])
    assert fts5.integrity_check(connection)
    assert not fts5.migrate_to_fts5(connection)


@pytest.mark.parametrize(
    "lost", ["TABLE models_fts", *(f"TRIGGER {name}" for name in fts5.TRIGGERS)]
)
def test_a_lost_part_is_made_again(connection: apsw.Connection, lost: str) -> None:
    connection.execute(f"DROP {lost}")
    assert fts5.migrate_to_fts5(connection)
    insert(connection, "INSERT", 3, "gamma")
    assert found(connection, "gamma") == [3]
    assert fts5.integrity_check(connection)


def test_a_failed_migration_leaves_the_old_index(tmp_path: Path) -> None:
    connection = make_catalog(tmp_path / "catalog.db")
    connection.execute("CREATE VIRTUAL TABLE models_fts USING fts5(name)")
    connection.execute("INSERT INTO models_fts VALUES ('old index')")
    # The last statement of the migration fails, after the index was dropped and built anew.
    connection.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON meta BEGIN SELECT raise(ABORT, 'refused'); END"
    )
    schema = list(connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name"))
    with pytest.raises(apsw.ConstraintError, match="refused"):
        fts5.migrate_to_fts5(connection)
    assert list(connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name")) == schema
    assert found(connection, "old") == [1]


def test_several_openers_at_once_make_one_index(tmp_path: Path) -> None:
    for attempt in range(10):
        path = tmp_path / f"catalog{attempt}.db"
        first = make_catalog(path)
        first.execute("PRAGMA journal_mode = WAL")
        connections = [apsw.Connection(str(path)) for _ in range(4)]
        for connection in connections:
            connection.set_busy_timeout(30_000)
        barrier = threading.Barrier(len(connections))

        def migrate(connection: apsw.Connection, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait()
            return fts5.migrate_to_fts5(connection)

        with ThreadPoolExecutor(len(connections)) as pool:
            changed = list(pool.map(migrate, connections))
        assert sorted(changed) == [False, False, False, True]
        assert fts5.integrity_check(first)


def test_migration_inside_a_transaction_can_be_taken_back(tmp_path: Path) -> None:
    connection = make_catalog(tmp_path / "catalog.db")
    connection.execute("BEGIN")
    assert fts5.migrate_to_fts5(connection)
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%fts%'").get == 0
    assert fts5.migrate_to_fts5(connection)


def test_triggers_can_be_made_again(connection: apsw.Connection) -> None:
    fts5.create_fts5_triggers(connection)
    insert(connection, "INSERT", 3, "gamma")
    assert found(connection, "gamma") == [3]
    assert fts5.integrity_check(connection)
