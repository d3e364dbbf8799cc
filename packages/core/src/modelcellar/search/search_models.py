"""Finds models by what a person types, the best first, with the true number of all of them."""

import unicodedata
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice

import apsw

from modelcellar.search.conditions import Where, conditions_of, where_of
from modelcellar.search.fields import SORTS, SqlValue
from modelcellar.search.fts5 import COLUMNS
from modelcellar.search.parser import Query, parse_query, usable
from modelcellar.search.query import query_expression, quoted
from modelcellar.search.words import has_cjk, segments

__all__ = ["SearchHits", "matching_ids", "search_models"]

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
}
"""What a hit in a column is worth."""

FEW = 10
"""When fewer are found, names are searched inside their words as well."""

MIN_INSIDE = 3
"""Characters of a word that is looked for inside others beside what was found."""

MAX_INSIDE = 100
"""Names of that kind that follow those that were found by their words."""

_BM25 = f"bm25(models_fts, {', '.join(str(WEIGHTS[column]) for column in COLUMNS)})"
_MAX_EXACT = 100
_MAX_NAME_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class SearchHits:
    """One page: ``rowids`` of the table ``models``, best first, and how many there are in all.

    ``notes`` tell in words what of the query was not understood as it may have been meant;
    ``did_you_mean`` is a query that finds something, where this one finds nothing.
    """

    total: int
    rowids: tuple[int, ...]
    notes: tuple[str, ...] = ()
    did_you_mean: str | None = None


@dataclass(frozen=True, slots=True)
class _Scope:
    """Part of a statement over ``models_fts``: which matches count. ``values`` are its ``?``."""

    source: str
    where: str
    values: tuple[SqlValue, ...]


def search_models(
    connection: apsw.Connection,
    text: str,
    *,
    limit: int,
    offset: int = 0,
    now: datetime | None = None,
) -> SearchHits:
    """The models that ``text`` finds, `offset` of them left out and at most ``limit`` given.

    No text lists all models by name. A model whose name is the text comes first, then by bm25; of
    more than 2,000 matches the first 2,000 are ranked and the others follow. When few are found,
    names that hold the words inside others follow. What has no words, and ``or`` between
    conditions, is listed by name. Needs `fts5.migrate_to_fts5`. Any text is fine.

    Raises:
        ValueError: ``limit`` or ``offset`` is negative.
        apsw.Error: the catalog cannot be read.
    """
    if limit < 0 or offset < 0:
        raise ValueError(f"limit and offset must not be negative: {limit}, {offset}")
    query = parse_query(text)
    now = datetime.now(UTC) if now is None else now
    expression = query_expression(query)
    scope = _scope(query, expression, now)
    has_words = all(clause.wanted for clause in query.alternatives)
    hits = SearchHits(0, ())
    with connection:  # One view of the data for the count and the page.
        if expression is not None and scope is not None and query.sort is None:
            hits = _ranked(connection, text, scope, limit=limit, offset=offset)
            if has_words and (not hits.total or (hits.total < FEW and _may_be_inside(query))):
                hits = _with_inside(connection, query, scope, now, limit=limit, offset=offset)
        else:
            hits = _page(connection, query, where_of(query, now), limit=limit, offset=offset)
            if not hits.total and expression is not None and has_words:
                inside = where_of(query, now, inside=True)
                hits = _page(connection, query, inside, limit=limit, offset=offset)
        meant = None if hits.total else _meant(connection, text, query, now)
    return replace(hits, notes=query.notes, did_you_mean=meant)


def matching_ids(
    connection: apsw.Connection, text: str, *, now: datetime | None = None
) -> list[str]:
    """Ids of the models that ``text`` is true of; of none that only comes close to it.

    For decisions rather than for people: whether a model is in never depends on how many are.
    """
    where = where_of(parse_query(text), datetime.now(UTC) if now is None else now)
    condition = f"WHERE {where.sql}" if where.sql else ""
    rows = connection.execute(
        "SELECT id FROM models WHERE rowid IN "
        f"(SELECT {where.rowid} FROM {where.source} {condition})",
        where.values,
    )
    return [model_id for (model_id,) in rows]


def _meant(connection: apsw.Connection, text: str, query: Query, now: datetime) -> str | None:
    """A query with other words that finds something."""
    # Here, because most commands search for nothing and need not load it.
    from modelcellar.search.suggestions import suggestion

    meant = suggestion(connection, text, query)
    if meant is None:
        return None
    condition = where_of(parse_query(meant), now)
    return meant if _page(connection, query, condition, limit=1, offset=0).total else None


def _scope(query: Query, expression: str | None, now: datetime) -> _Scope | None:
    """What is ranked; None where no single expression with conditions says what is meant."""
    if expression is None:
        return None
    conditions = [conditions_of(clause, now) for clause in query.alternatives]
    if not any(conditions):
        return _Scope("models_fts", "models_fts MATCH ?", (expression,))
    if len(conditions) > 1:
        return None
    # CROSS JOIN: the words come first, and each match is looked up by its number.
    where = " AND ".join(sql for sql, _ in conditions[0])
    values = [value for _, some in conditions[0] for value in some]
    return _Scope(
        "models_fts CROSS JOIN model_fields v ON v.model = models_fts.rowid",
        f"models_fts MATCH ? AND {where}",
        (expression, *values),
    )


def _ranked(
    connection: apsw.Connection, text: str, scope: _Scope, *, limit: int, offset: int
) -> SearchHits:
    """What matches: exact names, then the candidates by bm25, the rest."""
    scored = connection.execute(
        f"SELECT rowid, score FROM (SELECT models_fts.rowid AS rowid, {_BM25} AS score "
        f"FROM {scope.source} WHERE {scope.where} ORDER BY models_fts.rowid LIMIT ?) "
        "ORDER BY score, rowid",
        (*scope.values, MAX_CANDIDATES),
    )
    candidates = [rowid for rowid, _ in scored]
    exact = _exactly_named(connection, text, scope)
    first = list(dict.fromkeys([*exact, *candidates]))
    page = first[offset : offset + limit]
    if len(candidates) < MAX_CANDIDATES:
        return SearchHits(len(first), tuple(page))
    total: int = connection.execute(
        f"SELECT count(*) FROM {scope.source} WHERE {scope.where}", scope.values
    ).get
    if len(page) < limit:
        others = connection.execute(
            f"SELECT models_fts.rowid FROM {scope.source} WHERE {scope.where} "
            "AND models_fts.rowid > ? ORDER BY models_fts.rowid",
            (*scope.values, max(candidates)),
        )
        unranked = (rowid for (rowid,) in others if rowid not in exact)
        skipped = max(0, offset - len(first))
        page += islice(unranked, skipped, skipped + limit - len(page))
    return SearchHits(total, tuple(page))


def _with_inside(
    connection: apsw.Connection,
    query: Query,
    scope: _Scope,
    now: datetime,
    *,
    limit: int,
    offset: int,
) -> SearchHits:
    """The few that match, and after them the names that hold the words inside others."""
    ranked = _ranked(connection, str(query), scope, limit=FEW, offset=0).rowids
    inside = where_of(query, now, inside=True)
    most = MAX_INSIDE if ranked else limit + offset
    others = _page(connection, query, inside, limit=most + len(ranked), offset=0)
    more = [rowid for rowid in others.rowids if rowid not in ranked]
    total = len(ranked) + (len(more[:MAX_INSIDE]) if ranked else others.total)
    return SearchHits(total, (*ranked, *more[:most])[offset : offset + limit])


def _may_be_inside(query: Query) -> bool:
    """Whether the words are likely parts of others: "bert" of "distilbert", not "1b" of "11B"."""
    texts = [term.text for term in query.wanted]
    is_number = any(text[0].isdigit() or text[-1].isdigit() for text in texts)
    return not is_number and all(len(text) >= MIN_INSIDE or has_cjk(text) for text in texts)


def _page(
    connection: apsw.Connection, query: Query, where: Where, *, limit: int, offset: int
) -> SearchHits:
    """The models of which ``where`` is true, in the order that was asked for, else by name."""
    key = (query.sort or "").rstrip("-")
    order = f"{SORTS[key]} {'DESC' if query.sort != key else 'ASC'}," if key else ""
    condition = f"WHERE {where.sql}" if where.sql else ""
    total: int = connection.execute(
        f"SELECT count(*) FROM {where.source} {condition}", where.values
    ).get
    rows = connection.execute(
        f"SELECT {where.rowid} FROM {where.source} {condition} "
        f"ORDER BY {order} {where.name} COLLATE NOCASE, {where.rowid} LIMIT ? OFFSET ?",
        (*where.values, limit, offset),
    )
    return SearchHits(total, tuple(rowid for (rowid,) in rows))


def _exactly_named(connection: apsw.Connection, text: str, scope: _Scope) -> list[int]:
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
    is_match = f"SELECT count(*) FROM {scope.source} WHERE {scope.where} AND models_fts.rowid = ?"
    return [r for r in rowids if connection.execute(is_match, (*scope.values, r)).get]


def _caseless(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
