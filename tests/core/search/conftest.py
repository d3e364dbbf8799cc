"""A catalog with the real schema, filled with rows of names."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import apsw
import pytest

from modelcellar.index import MIGRATIONS
from modelcellar.index_schema import INSERT_WORD
from modelcellar.search.fts5 import migrate_to_fts5
from modelcellar.search.search_models import search_models
from modelcellar.search.vocabulary import vocabulary
from modelcellar.search.words import search_words


@dataclass(frozen=True)
class Searchable:
    """What of a model is searched."""

    name: str
    extension: str = "safetensors"
    tags: str = ""
    family_text: str = ""
    description: str = ""


class Catalog:
    """The table ``models`` and its index, in memory."""

    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        for migration in MIGRATIONS:
            migration(self.connection)
        migrate_to_fts5(self.connection)

    def add(self, *models: Searchable | str) -> None:
        rows = [Searchable(model) if isinstance(model, str) else model for model in models]
        words = {word for row in rows for word in vocabulary(row.name, row.tags, row.family_text)}
        with self.connection:
            self.connection.executemany(
                "INSERT INTO models (id, type, format, size_bytes, added_at, content_digest,"
                " manifest, manifest_mtime_ns, manifest_size_bytes,"
                " name, words, tags, family_text, description, extension)"
                " VALUES (lower(hex(randomblob(16))), 'x', 'x', 0, '', '', x'', 0, 0,"
                " ?, ?, ?, ?, ?, ?)",
                (
                    (
                        row.name,
                        search_words(row.name, row.family_text, row.tags),
                        *(row.tags, row.family_text, row.description, row.extension),
                    )
                    for row in rows
                ),
            )
            self.connection.executemany(INSERT_WORD, [(word,) for word in words])

    def names(self, rowids: Iterable[int]) -> list[str]:
        query = "SELECT name FROM models WHERE rowid = ?"
        return [str(self.connection.execute(query, (rowid,)).get) for rowid in rowids]

    def find(self, text: str, limit: int = 100, offset: int = 0) -> list[str]:
        """The names of the models that ``text`` finds, best first."""
        hits = search_models(self.connection, text, limit=limit, offset=offset)
        assert len(hits.rowids) == min(limit, max(0, hits.total - offset))
        assert len(set(hits.rowids)) == len(hits.rowids)
        return self.names(hits.rowids)


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
def catalog_of() -> Callable[..., Catalog]:
    """``catalog_of("one name", Searchable("another"))``: a catalog that holds these models."""

    def make(*models: Searchable | str) -> Catalog:
        made = Catalog()
        made.add(*models)
        return made

    return make
