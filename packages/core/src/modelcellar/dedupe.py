"""Gives back the space that equal files take: finds them, says what could be done, and does it.

Where the file system can share data, an equal file stays the file it is and only its data goes: the
kernel compares both byte by byte with the files locked, so there is nothing to take back. Hard
links are made only when they are asked for, because the names then have one file in common; each
goes into a record with which :func:`take_back` gives every name a file of its own again.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from modelcellar import journal
from modelcellar.bookkeeping import Bookkeeper
from modelcellar.config import state_folder
from modelcellar.dedupe_plan import Planner
from modelcellar.dedupe_records import (
    DedupeAction,
    DedupeGroup,
    DedupeKind,
    DedupeReport,
    DiskFile,
)
from modelcellar.equal_files import EqualFiles
from modelcellar.errors import NothingToUndoError
from modelcellar.failures import failure
from modelcellar.io.cloning import share_data
from modelcellar.io.manager import IoManager
from modelcellar.link_records import LinkKind
from modelcellar.records import DriveOverride, JournalEntry
from modelcellar.reports import Progress
from modelcellar.swap_steps import changed
from modelcellar.swaps import SwapRecord, only_one

__all__ = [
    "DedupeOptions",
    "Deduper",
    "dedupe_folders",
    "is_in_force",
    "records_folder",
    "take_back",
    "take_last_back",
]


@dataclass(frozen=True, slots=True)
class DedupeOptions:
    """``link`` is ``REFLINK`` or ``HARDLINK``; without ``apply`` nothing is changed."""

    link: LinkKind = LinkKind.REFLINK
    apply: bool = False
    min_bytes: int = 1


class Deduper:
    """One run over folders of the user.

    Args:
        records: the folder that the records of hard links are in.
        books: a library whose files may be kept in the place of equal ones.
    """

    def __init__(
        self,
        records: Path,
        *,
        options: DedupeOptions,
        disks: IoManager,
        books: Bookkeeper | None = None,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> None:
        self._records = records
        self.options = options
        self._books = books
        self._on_progress = on_progress
        self._entry = journal.new_entry("dedupe", books.next_entry_at() if books else _now())
        self._record = SwapRecord(records, self._entry.id)
        self._equal = EqualFiles(
            disks,
            min_bytes=options.min_bytes,
            library=books.store.root if books else None,
            library_files=self._library_files,
            on_found=lambda count, path: self._tell("scan", count, 0, 0, 0, os.fspath(path)),
            progress=lambda done, total: self._tell("compare", 0, 0, done, total),
        )

    def run(self, paths: Sequence[Path]) -> DedupeReport:
        """Find equal files below ``paths`` and, with ``apply``, give their space back.

        Raises:
            LibraryBusyError: another process did not let go of the library in time.
            OSError: the journal cannot be written; nothing was changed.
        """
        with only_one(self._records) if self.options.apply else nullcontext():
            return self._run(paths)

    def _run(self, paths: Sequence[Path]) -> DedupeReport:
        began = time.monotonic()
        if self.options.apply:
            for record in SwapRecord.all_in(self._records):
                record.settle()
        found = self._equal.find(list(dict.fromkeys(map(_spelled, paths))))
        planner = Planner(self.options.link, self._books.store.root if self._books else None)
        groups = [group for same in found for group in planner.groups(same)]
        if self.options.apply:
            groups = self._apply(groups)
        return DedupeReport(
            groups=tuple(groups),
            files=self._equal.files,
            bytes_read=self._equal.bytes_read,
            problems=tuple(self._equal.problems),
            is_applied=self.options.apply,
            entry_id=self._entry.id if self._record.is_in_force() else None,
            seconds=time.monotonic() - began,
        )

    def _library_files(self, size_bytes: int) -> Iterator[Path]:
        if self._books is not None:
            for model_id, path in self._books.catalog.files_of_size(size_bytes):
                yield self._books.store.content_path(model_id) / path

    def _apply(self, groups: Sequence[DedupeGroup]) -> list[DedupeGroup]:
        links = [one for group in groups for one in group.actions if one.action is DedupeKind.LINK]
        if links and self._books is not None:
            self._write_entry(sum(len(one.file.names) for one in links))
        done: list[DedupeGroup] = []
        for number, group in enumerate(groups):
            self._tell("dedupe", number, len(groups), 0, 0, os.fspath(group.keep.path))
            actions = tuple(self._do(group.keep, one) for one in group.actions)
            done.append(replace(group, actions=actions))
        return done

    def _write_entry(self, links: int) -> None:
        """The library's journal says that there was a run; what it did is in the record."""
        assert self._books is not None
        with self._books.change() as staging:
            entry = replace(self._entry, details={"links": links})
            self._books.store.write_journal(staging, entry)

    def _do(self, keep: DiskFile, one: DedupeAction) -> DedupeAction:
        try:
            if one.action is DedupeKind.SHARE:
                self._share(keep, one.file)
            elif one.action is DedupeKind.LINK:
                for name in one.file.names:
                    self._record.swap(keep, one.file, name)
        except OSError as error:
            return replace(one, action=DedupeKind.FAILED, reclaims_bytes=0, error=failure(error))
        return one

    def _share(self, keep: DiskFile, file: DiskFile) -> None:
        if not keep.is_unchanged(keep.path) or not file.is_unchanged(file.path):
            raise changed(file.path)
        if share_data(keep.path, file.path) < file.size_bytes:
            raise OSError(errno.ESTALE, "has other bytes by now; nothing was lost", str(file.path))

    def _tell(
        self,
        phase: str,
        done: int,
        total: int,
        done_bytes: int,
        total_bytes: int,
        current: str = "",
    ) -> None:
        if self._on_progress is not None:
            self._on_progress(Progress(phase, done, total, done_bytes, total_bytes, current))


def records_folder() -> Path:
    """Where the records of hard links are kept."""
    return state_folder() / "dedupe"


def dedupe_folders(
    paths: Sequence[Path],
    options: DedupeOptions,
    *,
    drives: Sequence[DriveOverride] = (),
    on_progress: Callable[[Progress], object] | None = None,
) -> DedupeReport:
    """One run without a library; raises as :meth:`Deduper.run`."""
    disks = IoManager(drives)
    return Deduper(records_folder(), options=options, disks=disks, on_progress=on_progress).run(
        paths
    )


def is_in_force(entry: JournalEntry) -> bool:
    """Whether a run has made links that can still be taken back."""
    return SwapRecord(records_folder(), entry.id).is_in_force()


def take_back(entry_id: str) -> tuple[list[Path], list[Path]]:
    """Give the names of one run files of their own again: which, and which are others by now.

    Raises:
        OSError: the disk is full or fails; the next call does the rest.
    """
    records = records_folder()
    with only_one(records):
        record = SwapRecord(records, entry_id)
        record.settle()
        return record.undo()


def take_last_back() -> tuple[list[Path], list[Path]]:
    """:func:`take_back` of the newest run, for who has no library.

    Raises:
        NothingToUndoError: there is none.
        OSError: the disk is full or fails; the next call does the rest.
    """
    for record in SwapRecord.all_in(records_folder()):
        if record.is_in_force():
            return take_back(record.path.stem)
    raise NothingToUndoError("there are no hard links of cellar dedupe to take back")


def _spelled(path: Path) -> Path:
    """The one way to a folder that may be reached by several; a link at its end is not followed."""
    if path.name in ("", ".."):
        return Path(os.path.realpath(path))
    return Path(os.path.realpath(path.parent), path.name)


def _now() -> datetime:
    return datetime.now(UTC)
