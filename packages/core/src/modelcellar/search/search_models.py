"""Finds models by what a person types, the best first, with the true number of all of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import apsw

from modelcellar.search.conditions import MIN_INSIDE, where_of
from modelcellar.search.facets import Facet, counted
from modelcellar.search.found import Found
from modelcellar.search.linked import Linked, lay_out
from modelcellar.search.listing import listed
from modelcellar.search.parser import Query, parse_query
from modelcellar.search.ranking import matches_of, ranked, settled
from modelcellar.search.words import has_cjk

__all__ = ["SearchHits", "matching_ids", "search_models"]

FEW = 10
"""When fewer are found, names are searched inside their words as well."""

MAX_INSIDE = 100
"""Names of that kind that follow those that were found by their words."""


@dataclass(frozen=True, slots=True)
class SearchHits:
    """One page: ``rowids`` of the table ``models``, best first, and how many there are in all.

    ``notes`` tell in words what of the query was not understood as it may have been meant;
    ``did_you_mean`` is a query that finds something, where this one finds nothing. ``facets``
    count all that was found, where that was asked for.
    """

    total: int
    rowids: tuple[int, ...]
    notes: tuple[str, ...] = ()
    did_you_mean: str | None = None
    facets: tuple[Facet, ...] = ()


def search_models(
    connection: apsw.Connection,
    text: str,
    *,
    limit: int,
    offset: int = 0,
    facets: bool = False,
    linked: Linked | None = None,
    now: datetime | None = None,
) -> SearchHits:
    """The models that ``text`` finds, `offset` of them left out and at most ``limit`` given.

    No text lists all models by name. A model whose name is the text comes first, then by bm25; of
    more than 2,000 matches the first 2,000 are ranked and the others follow. When few are found,
    names that hold the words inside others follow. What has no words, and ``or`` between
    conditions, is listed by name. Needs `fts5.migrate_to_fts5`. Any text is fine.
    ``linked`` is asked only where a condition is about links.

    Raises:
        ValueError: ``limit`` or ``offset`` is negative.
        apsw.Error: the catalog cannot be read.
    """
    if limit < 0 or offset < 0:
        raise ValueError(f"limit and offset must not be negative: {limit}, {offset}")
    query = parse_query(text)
    now = datetime.now(UTC) if now is None else now
    with connection:  # One view of the data for the count, the page and the facets.
        lay_out(connection, query, linked)
        usual = settled(connection, query)
        found = _found(connection, usual, text, now, limit=limit, offset=offset)
        counts = counted(connection, found) if facets else ()
        meant = None if found.total else _meant(connection, text, query, now)
    return SearchHits(found.total, found.rowids, query.notes, meant, counts)


def _found(
    connection: apsw.Connection, query: Query, text: str, now: datetime, *, limit: int, offset: int
) -> Found:
    matches = matches_of(query, now) if query.sort is None else None
    has_words = all(clause.wanted for clause in query.alternatives)
    if matches is None:
        found = listed(connection, query, where_of(query, now), limit=limit, offset=offset)
        if not found.total and has_words:
            inside = where_of(query, now, inside=True)
            found = listed(connection, query, inside, limit=limit, offset=offset)
        return found
    found = ranked(connection, query, text, matches, limit=limit, offset=offset)
    if found.total >= FEW or not has_words:
        return found
    if not found.total:
        inside = where_of(query, now, inside=True)
        return listed(connection, query, inside, limit=limit, offset=offset)
    if not _may_be_inside(query):
        return found
    few = ranked(connection, query, text, matches, limit=FEW, offset=0).rowids
    return _with_inside(connection, query, few, now, limit=limit, offset=offset)


def _with_inside(
    connection: apsw.Connection,
    query: Query,
    few: Sequence[int],
    now: datetime,
    *,
    limit: int,
    offset: int,
) -> Found:
    """The few that match, and after them the names that hold the words inside others."""
    inside = where_of(query, now, inside=True)
    others = listed(connection, query, inside, limit=MAX_INSIDE + len(few), offset=0).rowids
    every = (*few, *[rowid for rowid in others if rowid not in few][:MAX_INSIDE])
    sql = "SELECT value AS rowid FROM json_each(?)"
    return Found(len(every), every[offset : offset + limit], sql, (json.dumps(every),))


def _may_be_inside(query: Query) -> bool:
    """Whether the words are likely parts of others: "bert" of "distilbert", not "1b" of "11B"."""
    texts = [term.text for term in query.wanted]
    is_number = any(text[0].isdigit() or text[-1].isdigit() for text in texts)
    return not is_number and all(len(text) >= MIN_INSIDE or has_cjk(text) for text in texts)


def matching_ids(
    connection: apsw.Connection, text: str, *, now: datetime | None = None
) -> list[str]:
    """Ids of the models that ``text`` is true of; of none that only comes close to it.

    For decisions rather than for people: whether a model is in never depends on how many are.
    """
    query = parse_query(text)
    lay_out(connection, query, None)
    where = where_of(query, datetime.now(UTC) if now is None else now)
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
    where = where_of(parse_query(meant), now)
    return meant if listed(connection, query, where, limit=1, offset=0).total else None
