"""What the full-text index finds: exact names, then candidates by bm25, then the others."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

import apsw

from modelcellar.search.conditions import conditions_of
from modelcellar.search.fields import KINDS, NUMBERS, TEXT_COLUMNS, SqlValue
from modelcellar.search.found import Found
from modelcellar.search.fts5 import COLUMNS, MAX_PREFIX
from modelcellar.search.parser import Query, Term, usable
from modelcellar.search.query import query_expression, quoted
from modelcellar.search.words import segments

__all__ = ["MAX_CANDIDATES", "Matches", "matches_of", "ranked", "settled"]

MAX_CANDIDATES = 2000
"""Matches that are ranked. Ranking is the cost of a search: all of a common prefix at 1,000,000
models took 440 ms, 2,000 of them 16 ms."""

WEIGHTS = {
    "name": 10.0,
    "words": 6.0,
    "tags": 4.0,
    "family_text": 4.0,
    "author": 3.0,
    "description": 1.0,
    "extension": 0.5,
    "kinds": 0.0,
}
"""What a hit in a column is worth."""

_BM25 = f"bm25(models_fts, {', '.join(str(WEIGHTS[column]) for column in COLUMNS)})"
_MAX_EXACT = 100
_MAX_NAME_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Matches:
    """Part of a statement: which rows of ``models_fts`` match. ``values`` are its ``?``."""

    source: str
    where: str
    values: tuple[SqlValue, ...]

    @property
    def sql(self) -> str:
        """All of them, as a SELECT of ``rowid``."""
        return f"SELECT models_fts.rowid AS rowid FROM {self.source} WHERE {self.where}"


def matches_of(query: Query, now: datetime) -> Matches | None:
    """What is ranked; None where no single expression with conditions says what is meant."""
    expression = query_expression(query)
    if expression is None:
        return None
    conditions = [conditions_of(clause, now) for clause in query.alternatives]
    if not any(conditions):
        return Matches("models_fts", "models_fts MATCH ?", (expression,))
    if len(conditions) > 1:
        return None
    # CROSS JOIN: the words come first, and each match is looked up by its number.
    where = " AND ".join(sql for sql, _ in conditions[0])
    values = [value for _, some in conditions[0] for value in some]
    asked = {found.field for found, _ in query.alternatives[0].conditions} - KINDS.keys()
    index = "INDEXED BY model_fields_numbers" if asked <= NUMBERS | TEXT_COLUMNS.keys() else ""
    return Matches(
        f"models_fts CROSS JOIN model_fields v {index} ON v.model = models_fts.rowid",
        f"models_fts MATCH ? AND {where}",
        (expression, *values),
    )


def ranked(
    connection: apsw.Connection, query: Query, text: str, found: Matches, *, limit: int, offset: int
) -> Found:
    """The matches from ``offset`` on: models whose name is ``text``, candidates by bm25, others."""
    scored = connection.execute(
        f"SELECT rowid, score FROM (SELECT models_fts.rowid AS rowid, {_BM25} AS score "
        f"FROM {found.source} WHERE {found.where} ORDER BY models_fts.rowid LIMIT ?) "
        "ORDER BY score, rowid",
        (*found.values, MAX_CANDIDATES),
    )
    candidates = [rowid for rowid, _ in scored]
    exact = _exactly_named(connection, text) if _is_plain(query) else []
    first = dict.fromkeys([*exact, *candidates])
    page = [*islice(first, offset, offset + limit)]
    if len(candidates) < MAX_CANDIDATES:
        return Found(len(first), tuple(page), found.sql, found.values)
    total: int = connection.execute(
        f"SELECT count(*) FROM {found.source} WHERE {found.where}", found.values
    ).get
    if len(page) < limit:
        rows = connection.execute(f"{found.sql} ORDER BY models_fts.rowid", found.values)
        others = (rowid for (rowid,) in rows if rowid not in first)
        skipped = max(0, offset - len(first))
        page += islice(others, skipped, skipped + limit - len(page))
    return Found(total, tuple(page), found.sql, found.values)


def settled(connection: apsw.Connection, query: Query) -> Query:
    """``query``, its last word as it stands where very many models have it whole.

    What begins with a long word is put together from all words that do, which takes longer than
    all the rest; the index has that ready for shorter ones only (`fts5.MAX_PREFIX`).
    """
    last = query.alternatives[-1].items[-1:]
    term = last[0].what if last else None
    if not isinstance(term, Term) or not term.prefix:
        return query
    word = re.split(r"[\W_]", term.text)[-1]
    if len(word) <= MAX_PREFIX:
        return query
    rows = "SELECT 1 FROM models_fts WHERE models_fts MATCH ? LIMIT ?"
    count: int = connection.execute(
        f"SELECT count(*) FROM ({rows})", (quoted(word), MAX_CANDIDATES)
    ).get
    return query.with_whole_words() if count == MAX_CANDIDATES else query


def _is_plain(query: Query) -> bool:
    """Whether it is words only, so that a model whose name they are is sure to match."""
    return len(query.alternatives) == 1 and all(
        isinstance(item.what, Term) and not item.excluded for item in query.alternatives[0].items
    )


def _exactly_named(connection: apsw.Connection, text: str) -> list[int]:
    """The models whose whole name is ``text``, whatever the case of its letters."""
    name = usable(text).strip().strip('"').strip()
    if len(name) > _MAX_NAME_CHARACTERS or not segments(name):
        return []
    if name.isascii():
        named = connection.execute(
            "SELECT rowid, name FROM models WHERE name = ? COLLATE NOCASE ORDER BY rowid LIMIT ?",
            (name, _MAX_EXACT),
        )
    else:
        # NOCASE knows the letters of ASCII only, so the index gives the names that begin alike.
        named = connection.execute(
            "SELECT rowid, name FROM models_fts WHERE models_fts MATCH ? ORDER BY rowid LIMIT ?",
            (f"name : ^ {quoted(name)}", MAX_CANDIDATES),
        )
    wanted = _caseless(name)
    return [rowid for rowid, found in named if _caseless(found) == wanted][:_MAX_EXACT]


def _caseless(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
