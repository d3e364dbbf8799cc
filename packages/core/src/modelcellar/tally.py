"""What an import has done so far: results as they come, counters, and progress for who watches."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from modelcellar.content import security_of
from modelcellar.errors import SourceRefusedError
from modelcellar.failures import failure
from modelcellar.io.hashing import ByteProgress
from modelcellar.records import ErrorInfo, ModelRecord
from modelcellar.reports import ImportReport, ImportResult, ImportStatus, Progress, Skipped
from modelcellar.sources import NotTaken, Source

__all__ = ["Tally"]


class Tally:
    """Collects the outcome of one import run and tells the watchers."""

    def __init__(
        self,
        on_progress: Callable[[Progress], object] | None,
        on_result: Callable[[ImportResult], object] | None,
    ) -> None:
        self._on_progress = on_progress
        self._on_result = on_result
        self._began = time.monotonic()
        self._results: list[ImportResult] = []
        self._models: dict[str, ModelRecord] = {}
        self._ids: dict[str, str] = {}
        self._skipped: list[Skipped] = []
        self._order: dict[str, int] = {}
        self._files_done = 0
        self._files_total = 0
        self._bytes_done = 0
        self._bytes_total = 0
        # Of the work under way: all its bytes so far, and those of them that count as done.
        self._bytes_under_way = 0
        self._bytes_ahead = 0
        self._current = ""
        self.bytes_read = 0
        self.bytes_written = 0
        self.bytes_cloned = 0

    def found(self, source: Source) -> None:
        """A source that will be worked on."""
        self._order.setdefault(os.fspath(source.path), len(self._order))
        self._files_total += len(source.files)
        self._bytes_total += source.size_bytes
        self.progress("scan", os.fspath(source.path))

    def place_of(self, source: Source) -> int:
        """When it was found, counted from 0."""
        return self._order[os.fspath(source.path)]

    def not_taken(self, item: NotTaken) -> None:
        """A path that is no source: left alone, refused, or not readable."""
        path = os.fspath(item.path)
        if item.kind == "skipped":
            self._skipped.append(Skipped(path, item.error.message))
        else:
            self._result(ImportResult(path, ImportStatus(item.kind), None, item.error))

    def worked_on(self, source: Source) -> None:
        """A source that needs no more reading, however it ended."""
        self._files_done += len(source.files)
        self._bytes_done += source.size_bytes
        self._bytes_ahead += source.size_bytes
        self._current = os.fspath(source.path)
        self.progress("copy")

    def imported(
        self,
        source: Source,
        model: ModelRecord | None,
        error: ErrorInfo | None = None,
        *,
        same_tensors: tuple[str, ...] = (),
        content_digest: str = "",
    ) -> None:
        """A source that is in the library now (or, in a dry run, would be)."""
        if model is not None:
            self._models[model.id] = model
            self._ids[content_digest] = model.id
        model_id = model.id if model is not None else None
        self._source_result(source, ImportStatus.IMPORTED, model_id, error, same_tensors)

    def ids_by_content(self) -> Mapping[str, str]:
        """The ids of the models that came in, by the digest of their content."""
        return self._ids

    def changed(self, models: Iterable[ModelRecord]) -> None:
        """More is known of models that came in."""
        self._models.update((model.id, model) for model in models)

    def duplicate(self, source: Source, model_id: str | None) -> None:
        """A source whose bytes the library had already (or, in a dry run, would have by then)."""
        self._source_result(source, ImportStatus.DUPLICATE, model_id)

    def refused(self, source: Source, error: SourceRefusedError) -> None:
        """A source that must not come in as it is."""
        info = ErrorInfo(error.code, error.message, error.hint)
        self._source_result(source, ImportStatus.REFUSED, None, info)

    def failed(self, source: Source, error: OSError | ErrorInfo) -> None:
        """A source that could not be taken in; the original is as it was."""
        info = failure(error) if isinstance(error, OSError) else error
        self._source_result(source, ImportStatus.FAILED, None, info)

    def progress(self, phase: str, current: str = "") -> None:
        """Tell the watcher how far things are."""
        if self._on_progress is not None:
            self._on_progress(
                Progress(
                    phase=phase,
                    files_done=self._files_done,
                    files_total=self._files_total,
                    bytes_done=self._bytes_done + max(0, self._bytes_under_way - self._bytes_ahead),
                    bytes_total=self._bytes_total,
                    current=current,
                )
            )

    def byte_progress(self, phase: str, *, passes: int = 1) -> ByteProgress:
        """A callback for work on the bytes of sources, so many times over."""

        def tell(done_bytes: int, _total_bytes: int) -> None:
            self._bytes_under_way = done_bytes // passes
            self.progress(phase, self._current)

        self._bytes_under_way = self._bytes_ahead = 0
        return tell

    @contextmanager
    def extra_reading(self, phase: str, size_bytes: int) -> Iterator[ByteProgress]:
        """A callback for reading so many bytes before the sources are worked on."""
        self._bytes_total += size_bytes
        yield self.byte_progress(phase)
        self._bytes_done += size_bytes
        self._bytes_under_way = self._bytes_ahead = 0
        self.bytes_read += size_bytes

    def report(self, *, dry_run: bool) -> ImportReport:
        """Everything so far as one value."""
        # As found, however soon each was done; those that are no sources come first.
        results = sorted(self._results, key=lambda one: self._order.get(one.source, -1))
        ids = [one.model_id for one in results if one.status is ImportStatus.IMPORTED]
        return ImportReport(
            results=tuple(results),
            models=tuple(self._models[model_id] for model_id in ids if model_id is not None),
            skipped=tuple(self._skipped),
            bytes_read=self.bytes_read,
            bytes_written=self.bytes_written,
            bytes_cloned=self.bytes_cloned,
            seconds=time.monotonic() - self._began,
            dry_run=dry_run,
        )

    def _source_result(
        self,
        source: Source,
        status: ImportStatus,
        model_id: str | None,
        error: ErrorInfo | None = None,
        same_tensors: tuple[str, ...] = (),
    ) -> None:
        self._result(
            ImportResult(
                source=os.fspath(source.path),
                status=status,
                model_id=model_id,
                error=error,
                format=source.format,
                summary=source.summary,
                size_bytes=source.size_bytes,
                files=tuple(file.relative for file in source.files),
                findings=source.findings,
                security=security_of(source),
                same_tensors=same_tensors,
            )
        )

    def _result(self, result: ImportResult) -> None:
        self._results.append(result)
        if self._on_result is not None:
            self._on_result(result)
