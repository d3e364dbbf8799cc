"""Taking a collection in where it lies: its files are linked into the library, not read.

A file comes in as a clone that shares its data where the file system can do that, else as a hard
link: a second name of the very same file. A hard link's permissions are the file's own, so they
stay as they are, and a program that writes into the file writes into the library's too; small
files beside a model, which programs do write, are copied instead. Of the content only headers are
read; digests are made by the first verification (:mod:`modelcellar.first_reading`), and until then
an adopted model equals no other.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from modelcellar import journal
from modelcellar import manifest as manifests
from modelcellar.bookkeeping import Bookkeeper, StagedModel
from modelcellar.claimed import Claims, claimed_identity, claims_about, digest_claim, unread_record
from modelcellar.content import describe
from modelcellar.errors import CellarError, SourceRefusedError
from modelcellar.failures import failure
from modelcellar.io.linking import Linker
from modelcellar.io.validator import raise_errors, validate_import_source
from modelcellar.link_records import LinkKind
from modelcellar.records import ErrorInfo, Identity, ModelRecord
from modelcellar.reports import AdoptReport, AdoptResult, ImportStatus, Progress, Skipped
from modelcellar.same_files import SameFiles
from modelcellar.sources import NotTaken, Source, find_sources
from modelcellar.store import Staging

__all__ = ["AdoptOptions", "Adopter"]

NOTE_BYTES = 16 << 20
"""A companion that is larger is a hard link, so that an adoption takes no space."""
BATCH_MODELS = 256
"""One set of flushes makes so many models durable."""


@dataclass(frozen=True, slots=True)
class AdoptOptions:
    """How to adopt. ``link`` is the only kind to use; by default a clone or else a hard link."""

    link: LinkKind | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A source whose files are linked into the staging folder; the next batch publishes it."""

    source: Source
    model: StagedModel
    result: AdoptResult


class Adopter:
    """One adoption into one library."""

    def __init__(
        self,
        books: Bookkeeper,
        *,
        options: AdoptOptions,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> None:
        self.books = books
        self.options = options
        self._on_progress = on_progress
        self._linker = Linker(books.store.root, only=options.link)
        self._same = SameFiles(books)
        self._waiting: list[_Waiting] = []
        self._results: list[AdoptResult] = []
        self._skipped: list[Skipped] = []
        self._order: dict[str, int] = {}
        self._models: list[ModelRecord] = []
        self._done = (0, 0)
        self._entry = journal.new_entry("adopt", books.next_entry_at(), details={"adopted": {}})

    def run(self, paths: Sequence[Path]) -> AdoptReport:
        """Adopt files and folders.

        Raises:
            KeyboardInterrupt: after everything that was complete has been published.
            LibraryBusyError: another process did not let go of the library in time.
        """
        began = time.monotonic()
        found = find_sources(paths, exclude=self.books.store.root)
        if self.options.dry_run:
            for item in found:
                self._look_at(item, None)
        else:
            with self.books.store.change() as staging:
                # What a process that died had begun is finished by now, and not in the catalog.
                self.books.refresh()
                try:
                    for item in found:
                        self._look_at(item, staging)
                finally:
                    # On Ctrl-C too: what is complete is kept, and the interrupt goes on afterwards.
                    self._publish(staging)
        return AdoptReport(
            # As found, however soon each was done.
            results=tuple(sorted(self._results, key=lambda one: self._order[one.source])),
            models=tuple(self._models),
            skipped=tuple(self._skipped),
            seconds=time.monotonic() - began,
            dry_run=self.options.dry_run,
        )

    def _look_at(self, item: Source | NotTaken, staging: Staging | None) -> None:
        """Take one source as far as it gets; without ``staging`` only say how far that would be."""
        self._order.setdefault(os.fspath(item.path), len(self._order))
        if isinstance(item, NotTaken):
            self._not_taken(item)
            return
        with self._one(item):
            self._validate(item)
            model_id = self._same.model_with(item)
            if model_id is None and self._same.is_on_its_way(item) and staging is not None:
                self._publish(staging)
                model_id = self._same.model_with(item)
            if model_id is not None or self._same.is_on_its_way(item):
                self._tell(_result(item, ImportStatus.DUPLICATE, model_id=model_id))
            elif staging is None:
                kind = self._linker.likely_kind([file.path for file in item.files])
                self._same.remember(item)
                self._tell(
                    _result(item, ImportStatus.IMPORTED, link=kind, claims=claims_about(item))
                )
            else:
                self._stage(item, staging)
        if staging is not None and len(self._waiting) >= BATCH_MODELS:
            self._publish(staging)

    @contextmanager
    def _one(self, source: Source) -> Iterator[None]:
        """What goes wrong with one source is noted and stops no other."""
        try:
            yield
        except SourceRefusedError as error:
            info = ErrorInfo(error.code, error.message, error.hint)
            self._tell(_result(source, ImportStatus.REFUSED, error=info))
        except OSError as error:
            self._tell(_result(source, ImportStatus.FAILED, error=failure(error)))
        files, size_bytes = self._done
        self._done = (files + len(source.files), size_bytes + source.size_bytes)
        self._progress("adopt", os.fspath(source.path))

    def _validate(self, source: Source) -> None:
        library = self.books.store.root
        names = [file.relative for file in source.files]
        raise_errors(validate_import_source(names, 0, library=library, min_free_bytes=0), library)

    def _stage(self, source: Source, staging: Staging) -> None:
        content = staging.new_folder()
        try:
            kind = self._link_all(source, content)
        except (OSError, SourceRefusedError):
            shutil.rmtree(content)  # our names of the files; theirs stay
            raise
        claims = claims_about(source)
        records = [unread_record(file, claims[file.relative]) for file in source.files]
        records.sort(key=lambda record: os.fsencode(record.path))
        model = describe(
            source, tuple(records), content, name=None, model_type=None, at=self.books.timestamp()
        )
        model = replace(
            model, manifest=replace(model.manifest, identity=claimed_identity(source, claims))
        )
        self._same.remember(source)
        result = _result(source, ImportStatus.IMPORTED, link=kind, claims=claims)
        self._waiting.append(_Waiting(source, model, result))

    def _link_all(self, source: Source, content: Path) -> LinkKind:
        """Link every file of a source, all of them the same way; but no hard links of companions.

        Programs rewrite the notes beside a model in place, so the library has small copies of them.
        """
        pairs: dict[bool, list[tuple[Path, Path]]] = {False: [], True: []}
        for file in source.files:
            target = content / file.relative
            target.parent.mkdir(parents=True, exist_ok=True)
            pair = (Path(os.path.realpath(file.path)), target)
            pairs[file in source.weights or file.stamp.size_bytes > NOTE_BYTES].append(pair)
        kind = self._linker.link_all(pairs[True])
        if kind is LinkKind.HARDLINK:
            for original, target in pairs[False]:
                _copy(original, target)
        elif pairs[False]:
            self._linker.link_all(pairs[False])
        for file in source.files:
            # Not the ctime: a hard link changes that of the file.
            if not type(file.stamp).of(file.path).is_same_content(file.stamp):
                raise file.changed()
        return kind

    def _publish(self, staging: Staging) -> None:
        if not self._waiting:
            return
        batch, self._waiting = self._waiting, []
        self._progress("publish")
        adopted = {
            one.model.key: [
                (file.relative, os.path.realpath(file.path)) for file in one.source.files
            ]
            for one in batch
        }
        adopted = {**self._entry.details["adopted"], **adopted}
        entry = replace(self._entry, details={"adopted": adopted})
        try:
            outcomes, self._entry = self.books.publish(staging, [one.model for one in batch], entry)
        except (OSError, CellarError) as error:
            info = failure(error) if isinstance(error, OSError) else _info(error)
            for one in batch:
                self._same.forget(one.source)
                self._tell(replace(one.result, status=ImportStatus.FAILED, link=None, error=info))
            return
        for one, outcome in zip(batch, outcomes, strict=True):
            self._same.came_in(one.source, outcome.manifest.id)
            self._models.append(manifests.to_record(outcome.manifest))
            self._tell(replace(one.result, model_id=outcome.manifest.id))

    def _not_taken(self, item: NotTaken) -> None:
        path = os.fspath(item.path)
        if item.kind == "skipped":
            self._skipped.append(Skipped(path, item.error.message))
        else:
            self._tell(AdoptResult(path, ImportStatus(item.kind), error=item.error))

    def _tell(self, result: AdoptResult) -> None:
        self._results.append(result)

    def _progress(self, phase: str, current: str = "") -> None:
        if self._on_progress is not None:
            files, size_bytes = self._done
            self._on_progress(Progress(phase, files, files, size_bytes, size_bytes, current))


def _copy(original: Path, target: Path) -> None:
    """Copy a small file, durably, with its times."""
    shutil.copyfile(original, target)
    status = original.stat()
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    with target.open("rb") as copy:
        os.fsync(copy.fileno())


def _result(
    source: Source,
    status: ImportStatus,
    *,
    model_id: str | None = None,
    link: LinkKind | None = None,
    error: ErrorInfo | None = None,
    claims: Claims | None = None,
) -> AdoptResult:
    claims = claims or {}
    told = [file for file in source.files if digest_claim(file, claims.get(file.relative, ()))]
    said = claimed_identity(source, claims) if claims else Identity()
    return AdoptResult(
        source=os.fspath(source.path),
        status=status,
        model_id=model_id,
        link=link,
        error=error,
        format=source.format,
        summary=source.summary,
        size_bytes=source.size_bytes,
        files=tuple(file.relative for file in source.files),
        claims=len(told),
        claimed_from=" ".join(part for part in (said.provider, said.repo_id) if part),
    )


def _info(error: CellarError) -> ErrorInfo:
    return ErrorInfo(error.code, error.message, error.hint)
