"""The import flow: look, check space, digest, copy, publish, record. One bad file stops no other.

Sources are staged one after the other and published in batches: one set of flushes makes many small
files durable, and a big file is published at once. Originals are only ever read; ``move`` deletes
one after its copy is published and only while it is still the file that was copied.
"""

import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from modelcellar import journal, naming
from modelcellar import manifest as manifests
from modelcellar.bookkeeping import Bookkeeper, Outcome, StagedModel
from modelcellar.content import content_digest, describe, file_records, hash_ranges
from modelcellar.edits import user_text
from modelcellar.errors import CellarError, SourceRefusedError
from modelcellar.failures import failure
from modelcellar.io import hashing
from modelcellar.io.compare import could_be_equal
from modelcellar.io.validator import validate_import_source
from modelcellar.records import ErrorInfo, HashedFile, ModelType
from modelcellar.reports import ImportMode, ImportReport, ImportResult, Progress
from modelcellar.sources import Source, SourceFile, Stamp, find_sources
from modelcellar.store import Staging
from modelcellar.tally import Tally

__all__ = ["ImportOptions", "Importer"]

log = logging.getLogger(__name__)

BATCH_MODELS = 256
BATCH_BYTES = 256 << 20
BATCH_SECONDS = 5.0
SAMPLE_FROM_BYTES = 16 << 20
"""From this size on, looking at samples is cheaper than reading a file once more."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import. ``name`` and ``model_type`` are the user's word for every model of the run."""

    mode: ImportMode = ImportMode.COPY
    name: str | None = None
    model_type: ModelType | None = None
    as_one: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A staged source that the next batch publishes."""

    source: Source
    model: StagedModel


@dataclass(slots=True)
class _Planned:
    """A source that a dry run would import, with its content digest once that is needed."""

    source: Source
    content: str | None


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
        on_progress: Callable[[Progress], object] | None = None,
        on_result: Callable[[ImportResult], object] | None = None,
    ) -> None:
        self.books = books
        name = user_text(options.name) if options.name is not None else ""
        self.options = replace(options, name=name or None)
        self.min_free_bytes = min_free_bytes
        self._tally = Tally(on_progress, on_result)
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._staged_files: dict[int, list[Path]] = {}
        self._planned: dict[int, list[_Planned]] = {}
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
            for source in sources:
                self._work(source, None)
        elif sources:
            with self.books.store.change() as staging:
                self._import_all(sources, staging)
        return self._tally.report(dry_run=self.options.dry_run)

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

    def _import_all(self, sources: Iterable[Source], staging: Staging) -> None:
        try:
            for source in sources:
                self._work(source, staging)
                if self._batch_is_full():
                    self._publish_batch(staging)
        finally:
            # On Ctrl-C too: what is complete is kept, and the interrupt goes on afterwards.
            self._publish_batch(staging)

    def _work(self, source: Source, staging: Staging | None) -> None:
        """Take one source as far as the staging folder; without one (a dry run) only plan it."""
        try:
            known = self._known_digest(source)
            if known is not None and self._is_known(source, known):
                return
            self._validate(source)
            if staging is None:
                self._tally.imported(source, None)
                self._plan(source, known)
            else:
                self._stage(source, staging)
        except SourceRefusedError as error:
            self._tally.refused(source, error)
        except OSError as error:
            self._tally.failed(source, error)
        finally:
            self._tally.worked_on(source)

    def _validate(self, source: Source) -> None:
        validate_import_source(
            [file.relative for file in source.files],
            source.size_bytes,
            library=self.books.store.root,
            min_free_bytes=self.min_free_bytes,
        )

    def _known_digest(self, source: Source) -> str | None:
        """Content digest of a source that may be there already: a duplicate writes nothing.

        Only the whole file proves that; most files of a size that is known are told apart by a
        few samples, and then need not be read twice.
        """
        if not all(self._may_be_known(file) for file in source.weights):
            return None
        return self._digest(source)

    def _digest(self, source: Source) -> str:
        found_all = []
        before = 0
        for file in source.weights:
            tell = self._tally.byte_progress("compare", file, before)
            found = hashing.hash_file(file.path, progress=tell)
            _check_unchanged(file)
            before += found.size_bytes
            self._tally.bytes_read += found.size_bytes
            found_all.append(found)
        return content_digest(file_records(source.weights, found_all))

    def _may_be_known(self, file: SourceFile) -> bool:
        size = file.stamp.size_bytes
        staged = self._staged_files.get(size, ())
        if size < SAMPLE_FROM_BYTES:
            return bool(staged) or self.books.catalog.has_size(size)
        present = (
            self.books.store.content_path(model_id) / path
            for model_id, path in self.books.catalog.files_of_size(size)
        )
        return any(could_be_equal(file.path, other, size) for other in chain(staged, present))

    def _is_known(self, source: Source, digest: str) -> bool:
        if any(digest == waiting.model.manifest.content_digest for waiting in self._waiting):
            # The twin is about to be published; it is a duplicate from then on.
            self._waiting.append(_Waiting(source, self._twin(digest)))
            return True
        present = self.books.catalog.by_content(digest)
        if present is not None and self.books.is_well(present):
            self._tally.duplicate(source, present.id)
            return True
        if any(
            self._content(twin) == digest for twin in self._planned.get(_weights_bytes(source), ())
        ):
            self._tally.duplicate(source, None)
            return True
        return False

    def _plan(self, source: Source, known: str | None) -> None:
        """Remember what a dry run would import, for its twins that come later."""
        twins = self._planned.setdefault(_weights_bytes(source), [])
        twins.append(_Planned(source, known))
        for file in source.weights:
            self._staged_files.setdefault(file.stamp.size_bytes, []).append(file.path)

    def _content(self, planned: _Planned) -> str:
        if planned.content is None:
            planned.content = self._digest(planned.source)
        return planned.content

    def _twin(self, digest: str) -> StagedModel:
        twins = (waiting.model for waiting in self._waiting)
        return next(model for model in twins if model.manifest.content_digest == digest)

    def _stage(self, source: Source, staging: Staging) -> None:
        content = staging.new_folder()
        try:
            hashed = self._copy(source, content)
        except OSError:
            # The sources after this one may need its space.
            shutil.rmtree(content)
            raise
        self._tally.bytes_read += source.size_bytes
        self._tally.bytes_written += source.size_bytes
        model = describe(
            source,
            file_records(source.files, hashed),
            content,
            name=self.options.name,
            model_type=self.options.model_type,
            at=self.books.timestamp(),
        )
        if not self._waiting:
            self._batch_began = time.monotonic()
        self._waiting_bytes += source.size_bytes
        self._waiting.append(_Waiting(source, model))

    def _copy(self, source: Source, content: Path) -> list[HashedFile]:
        hashed = []
        before = 0
        for file in source.files:
            target = content / file.relative
            target.parent.mkdir(parents=True, exist_ok=True)
            tell = self._tally.byte_progress("copy", file, before)
            copied = hashing.copy_with_hashing(
                file.path, target, publish=False, ranges=hash_ranges(file), progress=tell
            )
            _check_unchanged(file)
            before += copied.size_bytes
            hashed.append(copied)
            if not file.is_companion:
                self._staged_files.setdefault(copied.size_bytes, []).append(target)
        return hashed

    def _batch_is_full(self) -> bool:
        return bool(self._waiting) and (
            len(self._waiting) >= BATCH_MODELS
            or self._waiting_bytes >= BATCH_BYTES
            or time.monotonic() - self._batch_began >= BATCH_SECONDS
        )

    def _publish_batch(self, staging: Staging) -> None:
        if not self._waiting:
            return
        batch, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._staged_files.clear()
        self._tally.progress("publish")
        entry = self._entry
        if self.options.mode is ImportMode.MOVE:
            moved = {**_origins(batch), **entry.details.get("moved", {})}
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
            error = _delete_originals(source)
        model = manifests.to_record(outcome.manifest)
        same = tuple(self.books.catalog.same_tensors(model))
        self._tally.imported(source, model, error, same_tensors=same)


def _weights_bytes(source: Source) -> int:
    return sum(file.stamp.size_bytes for file in source.weights)


def _check_unchanged(file: SourceFile) -> None:
    if Stamp.of(file.path) != file.stamp:
        raise _changed(file)


def _changed(file: SourceFile) -> OSError:
    return OSError(errno.ESTALE, "changed while it was being read", os.fspath(file.path))


def _origins(batch: Iterable[_Waiting]) -> dict[str, list[tuple[str, str, int]]]:
    """Content digest -> where its files came from and their permissions, to undo a move."""
    origins: dict[str, list[tuple[str, str, int]]] = {}
    for waiting in batch:
        files = [
            (file.relative, os.fspath(file.path.absolute()), file.stamp.mode)
            for file in waiting.source.files
        ]
        origins.setdefault(waiting.model.manifest.content_digest, files)
    return origins


def _delete_originals(source: Source) -> ErrorInfo | None:
    """Delete what was moved, all of it or nothing, only while it is still what was copied."""
    try:
        for file in source.files:
            _check_unchanged(file)
            if _is_behind_link(source, file):
                return ErrorInfo(
                    "original_kept",
                    f"imported, but {naming.display(os.fspath(file.path))} is a link and stays",
                    "Remove it and what it points to by hand.",
                )
        for file in source.files:
            # Not the ctime: deleting one of two hard links to a file changes that of the other.
            if not Stamp.of(file.path).is_same_content(file.stamp):
                raise _changed(file)
            file.path.unlink()
    except OSError as error:
        info = failure(error)
        return replace(info, message=f"imported, but the original stays: {info.message}")
    folders = {folder for file in source.files for folder in file.path.parents}
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        if folder.is_relative_to(source.path):
            with suppress(OSError):
                folder.rmdir()
    return None


def _is_behind_link(source: Source, file: SourceFile) -> bool:
    """Whether the named file or folder, or something below it on the way to the file, is a link."""
    if source.behind_link or source.path.is_symlink() or file.path.is_symlink():
        return True
    if not file.path.is_relative_to(source.path):
        return False  # It lies beside the file that stands for the model.
    below = file.path.relative_to(source.path)
    return file.path.resolve() != source.path.resolve() / below
