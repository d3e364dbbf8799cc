"""Checks of the catalog: whole, equal to the manifests, and its search index equal to its rows.

It is opened as every command opens it, but never set aside: that is what ``--fix`` does.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

from modelcellar import naming
from modelcellar.catalogs import catalog_folder
from modelcellar.doctor.findings import Finding, Status, counted, named
from modelcellar.doctor.patient import Patient, digest_of
from modelcellar.errors import LibraryFormatError
from modelcellar.index import Catalog
from modelcellar.index_file import BUSY, DAMAGED, disk_errors
from modelcellar.library import ModelLibrary
from modelcellar.search.fts5 import integrity_check
from modelcellar.search.index_text import search_text

__all__ = ["check_catalog"]

_ROWS = "SELECT id, manifest FROM models"
_WITHOUT_FIELDS = """
SELECT m.id FROM models m LEFT JOIN model_fields f ON f.model = m.rowid WHERE f.model IS NULL
"""
_FILES = (
    "SELECT m.id, count(f.path) FROM models m LEFT JOIN files f ON f.model = m.rowid GROUP BY 1"
)
_REBUILD = "No model is touched by it: cellar rebuild. --fix does that."


def check_catalog(patient: Patient) -> Iterator[Finding]:
    """The catalog, and the search index in it."""
    path = catalog_folder(patient.root, patient.library_id or "") / "catalog.db"
    if not path.exists():
        text = "there is no catalog yet; the next command makes it from the manifests"
        yield Finding("catalog", Status.OK, text)
        return
    # One and the same for all findings, so that it is done once.
    rebuild = partial(_rebuild, patient)
    try:
        with (
            closing(Catalog(path, search_text=search_text)) as catalog,
            disk_errors(path, catalog.connection),
        ):
            yield from _look_into(patient, catalog, rebuild)
    except LibraryFormatError as error:
        yield Finding("catalog", Status.ERROR, naming.display(error.message), error.hint)
    except BUSY as error:
        text = f"another process is writing to it ({error})"
        yield Finding("catalog", Status.SKIPPED, text, "Run cellar doctor again later.")
    except DAMAGED as error:
        yield _broken("catalog", f"the catalog is damaged: {error}", rebuild)


def _look_into(patient: Patient, catalog: Catalog, rebuild: Callable[[], str]) -> Iterator[Finding]:
    found = str(catalog.value("PRAGMA integrity_check(1)"))
    # SQLite looks into the index as well, which has a finding of its own.
    if found != "ok" and "models_fts" not in found:
        yield _broken("catalog", f"the catalog is damaged: {found}", rebuild)
        return
    differing = tuple(sorted(set(_differing(patient, catalog))))
    if differing:
        text = f"the catalog differs from the manifests: {named(differing)}"
        yield Finding("catalog", Status.WARNING, text, _REBUILD, differing, rebuild)
    else:
        rows = counted(catalog.totals()[0], "row")
        yield Finding("catalog", Status.OK, f"whole, and equal to the manifests ({rows})")
    if _index_is_well(catalog):
        yield Finding("search_index", Status.OK, "whole, and equal to the catalog")
    else:
        text = "the search index is not what the catalog says: searches may miss models"
        yield _broken("search_index", text, rebuild)


def _differing(patient: Patient, catalog: Catalog) -> Iterator[str]:
    """Ids of models whose row is missing, left over, old, or not complete."""
    known = {
        str(model_id): digest_of(data if isinstance(data, bytes) else str(data).encode())
        for model_id, data in catalog.connection.execute(_ROWS)
    }
    real = {model_id: paper.digest for model_id, paper in patient.papers.items()}
    yield from known.keys() ^ real.keys()
    yield from (one for one in known.keys() & real.keys() if known[one] != real[one])
    yield from catalog.ids(_WITHOUT_FIELDS)
    for model_id, files in catalog.connection.execute(_FILES):
        paper = patient.papers.get(str(model_id))
        if paper is not None and files != len(paper.manifest.files):
            yield str(model_id)


def _index_is_well(catalog: Catalog) -> bool:
    try:
        return integrity_check(catalog.connection)
    except DAMAGED:  # no such table, or one that is no index
        return False


def _broken(check: str, text: str, rebuild: Callable[[], str]) -> Finding:
    return Finding(check, Status.ERROR, text, _REBUILD, mend=rebuild)


def _rebuild(patient: Patient) -> str:
    with ModelLibrary(patient.root, settings=patient.settings) as library:
        report = library.rebuild()
    return f"made the catalog anew from {counted(report.models, 'manifest')}"
