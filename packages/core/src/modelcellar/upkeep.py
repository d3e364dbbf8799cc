"""What keeps a library well: reading it again, giving space back, building its records anew."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from modelcellar.dedupe_records import DedupeReport
from modelcellar.index import Catalog
from modelcellar.index_file import DAMAGED
from modelcellar.link_records import LinkKind
from modelcellar.reader import LibraryReader
from modelcellar.reports import (
    Progress,
    PurgeReport,
    RebuildReport,
    VerifyReport,
)
from modelcellar.search.fts5 import rebuild as rebuild_index

__all__ = ["LibraryUpkeep"]

ProgressCallback = Callable[[Progress], object]


class LibraryUpkeep(LibraryReader):
    """An open library and the work on it that brings in no new model but what it has had."""

    def dedupe(
        self,
        paths: Sequence[Path],
        *,
        link: LinkKind = LinkKind.REFLINK,
        apply: bool = False,
        min_bytes: int = 1,
        progress: ProgressCallback | None = None,
    ) -> DedupeReport:
        """Find equal files below ``paths``, and in the library, and give their space back.

        Args:
            paths: files and folders; links are not followed.
            link: ``REFLINK`` shares data and changes no file; ``HARDLINK`` makes one file of equal
                ones, which :meth:`undo` takes back.
            apply: do it, not only say what would be done.
            min_bytes: pass over smaller files.
            progress: told how far things are.

        Raises:
            LibraryBusyError: another process did not let go of the library in time.
        """
        from modelcellar.dedupe import DedupeOptions, Deduper, records_folder
        from modelcellar.io.manager import IoManager

        with self._changing():
            self._books.refresh()
            deduper = Deduper(
                records_folder(),
                options=DedupeOptions(link, apply, min_bytes),
                disks=IoManager(self._settings.drive),
                books=self._books,
                on_progress=progress,
            )
            return deduper.run([Path(path) for path in paths])

    def purge(self, *, older_than_s: float = 0.0, dry_run: bool = False) -> PurgeReport:
        """Delete for good what is in the trash for at least so many seconds. Not undoable."""
        from modelcellar.history import purge

        with self._changing():
            return purge(self._books, older_than_s=older_than_s, dry_run=dry_run)

    def verify(
        self,
        texts: Sequence[str] = (),
        *,
        quick: bool = False,
        unread: bool = False,
        max_duration_s: float | None = None,
        progress: ProgressCallback | None = None,
    ) -> VerifyReport:
        """Read models again and compare both digests; those not verified for longest come first.

        Args:
            texts: which models, as for :meth:`get`; none means all.
            quick: sizes and structure only.
            unread: only adopted models that nobody has read yet, instead of all; small ones first.
            max_duration_s: begin no further model after that many seconds.
            progress: told how far things are.

        Raises:
            ModelNotFoundError, AmbiguousModelError: as for :meth:`get`.
        """
        from modelcellar.io.manager import IoManager
        from modelcellar.verifier import Verifier

        ids = [self._resolve(text).id for text in texts]
        ids += self._read(Catalog.unread) if unread else []
        self._read(Catalog.stamp)
        with self._changing():
            verifier = Verifier(
                self._books,
                quick=quick,
                max_duration_s=max_duration_s,
                disks=IoManager(self._settings.drive),
                on_progress=progress,
            )
            if texts or unread:
                return verifier.run(list(dict.fromkeys(ids)))
            return verifier.run_all()

    def rebuild(self) -> RebuildReport:
        """Make the catalog anew from the manifests."""
        began = time.perf_counter()
        try:
            models, problems = self._books.rebuild()
        except DAMAGED as error:
            self._whole.remake(error)
            models, problems = self._books.rebuild()
        rebuild_index(self._books.catalog.connection)
        return RebuildReport(models, time.perf_counter() - began, problems)
