"""A query as an SQL condition over the catalog's rows, for what the index alone cannot answer."""

from dataclasses import dataclass
from datetime import datetime

from modelcellar.search.fields import SqlValue, part_of, sql_of
from modelcellar.search.parser import Clause, Query
from modelcellar.search.query import clause_expression, column_expression, exclusion_expression

__all__ = ["Where", "conditions_of", "where_of"]

_MATCHES = "IN (SELECT rowid FROM models_fts WHERE models_fts MATCH ?)"


@dataclass(frozen=True, slots=True)
class Where:
    """An SQL condition over ``source``, with the columns of it that number and name a model.

    That is ``model_fields v`` where there are conditions or an order, else ``models m``; never
    both, so that an index gives the order and few rows are read.
    """

    sql: str
    values: tuple[SqlValue, ...]
    source: str
    rowid: str
    name: str


def conditions_of(clause: Clause, now: datetime) -> list[tuple[str, list[SqlValue]]]:
    """The conditions of one alternative over ``model_fields v``, each with its values."""
    found = [sql_of(one, excluded=excluded, now=now) for one, excluded in clause.conditions]
    return [part for part in found if part is not None]


def where_of(query: Query, now: datetime, *, inside: bool = False) -> Where:
    """The whole query; ``inside``: names hold the words, be it inside of other words."""
    values: list[SqlValue] = []
    ways = []
    conditions = [conditions_of(clause, now) for clause in query.alternatives]
    source, rowid, name = "models m", "m.rowid", "m.name"
    if query.sort is not None or any(conditions):
        source, rowid, name = "model_fields v", "v.model", "v.name"
    for clause, fields in zip(query.alternatives, conditions, strict=True):
        parts = [*_words(clause, rowid, name, inside=inside), *fields]
        values += [value for _, some in parts for value in some]
        ways.append(" AND ".join(sql for sql, _ in parts))
    # One alternative without a condition is true of every model.
    sql = " OR ".join(f"({way})" for way in ways) if all(ways) else ""
    return Where(sql, tuple(values) if sql else (), source, rowid, name)


def _words(
    clause: Clause, rowid: str, name: str, *, inside: bool
) -> list[tuple[str, list[SqlValue]]]:
    expression = None if inside else clause_expression(clause)
    if expression is not None:
        return [(f"{rowid} {_MATCHES}", [expression])]
    parts: list[tuple[str, list[SqlValue]]] = [
        (rf"{name} LIKE ? ESCAPE '\'", [part_of(term.text)]) for term in clause.wanted
    ]
    columns = column_expression(clause)
    if columns is not None:
        parts.append((f"{rowid} {_MATCHES}", [columns]))
    exclusion = exclusion_expression(clause)
    if exclusion is not None:
        parts.append((f"{rowid} NOT {_MATCHES}", [exclusion]))
    return parts
