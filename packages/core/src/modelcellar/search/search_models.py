"""Finds models by what a person types, the best first, with the true number of all of them."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import apsw

from modelcellar.search.fts5 import COLUMNS
from modelcellar.search.query import (
    Term,
    build_fts5_query,
    exclusion_expression,
    parse_query,
    quoted,
    usable,
)
from modelcellar.search.words import segments

__all__ = ["SearchHits", "search_models"]

MAX_CANDIDATES = 2000
"""Matches that are ranked. Ranking is the cost of a search: all of a common prefix at 1,000,000
models took 440 ms, 2,000 of them 16 ms."""

WEIGHTS = {
    "name": 10.0,
    "words": 6.0,
    "tags": 4.0,
    "family_text": 4.0,
    "description": 1.0,
    "extension": 0.5,
}
"""What a hit in a column is worth."""

_BM25 = f"bm25(models_fts, {', '.join(str(WEIGHTS[column]) for column in COLUMNS)})"
_MAX_EXACT = 100
_MAX_NAME_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class SearchHits:
    """One page: ``rowids`` of the table ``models``, best first, and how many there are in all."""

    total: int
    rowids: tuple[int, ...]


def search_models(
    connection: apsw.Connection, text: str, *, limit: int, offset: int = 0
) -> SearchHits:
    """The models that ``text`` finds, `offset` of them left out and at most ``limit`` given.

    No text lists all models by name. A model whose name is the text comes first, then by bm25; of
    more than 2,000 matches the first 2,000 are ranked and the others follow. What no word of the
    index meets is looked for inside the names. Needs `fts5.migrate_to_fts5`. Any text is fine;
    raises ValueError when ``limit`` or ``offset`` is negative, and apsw.Error.
    """
    if limit < 0 or offset < 0:
        raise ValueError(f"limit and offset must not be negative: {limit}, {offset}")
    query, expression = parse_query(text), build_fts5_query(text)
    exclusion = exclusion_expression(query)
    hits = SearchHits(0, ())
    with connection:  # One view of the data for the count and the page.
        if expression is not None:
            hits = _ranked(connection, text, expression, limit=limit, offset=offset)
        if not hits.total:
            hits = _by_name(connection, query.wanted, exclusion, limit=limit, offset=offset)
    return hits


def _ranked(
    connection: apsw.Connection, text: str, expression: str, *, limit: int, offset: int
) -> SearchHits:
    """What the FTS5 ``expression`` matches: exact names, then the candidates by bm25, the rest."""
    scored = connection.execute(
        f"SELECT rowid, score FROM (SELECT rowid, {_BM25} AS score FROM models_fts "
        "WHERE models_fts MATCH ? ORDER BY rowid LIMIT ?) ORDER BY score, rowid",
        (expression, MAX_CANDIDATES),
    )
    candidates = [rowid for rowid, _ in scored]
    exact = _exactly_named(connection, text, expression)
    first = list(dict.fromkeys([*exact, *candidates]))
    page = first[offset : offset + limit]
    if len(candidates) < MAX_CANDIDATES:
        return SearchHits(len(first), tuple(page))
    total: int = connection.execute(
        "SELECT count(*) FROM models_fts WHERE models_fts MATCH ?", (expression,)
    ).get
    if len(page) < limit:
        others = connection.execute(
            "SELECT rowid FROM models_fts WHERE models_fts MATCH ? AND rowid > ? ORDER BY rowid",
            (expression, max(candidates)),
        )
        unranked = (rowid for (rowid,) in others if rowid not in exact)
        skipped = max(0, offset - len(first))
        page += islice(unranked, skipped, skipped + limit - len(page))
    return SearchHits(total, tuple(page))


def _exactly_named(connection: apsw.Connection, text: str, expression: str) -> list[int]:
    """The matches whose whole name is ``text``, whatever the case of its letters."""
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
    rowids = [rowid for rowid, found in named if _caseless(found) == wanted][:_MAX_EXACT]
    is_match = "SELECT count(*) FROM models_fts WHERE models_fts MATCH ? AND rowid = ?"
    return [rowid for rowid in rowids if connection.execute(is_match, (expression, rowid)).get]


def _by_name(
    connection: apsw.Connection,
    wanted: Sequence[Term],
    exclusion: str | None,
    *,
    limit: int,
    offset: int,
) -> SearchHits:
    """The models whose names hold every wanted text, in the order of their names."""
    conditions = [r"name LIKE ? ESCAPE '\'"] * len(wanted)
    values: list[str | int] = [_pattern(term.text) for term in wanted]
    if exclusion is not None:
        conditions.append("rowid NOT IN (SELECT rowid FROM models_fts WHERE models_fts MATCH ?)")
        values.append(exclusion)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    total: int = connection.execute(f"SELECT count(*) FROM models {where}", values).get
    rows = connection.execute(
        f"SELECT rowid FROM models {where} ORDER BY name COLLATE NOCASE, rowid LIMIT ? OFFSET ?",
        [*values, limit, offset],
    )
    return SearchHits(total, tuple(rowid for (rowid,) in rows))


def _pattern(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{escaped}%"


def _caseless(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
