"""Where the catalog of a library lies, and how it is opened: made anew when it is damaged."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from modelcellar import naming
from modelcellar.bookkeeping import Bookkeeper
from modelcellar.config import state_folder
from modelcellar.errors import LibraryFormatError
from modelcellar.index import Catalog
from modelcellar.index_file import DAMAGED, disk_errors
from modelcellar.io.drives import is_network
from modelcellar.search.fts5 import migrate_to_fts5
from modelcellar.search.index_text import search_text
from modelcellar.store import Store

__all__ = ["WholeCatalog", "catalog_folder"]

log = logging.getLogger(__name__)

_Found = TypeVar("_Found")


class WholeCatalog:
    """The books of one library, with a catalog that is made anew when it proves damaged."""

    def __init__(self, store: Store) -> None:
        self.books = Bookkeeper(store, _open_catalog(store))

    def read(self, find: Callable[[Catalog], _Found]) -> _Found:
        """What ``find`` finds in the catalog once that is up to date, and whole."""
        try:
            self.books.refresh()
            return find(self.books.catalog)
        except DAMAGED as error:
            self.remake(error)
            self.books.refresh()
            return find(self.books.catalog)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Makes a catalog that proves damaged anew. A half-made change is not tried again.

        Raises:
            LibraryFormatError: it did; no model is lost.
        """
        try:
            yield
        except DAMAGED as error:
            self.remake(error)
            raise LibraryFormatError(
                "the catalog was damaged and is made anew from the manifests; no model is lost",
                "Run the command again.",
            ) from error

    def remake(self, error: Exception) -> None:
        """Set the catalog aside and make it anew, because of ``error``."""
        store, path = self.books.store, self.books.catalog.path
        log.warning("%s is damaged (%s); it is set aside and made anew", path, error)
        self.books.catalog.close()
        with store.lock():
            _set_aside(path)
        self.books = Bookkeeper(store, _open_catalog(store))


def _open_catalog(store: Store) -> Catalog:
    """Open the catalog, making it anew when it is damaged: the manifests are the truth."""
    folder = catalog_folder(store.root, store.library_id)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "catalog.db"
    try:
        return _opened(path)
    except DAMAGED as error:
        log.warning("%s is damaged (%s); it is set aside and made anew", path, error)
    with store.lock():
        _set_aside(path)
    return _opened(path)


def catalog_folder(root: Path, library_id: str) -> Path:
    """In the library, unless SQLite could not work there; then in the user's state folder."""
    folder = root / "catalog"
    # SQLite's WAL needs memory that every process shares, which no network file system has; and
    # its driver takes no path that is not UTF-8.
    is_utf8 = naming.display(str(folder)) == str(folder)
    if is_utf8 and os.access(root, os.W_OK) and not is_network(root):
        return folder
    return state_folder() / "catalogs" / library_id


def _opened(path: Path) -> Catalog:
    catalog = Catalog(path, search_text=search_text)
    with ExitStack() as on_failure, disk_errors(path, catalog.connection):
        on_failure.callback(catalog.close)
        migrate_to_fts5(catalog.connection)
        on_failure.pop_all()
    return catalog


def _set_aside(path: Path) -> None:
    """Move a catalog that proved damaged out of the way."""
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(part.with_name(f"{part.name}.damaged"))
