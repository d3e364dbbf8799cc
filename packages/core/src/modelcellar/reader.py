"""What can be asked of a library without changing it."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from modelcellar import manifest as manifests
from modelcellar.bookkeeping import Bookkeeper
from modelcellar.catalogs import WholeCatalog
from modelcellar.config import Settings, load_settings
from modelcellar.errors import (
    AmbiguousModelError,
    ModelNotFoundError,
    UsageError,
)
from modelcellar.index import SORT_KEYS, Catalog, Filter
from modelcellar.manifest import Manifest
from modelcellar.records import (
    FileFormat,
    FileRecord,
    ModelRecord,
    ModelType,
)
from modelcellar.reports import (
    SearchReport,
)
from modelcellar.search.highlights import highlights
from modelcellar.search.parser import parse_query
from modelcellar.search.search_models import SearchHits, search_models
from modelcellar.store import Store

if TYPE_CHECKING:
    from modelcellar.links.keeper import LinkKeeper
    from modelcellar.model_set import ModelSet

__all__ = ["LibraryReader"]


class LibraryReader:
    """An open library, and what can be asked of it. A context manager; close it when done.

    Args:
        path: the library's folder.
        settings: values in force; by default those of the user's environment and config file.

    Raises:
        LibraryNotFoundError: there is no library at ``path``.
        LibraryFormatError: it was made by a newer version.
    """

    def __init__(self, path: Path, *, settings: Settings | None = None) -> None:
        self._settings = settings if settings is not None else load_settings()[0]
        store = Store(Path(path), lock_timeout_s=self._settings.lock_timeout_s)
        self._whole = WholeCatalog(store)
        self._read = self._whole.read
        self._changing = self._whole.changing

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the catalog and the ledger of links. The library stays as it is."""
        if "_links" in self.__dict__:
            self._links.close()
        self._books.catalog.close()

    @property
    def path(self) -> Path:
        """The library's folder."""
        return self._books.store.root

    @property
    def library_id(self) -> str:
        """The UUID that stays with the library wherever it is moved."""
        return self._books.store.library_id

    def list_models(
        self,
        *,
        model_type: ModelType | None = None,
        file_format: FileFormat | None = None,
        sort: str = "name",
        limit: int | None = None,
        offset: int = 0,
    ) -> SearchReport:
        """One page of models in order of ``name``, ``size`` or ``added``; ``-size`` turns it round.

        Raises:
            UsageError: an unknown order.
        """
        if sort.removeprefix("-") not in SORT_KEYS:
            raise UsageError(f"cannot sort by {sort!r}", f"Sort by {', '.join(SORT_KEYS)}.")
        began = time.perf_counter()
        which = Filter(model_type, file_format, sort)
        total, page = self._read(lambda found: found.page(which, limit=limit, offset=offset))
        return _report("", total, page, began)

    def search(
        self, query: str, *, limit: int = 20, offset: int = 0, facets: bool = False
    ) -> SearchReport:
        """Models by words and fields (``docs/search.md``), best first. Takes any text.

        Args:
            query: what a person types; none lists all models by name.
            limit: at most so many models,
            offset: after leaving out the first ``offset``.
            facets: count all that is found by type, base and format too.
        """
        began = time.perf_counter()

        def find(catalog: Catalog) -> tuple[SearchHits, list[Manifest]]:
            hits = search_models(
                catalog.connection,
                query,
                limit=limit,
                offset=offset,
                facets=facets,
                linked=self._linked,
            )
            return hits, catalog.by_rowids(hits.rowids)

        hits, page = self._read(find)
        report = _report(query, hits.total, page, began)
        parsed = parse_query(query)
        return replace(
            report,
            notes=hits.notes,
            did_you_mean=hits.did_you_mean,
            facets=hits.facets,
            highlights=tuple(highlights(model, parsed) for model in report.models),
        )

    def get(self, text: str) -> ModelRecord:
        """The model that ``text`` names: its id or the start of it, its name, or a digest.

        Raises:
            ModelNotFoundError: nothing fits.
            AmbiguousModelError: several models fit.
        """
        return manifests.to_record(self._resolve(text))

    def same_tensors(self, model: ModelRecord) -> list[str]:
        """Ids of other models with the same tensors under an edited header."""
        return self._read(lambda catalog: catalog.same_tensors(model))

    def totals(self) -> tuple[int, int]:
        """How many models there are, and the bytes of all their files."""
        return self._read(Catalog.totals)

    def unread_totals(self) -> tuple[int, int]:
        """How many adopted models were not read whole yet, and the bytes of all their files."""
        return self._read(Catalog.unread_totals)

    def never_looked_up(self) -> int:
        """How many models somebody who may know has not been asked about yet."""
        return self._read(Catalog.never_looked_up)

    def export(self) -> "ModelSet":
        """Which models there are, from where, and what the user says of them, for another machine.

        :func:`modelcellar.model_set.encode_set` makes a file of it.
        """
        from modelcellar.exporting import export_set

        _, found = self._read(lambda catalog: catalog.page(Filter(), limit=None, offset=0))
        if not self._links.is_used:
            return export_set(found, (), ())
        return export_set(found, self._links.ledger.apps(), self._links.rows().values())

    def file_path(self, model: ModelRecord, file: FileRecord) -> Path:
        """Where a file of a model lies. It is write-protected; do not change it."""
        return self._books.store.content_path(model.id) / file.path

    @cached_property
    def _links(self) -> "LinkKeeper":
        from modelcellar.links.keeper import LinkKeeper
        from modelcellar.links.place import Place
        from modelcellar.search.search_models import matching_ids

        def find(query: str) -> list[str]:
            return self._read(lambda catalog: matching_ids(catalog.connection, query))

        place = Place(self.path.resolve(), find)
        return LinkKeeper(place, self.library_id, lock_timeout_s=self._settings.lock_timeout_s)

    @property
    def _books(self) -> Bookkeeper:
        return self._whole.books

    def _linked(self) -> list[tuple[str, str]]:
        return self._links.ledger.model_apps() if self._links.is_used else []

    def _resolve(self, text: str) -> Manifest:
        found = self._read(lambda catalog: catalog.resolve(text))
        if len(found) > 1:
            raise AmbiguousModelError(text, found)
        manifest = self._read(lambda catalog: catalog.by_id(found[0])) if found else None
        if manifest is None:
            raise ModelNotFoundError(f"no model is called {text!r}", self._did_you_mean(text))
        return manifest

    def _did_you_mean(self, text: str) -> str:
        close = [model.name for model in self.search(text, limit=3).models]
        if not close:
            import difflib

            names = {name.lower(): name for name in self._read(Catalog.names)}
            close = [names[name] for name in difflib.get_close_matches(text.lower(), names, n=3)]
        if close:
            return "Did you mean " + ", ".join(repr(name) for name in close) + "?"
        return "See: cellar list"


def _report(query: str, total: int, page: Sequence[Manifest], began: float) -> SearchReport:
    models = tuple(manifests.to_record(found) for found in page)
    return SearchReport(query, total, models, (time.perf_counter() - began) * 1000)
