"""Re-reading what the library holds and comparing it with what came in.

A recorded digest is never changed by what is read: a damaged file stays reported until it is
restored or removed. A model that was adopted has none yet; its first reading makes them.
"""

import logging
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from modelcellar.bookkeeping import Bookkeeper
from modelcellar.errors import CellarError
from modelcellar.first_reading import FirstReading
from modelcellar.formats import inspect_file
from modelcellar.io.manager import IoManager
from modelcellar.manifest import Manifest, is_writable
from modelcellar.records import FileRecord, HashedFile
from modelcellar.reports import NOT_READ, Damage, Progress, VerifyReport

__all__ = ["Verifier"]

log = logging.getLogger(__name__)

RECORD_EVERY_S = 30.0
"""How often the time of verification is written into the manifests of what was found well."""


WINDOW_MODELS = 256
WINDOW_BYTES = 16 << 30
"""How many models are read together: as many as fill all cores to the end, and no more than leaves
the time of verification recorded now and then."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """A file that must be read to be known well."""

    model_id: str
    file: FileRecord
    path: Path


@dataclass(slots=True)
class _Found:
    checked: int = 0
    damaged: list[Damage] = field(default_factory=list)
    missing: list[Damage] = field(default_factory=list)
    bytes_done: int = 0
    first: dict[str, FirstReading] = field(default_factory=dict)
    first_read: list[str] = field(default_factory=list)
    twins: list[tuple[str, str]] = field(default_factory=list)
    false_claims: list[Damage] = field(default_factory=list)


class Verifier:
    """One verification run. ``quick`` looks at sizes and structure only and records no time."""

    def __init__(
        self,
        books: Bookkeeper,
        *,
        quick: bool,
        max_duration_s: float | None,
        disks: IoManager,
        on_progress: Callable[[Progress], object] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.books = books
        self.quick = quick
        self._disks = disks
        self._clock = clock
        self._deadline = None if max_duration_s is None else clock() + max_duration_s
        self._on_progress = on_progress
        self._found = _Found()
        self._results: dict[str, bool] = {}
        self._ill: set[str] = set()
        self._total = 0

    def run(self, model_ids: Sequence[str]) -> VerifyReport:
        """Check models in the given order until the time is up."""
        last_written = self._clock()
        self._total = len(model_ids)
        ok = 0
        try:
            for window in self._windows(self._manifests(model_ids)):
                if self._deadline is not None and self._clock() >= self._deadline:
                    break
                ok += self._check(window)
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
            first_read=tuple(found_all.first_read),
            false_claims=tuple(found_all.false_claims),
            twins=tuple(found_all.twins),
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

    def _windows(self, manifests: Iterable[Manifest]) -> Iterator[list[Manifest]]:
        """Models that are read together; one at a time where the time may be up after any."""
        window: list[Manifest] = []
        size_bytes = 0
        for found in manifests:
            window.append(found)
            size_bytes += sum(file.size_bytes for file in found.files)
            is_full = len(window) >= WINDOW_MODELS or size_bytes >= WINDOW_BYTES
            if is_full or self._deadline is not None:
                yield window
                window, size_bytes = [], 0
        if window:
            yield window

    def _check(self, window: Sequence[Manifest]) -> int:
        """Check some models; how many of them are well."""
        to_read = [one for found in window for one in self._look(found)]
        known = [one for one in to_read if one.file.digests is not None]
        for one, result in zip(known, self._read(known), strict=True):
            if isinstance(result, OSError):
                self._unreadable(one.model_id, one.file, result)
            elif result.digests != one.file.digests:
                self._damage(one.model_id, one.file, result.digests.blake3)
        ok = 0
        for found in window:
            if not found.is_read and not self.quick and found.id not in self._ill:
                self._read_first(found)
            is_well = found.id not in self._ill
            self._results[found.id] = is_well
            ok += is_well
            self._found.checked += 1
            self._found.bytes_done += sum(file.size_bytes for file in found.files)
            self._tell(found.id, 0)
        return ok

    def _look(self, found: Manifest) -> Iterator[_Reading]:
        """Reports the files that are wrong at first sight, and yields those to be read."""
        for file in found.files:
            path = self.books.store.content_path(found.id) / file.path
            try:
                actual = self._at_first_sight(file, path)
            except OSError as error:
                self._unreadable(found.id, file, error)
                continue
            if actual:
                self._damage(found.id, file, actual)
            elif not self.quick:
                yield _Reading(found.id, file, path)

    def _at_first_sight(self, file: FileRecord, path: Path) -> str:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            return "not a regular file"
        if status.st_size != file.size_bytes:
            return f"{status.st_size} bytes instead of {file.size_bytes}"
        if self.quick:
            inspection = inspect_file(path)
            if inspection.format is not file.format:
                return f"reads as {inspection.format.value} instead of {file.format.value}"
        return ""

    def _read(self, to_read: Sequence[_Reading]) -> list[HashedFile | OSError]:
        first = to_read[0].model_id if to_read else ""
        return self._disks.hash_many(
            [one.path for one in to_read],
            from_disk=True,
            progress=partial(self._tell, first),
        )

    def _read_first(self, found: Manifest) -> None:
        """Make the digests of an adopted model; how it is now is how it is to stay."""
        content = self.books.store.content_path(found.id)
        reading = FirstReading(found)
        for file in found.files:
            try:
                reading.read(content / file.path, file, progress=partial(self._tell, found.id))
            except OSError as error:
                self._unreadable(found.id, file, error)
                return
        self._found.first[found.id] = reading
        self._found.false_claims += [
            Damage(found.id, file.path, str(file.claimed_sha256), sha256)
            for file, sha256 in reading.false_claims()
        ]

    def _damage(self, model_id: str, file: FileRecord, actual: str) -> None:
        self._ill.add(model_id)
        self._found.damaged.append(Damage(model_id, file.path, _expected(file), actual))

    def _unreadable(self, model_id: str, file: FileRecord, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            self._damage(model_id, file, f"unreadable: {error.strerror}")
            return
        self._ill.add(model_id)
        self._found.missing.append(Damage(model_id, file.path, _expected(file), "missing"))

    def _tell(self, model_id: str, more_bytes: int, _total_bytes: int = 0) -> None:
        if self._on_progress is not None:
            found = self._found
            done = found.bytes_done + more_bytes
            self._on_progress(Progress("verify", found.checked, self._total, done, 0, model_id))

    def _record(self) -> None:
        """Write into the manifests what was found, and when. Never a reason to fail."""
        results, self._results = self._results, {}
        if self.quick or not results:
            return
        try:
            with self.books.change() as staging:
                at = self.books.timestamp()
                rows = [
                    self._verified(found, at)
                    if results[found.id]
                    else replace(found, damaged_at=at)
                    for found in self._writable(results)
                ]
                self.books.rewrite(staging, rows)
                self._look_for_twins(rows)
        except (CellarError, OSError) as error:
            log.warning("the time of this verification was not recorded: %s", error)

    def _verified(self, found: Manifest, at: str) -> Manifest:
        reading = self._found.first.get(found.id)
        if reading is not None:
            found = reading.written_into(found, at)
        return replace(found, verified_at=at, damaged_at=None)

    def _look_for_twins(self, rows: Sequence[Manifest]) -> None:
        """Tell of models with one content. Nothing is merged: both may be linked to somewhere."""
        for found in rows:
            if self._found.first.pop(found.id, None) is not None:
                self._found.first_read.append(found.id)
                same = self.books.catalog.same_content(str(found.content_digest))
                pairs = [(found.id, other) for other in same if other != found.id]
                told = {frozenset(pair) for pair in self._found.twins}
                self._found.twins += [pair for pair in pairs if frozenset(pair) not in told]

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


def _expected(file: FileRecord) -> str:
    return file.digests.blake3 if file.digests is not None else NOT_READ
