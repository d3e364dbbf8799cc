"""The library: opens a folder, wires the parts together, and passes each request on."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from modelcellar import manifest as manifests
from modelcellar.config import Settings, load_settings
from modelcellar.download_records import DownloadReport, Patience, UnfinishedDownload
from modelcellar.edits import apply_edits
from modelcellar.index import Catalog
from modelcellar.layout import create_library
from modelcellar.link_records import LinkKind
from modelcellar.records import (
    EditChanges,
    JournalEntry,
    ModelRecord,
    ModelType,
)
from modelcellar.reports import (
    AdoptReport,
    EnrichReport,
    EnrichResult,
    ImportMode,
    ImportReport,
    ImportResult,
    LookupReport,
    Progress,
    RestoreReport,
)
from modelcellar.upkeep import LibraryUpkeep

if TYPE_CHECKING:
    from modelcellar.applications import Applications
    from modelcellar.link_records import SyncReport
    from modelcellar.model_set import ModelSet
    from modelcellar.network.throttling import Wait

__all__ = ["ModelLibrary"]

ProgressCallback = Callable[[Progress], object]
WaitCallback = Callable[["Wait"], None]


class ModelLibrary(LibraryUpkeep):
    """One library of models. A context manager; close it when done.

    Args:
        path: the library's folder.
        settings: values in force; by default those of the user's environment and config file.

    Raises:
        LibraryNotFoundError: there is no library at ``path``.
        LibraryFormatError: it was made by a newer version.
    """

    @classmethod
    def create(cls, path: Path, *, settings: Settings | None = None) -> Self:
        """Make a library at ``path``, or open the one that is there.

        Raises:
            UsageError: the folder holds other things.
        """
        settings = settings if settings is not None else load_settings()[0]
        create_library(Path(path))
        return cls(path, settings=settings)

    def import_paths(
        self,
        paths: Sequence[Path],
        *,
        mode: ImportMode = ImportMode.COPY,
        name: str | None = None,
        model_type: ModelType | None = None,
        as_one: bool = False,
        dry_run: bool = False,
        verify: Literal["memory", "disk"] = "memory",
        lookup: bool | None = None,
        progress: ProgressCallback | None = None,
        on_result: Callable[[ImportResult], object] | None = None,
    ) -> ImportReport:
        """Take files and folders in. Originals are only read, unless ``mode`` is ``MOVE``.

        Args:
            paths: files and folders; see :mod:`modelcellar.sources` for what becomes a model.
            mode: whether the originals stay; a copy shares its data with them where that works.
            name: the user's name for the model, instead of the file's or folder's.
            model_type: the user's word for what it is.
            as_one: each folder is one model, whatever it holds.
            dry_run: look and compare, write nothing.
            lookup: whether to ask where the files are from, beside the copy; else as in settings.
            verify: with ``disk`` each copy is read back past the page cache before it counts.
            progress: told how far things are, from this thread.
            on_result: told of each source as soon as its fate is known.

        Raises:
            KeyboardInterrupt: after everything that was complete has been published.
            LibraryBusyError: another process did not let go of the library in time.
        """
        from modelcellar.background import BackgroundLookup
        from modelcellar.importer import Importer, ImportOptions
        from modelcellar.io.manager import IoManager

        asks = self._settings.lookup if lookup is None else lookup
        with self._changing():
            self._books.refresh()
            importer = Importer(
                self._books,
                options=ImportOptions(
                    mode,
                    name,
                    model_type,
                    as_one,
                    dry_run,
                    share=self._settings.reflink == "auto",
                    verify=verify,
                ),
                min_free_bytes=self._settings.min_free_bytes,
                disks=IoManager(self._settings.drive),
                lookup=BackgroundLookup(self._settings) if asks and not dry_run else None,
                on_progress=progress,
                on_result=on_result,
            )
            return importer.run([Path(path) for path in paths])

    def download(
        self,
        target: str,
        patterns: Sequence[str] = (),
        *,
        revision: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        sha256: str | None = None,
        name: str | None = None,
        model_type: ModelType | None = None,
        connections: int = 0,
        dry_run: bool = False,
        patience: Patience | None = None,
        progress: ProgressCallback | None = None,
        on_wait: WaitCallback | None = None,
        on_note: Callable[[str], object] | None = None,
    ) -> DownloadReport:
        """Bring files from the Hub, Civitai or an address into the library, proved by their digest.

        What is cut short is gone on with by the same call, in this process or another.

        Args:
            target: see :mod:`modelcellar.downloads.targets`.
            patterns: which files of it; none means all.
            revision: branch, tag or commit of a repository; by default what the Hub shows.
            include: more patterns.
            exclude: which of those files not.
            sha256: what the file at a plain address must turn out to be.
            name: the user's name for the model.
            model_type: the user's word for what it is.
            connections: how many at a time; 0: as many as make it faster.
            dry_run: ask and compare, fetch nothing.
            patience: when a transfer counts as broken, and how often it is tried again.
            progress: told how far things are.
            on_wait: told of each wait for a host's quota.
            on_note: told of what people should know, as soon as it is known.

        Raises:
            CellarError: see :meth:`modelcellar.downloads.downloader.Downloader.run`.
            KeyboardInterrupt: what has come is kept for the next run.
            OSError: the library's disk is full or fails.
        """
        from modelcellar.downloads.downloader import Downloader, DownloadOptions

        options = DownloadOptions(
            tuple(patterns),
            revision,
            tuple(include),
            tuple(exclude),
            sha256,
            name,
            model_type,
            connections,
            dry_run,
            patience or Patience(),
        )
        with self._changing():
            downloader = Downloader(
                self._books,
                self._settings,
                options=options,
                on_progress=progress,
                on_wait=on_wait,
                on_note=on_note,
            )
            return downloader.run(target)

    def unfinished_downloads(self) -> tuple[UnfinishedDownload, ...]:
        """What was begun and can be gone on with, the oldest first."""
        from modelcellar.downloads.unfinished import unfinished

        return unfinished(self.path)

    def discard_downloads(self, target: str) -> tuple[UnfinishedDownload, ...]:
        """Give up what was begun of ``target``, and its space back; what that was.

        Args:
            target: as it was given to :meth:`download`, or the repository or page it is from.

        Raises:
            OSError: the library cannot be written to.
        """
        from modelcellar.downloads.unfinished import discard

        return discard(self.path, target)

    def adopt(
        self,
        paths: Sequence[Path],
        *,
        link: LinkKind | None = None,
        dry_run: bool = False,
        progress: ProgressCallback | None = None,
    ) -> AdoptReport:
        """Take a collection in where it lies: linked, with nothing but its headers read.

        Args:
            paths: files and folders, as for :meth:`import_paths`.
            link: ``REFLINK`` or ``HARDLINK`` only; by default whichever works, in this order.
            dry_run: look, and write nothing.
            progress: told how far things are.

        Raises:
            KeyboardInterrupt: after everything that was complete has been published.
            LibraryBusyError: another process did not let go of the library in time.
        """
        from modelcellar.adoption import Adopter, AdoptOptions

        with self._changing():
            self._books.refresh()
            if link is None and self._settings.reflink == "never":
                link = LinkKind.HARDLINK
            options = AdoptOptions(link, dry_run)
            adopter = Adopter(self._books, options=options, on_progress=progress)
            return adopter.run([Path(path) for path in paths])

    def edit(self, text: str, changes: EditChanges, *, dry_run: bool = False) -> ModelRecord:
        """Change what the user says about a model; guesses stay beside the user's word.

        Raises:
            ModelNotFoundError, AmbiguousModelError: as for :meth:`get`.
        """
        from modelcellar.history import edit_model

        found = self._resolve(text)
        if dry_run:
            return manifests.to_record(apply_edits(found, changes, at=self._books.timestamp()))
        with self._changing():
            return manifests.to_record(edit_model(self._books, found.id, changes))

    def remove(self, *texts: str, dry_run: bool = False) -> JournalEntry:
        """Move models to the trash, as one change; :meth:`undo` brings them back.

        Raises:
            ModelNotFoundError, AmbiguousModelError: as for :meth:`get`.
        """
        from modelcellar.history import removal_of, remove_models

        ids = list(dict.fromkeys(self._resolve(text).id for text in texts))
        if dry_run:
            return removal_of(self._books, ids)
        with self._changing():
            lists = self.applications.write_lists
            return remove_models(self._books, ids, self._links, write_lists=lists)

    def undo(self, *, dry_run: bool = False) -> JournalEntry:
        """Take the last change back: an import goes to the trash, a removal or edit is restored.

        Raises:
            NothingToUndoError: there is no change to take back.
        """
        from modelcellar.history import last_change, undo

        with self._changing():
            if dry_run:
                return last_change(self._books, self._links)
            return undo(self._books, self._links)

    def lookup(
        self, text: str, *, refresh: bool = False, on_wait: WaitCallback | None = None
    ) -> LookupReport:
        """Where a model of the library is from; nothing is written. Otherwise as :meth:`enrich`."""
        from modelcellar.lookups import lookup_model

        found = self._resolve(text)
        folder = self._books.store.content_path(found.id)
        return lookup_model(found, folder, self._settings, refresh=refresh, on_wait=on_wait)

    def enrich(
        self,
        texts: Sequence[str] = (),
        *,
        refresh: bool = False,
        dry_run: bool = False,
        on_wait: WaitCallback | None = None,
        on_result: Callable[[EnrichResult], object] | None = None,
    ) -> EnrichReport:
        """Look up where models are from and write what is found into their manifests.

        Args:
            texts: which models, as for :meth:`get`; none means all whose origin is not proved.
            refresh: ask again whatever is remembered.
            dry_run: ask, and write nothing.
            on_wait: told of each wait for a host's quota.
            on_result: told of each model as soon as what was found is written.

        Raises:
            ModelNotFoundError, AmbiguousModelError: as for :meth:`get`.
            LibraryBusyError: another process did not let go of the library in time.
        """
        from modelcellar.lookups import enrich_models

        ids = [self._resolve(text).id for text in texts] or self._read(Catalog.unidentified)
        rows = (self._read(partial(Catalog.by_id, model_id=one)) for one in dict.fromkeys(ids))
        found = [manifest for manifest in rows if manifest is not None]
        with self._changing():
            return enrich_models(
                self._books,
                found,
                self._settings,
                refresh=refresh,
                dry_run=dry_run,
                on_wait=on_wait,
                on_result=on_result,
            )

    @property
    def applications(self) -> "Applications":
        """The applications that are given links: added, synced, looked after and removed."""
        from modelcellar.applications import Applications

        return Applications(self._whole, self._links, offline=self._settings.offline)

    def sync(self, app: str | None = None, *, dry_run: bool = False) -> "SyncReport":
        """Give every application, or one, the links it should have; see :attr:`applications`."""
        return self.applications.sync(app, dry_run=dry_run)

    def restore(
        self,
        wanted: "ModelSet",
        folders: Sequence[Path] = (),
        *,
        dry_run: bool = False,
        progress: ProgressCallback | None = None,
    ) -> RestoreReport:
        """Bring a set from another machine: what was said of its models, and files, if found.

        Args:
            wanted: the set; see :func:`modelcellar.model_set.decode_set`.
            folders: where files of models that are not there may be; they are known by their
                digests and copied. No host is asked.
            dry_run: look and compare, write nothing.
            progress: told how far the reading is.

        Raises:
            LibraryBusyError: another process did not let go of the library in time.
        """
        from modelcellar.io.manager import IoManager
        from modelcellar.restoring import restore

        def take_in(paths: Sequence[Path], as_one: bool, is_dry: bool) -> ImportReport:
            return self.import_paths(paths, as_one=as_one, dry_run=is_dry, lookup=False)

        self._read(Catalog.stamp)
        with self._changing():
            return restore(
                self._books,
                wanted,
                folders,
                take_in=take_in,
                disks=IoManager(self._settings.drive),
                dry_run=dry_run,
                progress=progress,
            )
