"""What is found without ranking: rows by a condition, in the order of names or as asked."""

import apsw

from modelcellar.search.conditions import Where
from modelcellar.search.fields import SORTS
from modelcellar.search.found import Found
from modelcellar.search.parser import Query

__all__ = ["listed"]

MAX_CHECKED = 10_000
"""Rows that are each looked up in the index; for more, it is quicker to read all it has."""


def listed(
    connection: apsw.Connection, query: Query, where: Where, *, limit: int, offset: int
) -> Found:
    """The models of which ``where`` is true, in the order that was asked for, else by name."""
    key = (query.sort or "").rstrip("-")
    order = f"{SORTS[key]} {'DESC' if query.sort != key else 'ASC'}," if key else ""
    total = _total(connection, where)
    statement = (
        f"{_rows(where, one_by_one=_is_soon_full(connection, where, total, limit + offset))} "
        f"ORDER BY {order} {where.name} COLLATE NOCASE, {where.rowid} LIMIT ? OFFSET ?"
    )
    rows = connection.execute(statement, (*where.values, limit, offset))
    return Found(total, tuple(rowid for (rowid,) in rows), _rows(where), where.values)


def _rows(where: Where, *, one_by_one: bool = False) -> str:
    """All of them, as a SELECT of ``rowid``."""
    sql = where.one_by_one if one_by_one else where.sql
    condition = f"WHERE {sql}" if sql else ""
    return f"SELECT {where.rowid} AS rowid FROM {where.source} {condition}"


def _total(connection: apsw.Connection, where: Where) -> int:
    if where.sql and not where.is_exclusion:
        total: int = connection.execute(
            f"SELECT count(*) FROM {where.source} WHERE {where.sql}", where.values
        ).get
        return total
    all_models = _models(connection)
    if not where.sql:
        return all_models
    found = "SELECT count(*) FROM models_fts WHERE models_fts MATCH ?"
    excluded: int = connection.execute(found, where.values).get
    return all_models - excluded


def _models(connection: apsw.Connection) -> int:
    """How many there are. FTS5's own table of them is the narrowest to count: at 1,000,000 it took
    a millisecond, the best index of ``models`` 50."""
    found: int = connection.execute("SELECT count(*) FROM models_fts_docsize").get
    return found


def _is_soon_full(connection: apsw.Connection, where: Where, total: int, wanted: int) -> bool:
    """Whether so many rows are found before `MAX_CHECKED` have been looked at."""
    return where.is_exclusion and wanted * _models(connection) < MAX_CHECKED * total
