"""The import flow: look, check space, digest, copy, publish, record. One bad file stops no other.

Sources are taken in windows: those that may be there already are digested, the others copied, many
at a time. What is complete is published in batches: one set of flushes makes many small files
durable, and a big file is published at once. Originals are only ever read; ``move`` deletes one
after its copy is published and only while it is still the file that was copied.
"""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from modelcellar import journal
from modelcellar import manifest as manifests
from modelcellar.background import BackgroundLookup
from modelcellar.bookkeeping import Bookkeeper, Outcome, StagedModel
from modelcellar.claimed import with_claims
from modelcellar.content import describe, file_records
from modelcellar.copying import Copying, windows
from modelcellar.duplicates import Duplicates
from modelcellar.edits import user_text
from modelcellar.errors import CellarError, SourceRefusedError
from modelcellar.io import hashing
from modelcellar.io.manager import IoManager
from modelcellar.io.validator import raise_errors, validate_import_source
from modelcellar.originals import delete_originals, origins
from modelcellar.records import CopyJob, ErrorInfo, HashedFile, ModelType
from modelcellar.reports import ImportMode, ImportReport, ImportResult, Progress
from modelcellar.sources import Source, SourceFile, find_sources
from modelcellar.store import Staging
from modelcellar.tally import Tally

__all__ = ["ImportOptions", "Importer"]

log = logging.getLogger(__name__)

BATCH_MODELS = 256
BATCH_BYTES = 256 << 20
BATCH_SECONDS = 5.0
WINDOW_SOURCES = 256
WINDOW_BYTES = 64 << 30
"""A window ends with either of these; what it digests first is kept from being copied so long."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import. ``name`` and ``model_type`` are the user's word for every model of the run.

    ``share`` is whether a copy may share its data with the original, where that works; ``verify``
    is what copies are checked by.
    """

    mode: ImportMode = ImportMode.COPY
    name: str | None = None
    model_type: ModelType | None = None
    as_one: bool = False
    dry_run: bool = False
    share: bool = True
    verify: hashing.Verify = "memory"

    @property
    def reflink(self) -> hashing.Reflink:
        """The same in the words of the copy."""
        if self.mode is ImportMode.REFLINK:
            return "always"
        return "auto" if self.share else "never"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A staged source that the next batch publishes."""

    source: Source
    model: StagedModel


class Importer:
    """One import run into one library.

    ``min_free_bytes`` stays free on the library's disk, or 3 % of a source if that is more.
    """

    def __init__(
        self,
        books: Bookkeeper,
        *,
        options: ImportOptions,
        min_free_bytes: int,
        disks: IoManager,
        lookup: BackgroundLookup | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        on_result: Callable[[ImportResult], object] | None = None,
    ) -> None:
        self.books = books
        name = user_text(options.name) if options.name is not None else ""
        self.options = replace(options, name=name or None)
        self.min_free_bytes = min_free_bytes
        self._disks = disks
        self._lookup = lookup
        self._tally = Tally(on_progress, on_result)
        self._duplicates = Duplicates(books, self._tally, disks)
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._planned: set[str] = set()
        self._batch_began = 0.0
        self._entry = journal.new_entry("import", books.next_entry_at())

    def run(self, paths: Sequence[Path]) -> ImportReport:
        """Import files and folders.

        Raises:
            KeyboardInterrupt: after everything that was complete has been published.
            LibraryBusyError: another process did not let go of the library in time.
        """
        sources = self._look(paths)
        if self.options.dry_run:
            self._plan(sources)
        elif sources:
            is_complete = False
            try:
                with self.books.store.change() as staging:
                    self._import_all(sources, staging)
                is_complete = True
            finally:
                if self._lookup is not None and not is_complete:
                    self._lookup.finish(is_cut_short=True)
            self._write_origins()
        return self._tally.report(dry_run=self.options.dry_run)

    def _write_origins(self) -> None:
        """Write where models are from, as far as that was found out beside the import."""
        if self._lookup is None:
            return
        self._tally.progress("look up")
        found = self._lookup.finish()
        came_in = self._tally.ids_by_content()
        answers = {came_in[key]: one for key, one in found.items() if key in came_in}
        if not answers:
            return
        from modelcellar.enricher import write_answers

        try:
            after = write_answers(self.books, answers)
        except (CellarError, OSError) as error:
            log.warning("origins were found and could not be written: %s", error)
        else:
            self._tally.changed([manifests.to_record(one) for one in after.values()])

    def _look(self, paths: Sequence[Path]) -> list[Source]:
        sources = []
        found = find_sources(paths, as_one=self.options.as_one, exclude=self.books.store.root)
        for item in found:
            if isinstance(item, Source):
                sources.append(item)
                self._tally.found(item)
            else:
                self._tally.not_taken(item)
        return sources

    def _plan(self, sources: Sequence[Source]) -> None:
        """What an import would do, without writing anything."""
        digests = self._duplicates.digests(sources)
        for number, source in enumerate(sources):
            digest = digests.get(number)
            with self._one(source):
                if isinstance(digest, OSError):
                    raise digest
                if digest is not None and self._is_present(source, digest):
                    continue
                if digest in self._planned:
                    self._tally.duplicate(source, None)
                    continue
                self._validate(source)
                self._tally.imported(source, None)
                if digest is not None:
                    self._planned.add(digest)

    def _import_all(self, sources: Sequence[Source], staging: Staging) -> None:
        try:
            for window in windows(sources, most=WINDOW_SOURCES, most_bytes=WINDOW_BYTES):
                self._work(window, staging)
        finally:
            # On Ctrl-C too: what is complete is kept, and the interrupt goes on afterwards.
            self._publish_batch(staging)

    def _work(self, window: Sequence[Source], staging: Staging) -> None:
        """Take some sources as far as they get: published, or waiting for the next batch."""
        digests = self._duplicates.digests(window)
        to_copy: list[Source] = []
        before_bytes = 0
        twins: list[tuple[Source, str]] = []
        begun: set[str] = set()
        for number, source in enumerate(window):
            digest = digests.get(number)
            with self._one(source, is_done=False):
                if isinstance(digest, OSError):
                    raise digest
                if digest is not None and self._is_known(source, digest):
                    self._tally.worked_on(source)
                elif digest in begun:
                    twins.append((source, digest))
                else:
                    self._validate(source, before_bytes=before_bytes)
                    before_bytes += source.size_bytes
                    to_copy.append(source)
                    begun.update([digest] if digest is not None else [])
        self._copy(to_copy, staging)
        again = []
        for source, digest in twins:
            if self._is_known(source, digest):
                self._tally.worked_on(source)
            else:
                again.append(source)  # The one before it could not be read to its end.
        if again:
            self._work(again, staging)

    @contextmanager
    def _one(self, source: Source, *, is_done: bool = True) -> Iterator[None]:
        """What goes wrong with one source is noted and stops no other."""
        try:
            yield
        except SourceRefusedError as error:
            self._tally.refused(source, error)
        except OSError as error:
            self._tally.failed(source, error)
        else:
            if not is_done:
                return
        self._tally.worked_on(source)

    def _validate(self, source: Source, *, before_bytes: int = 0) -> None:
        library = self.books.store.root
        findings = validate_import_source(
            [file.relative for file in source.files],
            source.size_bytes,
            library=library,
            min_free_bytes=self.min_free_bytes + before_bytes,
            largest_bytes=max((file.stamp.size_bytes for file in source.files), default=0),
        )
        raise_errors(findings, library)

    def _is_known(self, source: Source, digest: str) -> bool:
        for waiting in self._waiting:
            if digest == waiting.model.manifest.content_digest:
                # The twin is about to be published; it is a duplicate from then on.
                self._waiting.append(_Waiting(source, waiting.model))
                return True
        return self._is_present(source, digest)

    def _is_present(self, source: Source, digest: str) -> bool:
        present = self.books.catalog.by_content(digest)
        if present is None or not self.books.is_well(present):
            return False
        self._tally.duplicate(source, present.id)
        return True

    def _copy(self, sources: Sequence[Source], staging: Staging) -> None:
        """Copy sources, many files at a time; each is staged as soon as its last file is there."""
        jobs: list[CopyJob] = []
        owners: list[tuple[Copying, SourceFile]] = []
        for source in sources:
            copying = Copying(source, staging.new_folder())
            self._duplicates.remember(source)
            if self._lookup is not None:
                self._lookup.prepare(source)
            with self._one(source, is_done=False):
                for file, job in list(copying.jobs()):
                    jobs.append(job)
                    owners.append((copying, file))

        def on_done(number: int, result: HashedFile | OSError) -> None:
            copying, file = owners[number]
            copying.found[file.relative] = result
            if copying.is_complete:
                with self._one(copying.source):
                    self._stage(copying)
                if self._batch_is_full():
                    self._publish_batch(staging)

        found: dict[int, HashedFile | OSError] = {}
        try:
            self._disks.copy_many(
                jobs,
                reflink=self.options.reflink,
                verify=self.options.verify,
                found=found,
                on_done=on_done,
                progress=self._tally.byte_progress(
                    "copy", passes=2 if self.options.verify == "disk" else 1
                ),
            )
        finally:
            # What was complete when Ctrl-C came, but not told yet.
            for number, result in found.items():
                on_done(number, result)

    def _stage(self, copying: Copying) -> None:
        source = copying.source
        try:
            hashed = copying.hashed()
        except OSError:
            # The sources after this one may need its space.
            shutil.rmtree(copying.content)
            copying.is_ended = True
            raise
        cloned = sum(one.size_bytes for one in hashed if one.cloned)
        self._tally.bytes_read += source.size_bytes
        self._tally.bytes_written += source.size_bytes - cloned
        self._tally.bytes_cloned += cloned
        model = describe(
            source,
            file_records(source.files, hashed),
            copying.content,
            name=self.options.name,
            model_type=self.options.model_type,
            at=self.books.timestamp(),
        )
        if self._lookup is None:
            model = with_claims(model, source)
        else:
            self._lookup.ask(source, model.key, model.manifest.files)
        if not self._waiting:
            self._batch_began = time.monotonic()
        self._waiting_bytes += source.size_bytes
        self._waiting.append(_Waiting(source, model))
        copying.is_ended = True

    def _batch_is_full(self) -> bool:
        return bool(self._waiting) and (
            len(self._waiting) >= BATCH_MODELS
            or self._waiting_bytes >= BATCH_BYTES
            or time.monotonic() - self._batch_began >= BATCH_SECONDS
        )

    def _publish_batch(self, staging: Staging) -> None:
        if not self._waiting:
            return
        batch = sorted(self._waiting, key=lambda one: self._tally.place_of(one.source))
        self._waiting, self._waiting_bytes = [], 0
        for waiting in batch:
            self._duplicates.forget(waiting.source)
        self._tally.progress("publish")
        entry = self._entry
        if self.options.mode is ImportMode.MOVE:
            sources = ((one.model.key, one.source) for one in batch)
            moved = {**origins(sources), **entry.details.get("moved", {})}
            entry = replace(entry, details={"moved": moved})
        try:
            models = [waiting.model for waiting in batch]
            outcomes, self._entry = self.books.publish(staging, models, entry)
        except OSError as error:
            for waiting in batch:
                self._tally.failed(waiting.source, error)
        except CellarError as error:
            for waiting in batch:
                info = ErrorInfo(error.code, error.message, error.hint)
                self._tally.failed(waiting.source, info)
        else:
            for waiting, outcome in zip(batch, outcomes, strict=True):
                self._published(waiting.source, outcome)

    def _published(self, source: Source, outcome: Outcome) -> None:
        if outcome.duplicate:
            self._tally.duplicate(source, outcome.manifest.id)
            return
        error = None
        if outcome.mended and self.options.mode is ImportMode.MOVE:
            # Undo could not put it back: the model is of an earlier import.
            error = ErrorInfo(
                "original_kept",
                "the library's damaged copy was mended with this file; the original stays",
                "Delete it yourself once `cellar verify` is content.",
            )
        elif self.options.mode is ImportMode.MOVE:
            error = delete_originals(source)
        model = manifests.to_record(outcome.manifest)
        same = tuple(self.books.catalog.same_tensors(model))
        self._tally.imported(
            source,
            model,
            error,
            same_tensors=same,
            content_digest=outcome.manifest.content_digest or "",
        )
