"""Which models are linked into which applications, for the conditions ``app:`` and ``is:unused``.

That is not in the catalog, because links belong to a machine: they are put into a temporary table
beside it for the searches that ask.
"""

from collections.abc import Callable, Iterable

import apsw

from modelcellar.search.fields import asks_for_links
from modelcellar.search.parser import Query

__all__ = ["Linked", "lay_out", "needs_links"]

Linked = Callable[[], Iterable[tuple[str, str]]]
"""Gives the id of each model that is linked, with the name of the application."""


def needs_links(query: Query) -> bool:
    """Whether what it finds depends on which models are linked."""
    return any(
        asks_for_links(condition)
        for clause in query.alternatives
        for condition, _ in clause.conditions
    )


def lay_out(connection: apsw.Connection, query: Query, linked: Linked | None) -> None:
    """Makes the table that the conditions of ``query`` look at, if any do.

    Raises:
        apsw.Error: the catalog cannot be read.
    """
    if not needs_links(query):
        return
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS linked (model INTEGER, app TEXT)")
    connection.execute("DELETE FROM temp.linked")
    connection.executemany(
        "INSERT INTO temp.linked SELECT rowid, ?2 FROM models WHERE id = ?1",
        list(linked()) if linked is not None else [],
    )
