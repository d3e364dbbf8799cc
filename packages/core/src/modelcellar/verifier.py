"""Re-reading what the library holds and comparing it with what came in.

A recorded digest is never changed by what is read: a damaged file stays reported until it is
restored or removed.
"""

import logging
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelcellar.bookkeeping import Bookkeeper
from modelcellar.errors import CellarError
from modelcellar.formats import inspect_file
from modelcellar.io import hashing
from modelcellar.manifest import Manifest, is_writable
from modelcellar.records import FileRecord
from modelcellar.reports import Damage, Progress, VerifyReport

__all__ = ["Verifier"]

log = logging.getLogger(__name__)

RECORD_EVERY_S = 30.0
"""How often the time of verification is written into the manifests of what was found well."""


@dataclass(slots=True)
class _Found:
    checked: int = 0
    damaged: list[Damage] = field(default_factory=list)
    missing: list[Damage] = field(default_factory=list)
    bytes_done: int = 0


class Verifier:
    """One verification run. ``quick`` looks at sizes and structure only and records no time."""

    def __init__(
        self,
        books: Bookkeeper,
        *,
        quick: bool,
        max_duration_s: float | None,
        on_progress: Callable[[Progress], object] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.books = books
        self.quick = quick
        self._clock = clock
        self._deadline = None if max_duration_s is None else clock() + max_duration_s
        self._on_progress = on_progress
        self._found = _Found()
        self._results: dict[str, bool] = {}
        self._total = 0

    def run(self, model_ids: Sequence[str]) -> VerifyReport:
        """Check models in the given order until the time is up."""
        last_written = self._clock()
        self._total = len(model_ids)
        ok = 0
        try:
            for found in self._manifests(model_ids):
                if self._deadline is not None and self._clock() >= self._deadline:
                    break
                self._results[found.id] = self._check(found)
                ok += self._results[found.id]
                self._found.checked += 1
                if self._clock() - last_written >= RECORD_EVERY_S:
                    self._record()
                    last_written = self._clock()
        finally:
            self._record()
        found_all = self._found
        return VerifyReport(
            checked=found_all.checked,
            ok=ok,
            damaged=tuple(found_all.damaged),
            missing=tuple(found_all.missing),
            not_reached=len(model_ids) - found_all.checked,
        )

    def run_all(self) -> VerifyReport:
        """Check every model, and that every manifest can be read and none is missing."""
        report = self.run(self.books.catalog.oldest_verified())
        damaged, missing = self.books.broken_manifests()
        return replace(
            report,
            damaged=(*report.damaged, *damaged),
            missing=(*report.missing, *missing),
        )

    def _manifests(self, model_ids: Sequence[str]) -> Iterator[Manifest]:
        for model_id in model_ids:
            found = self.books.catalog.by_id(model_id)
            if found is not None:
                yield found

    def _check(self, found: Manifest) -> bool:
        before = len(self._found.damaged) + len(self._found.missing)
        for file in found.files:
            path = self.books.store.content_path(found.id) / file.path
            try:
                self._check_file(found.id, file, path)
            except OSError as error:
                lost = isinstance(error, FileNotFoundError | NotADirectoryError)
                actual = "missing" if lost else f"unreadable: {error.strerror}"
                damage = Damage(found.id, file.path, file.digests.blake3, actual)
                (self._found.missing if lost else self._found.damaged).append(damage)
        return len(self._found.damaged) + len(self._found.missing) == before

    def _check_file(self, model_id: str, file: FileRecord, path: Path) -> None:
        status = path.lstat()
        actual = ""
        if not stat.S_ISREG(status.st_mode):
            actual = "not a regular file"
        elif status.st_size != file.size_bytes:
            actual = f"{status.st_size} bytes instead of {file.size_bytes}"
        elif self.quick:
            inspection = inspect_file(path)
            if inspection.format is not file.format:
                actual = f"reads as {inspection.format.value} instead of {file.format.value}"
        else:
            actual = self._compare(model_id, file, path)
        if actual:
            self._found.damaged.append(Damage(model_id, file.path, file.digests.blake3, actual))

    def _record(self) -> None:
        """Write into the manifests what was found, and when. Never a reason to fail."""
        results, self._results = self._results, {}
        if self.quick or not results:
            return
        try:
            with self.books.change() as staging:
                at = self.books.timestamp()
                rows = [
                    replace(found, verified_at=at, damaged_at=None)
                    if results[found.id]
                    else replace(found, damaged_at=at)
                    for found in self._writable(results)
                ]
                self.books.rewrite(staging, rows)
        except (CellarError, OSError) as error:
            log.warning("the time of this verification was not recorded: %s", error)

    def _writable(self, model_ids: Iterable[str]) -> Iterator[Manifest]:
        """The manifests as they are by now; passes over those removed, garbled or newer."""
        for model_id in model_ids:
            try:
                found = self.books.store.read_row(model_id).manifest
            except (CellarError, OSError) as error:
                log.warning("the time of this verification was not recorded: %s", error)
            else:
                if is_writable(found):
                    yield found

    def _compare(self, model_id: str, file: FileRecord, path: Path) -> str:
        def tell(done_bytes: int, _total_bytes: int) -> None:
            if self._on_progress is not None:
                found = self._found
                done = found.bytes_done + done_bytes
                self._on_progress(Progress("verify", found.checked, self._total, done, 0, model_id))

        digests = hashing.hash_file(path, from_disk=True, progress=tell).digests
        self._found.bytes_done += file.size_bytes
        return "" if digests == file.digests else digests.blake3
