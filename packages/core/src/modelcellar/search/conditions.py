"""A query as an SQL condition over the catalog's rows, for what the index alone cannot answer."""

from dataclasses import dataclass
from datetime import datetime

from modelcellar.search.fields import KINDS, SqlValue, part_of, sql_of
from modelcellar.search.parser import Clause, Query
from modelcellar.search.query import (
    clause_expression,
    column_expression,
    exclusion_expression,
    quoted,
)

__all__ = ["MIN_INSIDE", "Where", "conditions_of", "where_of"]

MIN_INSIDE = 3
"""Characters of the shortest text that the index over names finds inside of words."""

_MATCHES = "IN (SELECT rowid FROM models_fts WHERE models_fts MATCH ?)"


@dataclass(frozen=True, slots=True)
class Where:
    """An SQL condition over ``source``, with the columns of it that number and name a model.

    ``is_exclusion``: nothing but words that a model must not have.

    The source is ``model_fields v`` where there are conditions or an order, else ``models m``;
    never both, so that an index gives the order and few rows are read.
    """

    sql: str
    values: tuple[SqlValue, ...]
    source: str
    rowid: str
    name: str
    is_exclusion: bool = False

    @property
    def one_by_one(self) -> str:
        """An exclusion that looks each row up instead of listing all that it excludes."""
        one = f"models_fts MATCH ? AND models_fts.rowid = {self.rowid}"
        return f"NOT EXISTS (SELECT 1 FROM models_fts WHERE {one})"


def conditions_of(clause: Clause, now: datetime) -> list[tuple[str, list[SqlValue]]]:
    """The conditions of one alternative over ``model_fields v``, each with its values."""
    found = [
        sql_of(one, excluded=excluded, now=now)
        for one, excluded in clause.conditions
        if not (clause.has_text and one.field in KINDS)
    ]
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
    is_exclusion = sql == f"({rowid} NOT {_MATCHES})"
    return Where(sql, tuple(values) if sql else (), source, rowid, name, is_exclusion)


def _words(
    clause: Clause, rowid: str, name: str, *, inside: bool
) -> list[tuple[str, list[SqlValue]]]:
    expression = None if inside else clause_expression(clause)
    if expression is not None:
        return [(f"{rowid} {_MATCHES}", [expression])]
    parts = _inside(clause, rowid, name)
    columns = column_expression(clause)
    if columns is not None:
        parts.append((f"{rowid} {_MATCHES}", [columns]))
    exclusion = exclusion_expression(clause)
    if exclusion is not None:
        parts.append((f"{rowid} NOT {_MATCHES}", [exclusion]))
    return parts


def _inside(clause: Clause, rowid: str, name: str) -> list[tuple[str, list[SqlValue]]]:
    """The words are somewhere in the name."""
    texts = [term.text for term in clause.wanted]
    parts: list[tuple[str, list[SqlValue]]] = [
        (rf"{name} LIKE ? ESCAPE '\'", [part_of(text)]) for text in texts if len(text) < MIN_INSIDE
    ]
    long = [quoted(text) for text in texts if len(text) >= MIN_INSIDE]
    if long:
        found = "IN (SELECT rowid FROM models_names WHERE models_names MATCH ?)"
        parts.append((f"{rowid} {found}", [" AND ".join(long)]))
    return parts
