"""Makes models of files that were gathered, and publishes them as one change of the library."""

import errno
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from modelcellar import journal
from modelcellar import manifest as manifests
from modelcellar.bookkeeping import Bookkeeper, Outcome
from modelcellar.content import security_of
from modelcellar.downloads.assembling import Arrived, Assembled, assemble
from modelcellar.downloads.gathering import Gathered
from modelcellar.downloads.planning import Planned
from modelcellar.downloads.shelf import Shelf
from modelcellar.io import hashing
from modelcellar.records import CopyJob, ModelRecord, ModelType
from modelcellar.remotes import Remote
from modelcellar.reports import ImportResult, ImportStatus
from modelcellar.sources import NotTaken, Source

__all__ = ["mark_damaged", "publish"]

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK})


def publish(
    books: Bookkeeper,
    gathered: Sequence[Gathered],
    remote: Remote,
    *,
    shelf: Shelf,
    find_again: Callable[[Planned], Path | None],
    name: str | None,
    model_type: ModelType | None,
) -> tuple[list[ImportResult], list[ModelRecord]]:
    """Make the files models of the library, all of them or none; what became of each source.

    The shelf keeps its names of them until then, so that nothing has to be fetched again whatever
    ends this. Of a source that is refused it keeps them. ``find_again`` tells where a file is that
    another process took into the library meanwhile.

    Raises:
        WrongContentError: a file is not what was published.
        LibraryBusyError: another process did not let go of the library in time.
        OSError: the library's disk is full or fails.
    """
    entry = journal.new_entry("download", books.next_entry_at())
    with books.store.change() as staging:
        whole = staging.new_folder()
        arrived = [_place(one, whole, find_again) for one in gathered]
        items = assemble(
            whole,
            arrived,
            remote,
            staging=staging,
            name=name,
            model_type=model_type,
            at=books.timestamp(),
        )
        ready = [item for item in items if isinstance(item, Assembled)]
        outcomes, _ = books.publish(staging, [one.model for one in ready], entry)
        results, models = _told(items, outcomes, whole, remote)
    taken = {file.relative for one in ready for file in one.source.files}
    for one in gathered:
        if one.planned.file.path in taken:
            shelf.drop(one.planned.file.key)  # the library has it now
    shelf.tidy()
    return results, models


def mark_damaged(books: Bookkeeper, model_ids: Collection[str]) -> None:
    """Write down that files of these models are not what they were, so that what came mends them.

    Raises:
        LibraryBusyError: another process did not let go of the library in time.
        OSError: the library's disk is full or fails.
    """
    if not model_ids:
        return
    with books.change() as staging:
        present = [one for one in sorted(model_ids) if books.store.manifest_path(one).exists()]
        found = [books.store.read_row(one).manifest for one in present]
        at = books.timestamp()
        books.rewrite(staging, [replace(one, damaged_at=at) for one in found])


def _place(one: Gathered, whole: Path, find_again: Callable[[Planned], Path | None]) -> Arrived:
    """Put a file under its path in the folder of the repository.

    As a second name where that works: the library keeps each file once, and the shelf its name
    until the model is published.
    """
    file = one.planned.file
    target = whole / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _link(one.source, target)
    except FileNotFoundError:
        source = find_again(one.planned)
        if source is None:
            raise
        _link(source, target)
    return Arrived(file.path, one.hashed, file, one.ranges)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        (copied,) = hashing.copy_many([CopyJob(source, target)])
        if isinstance(copied, OSError):
            raise copied from None


def _told(
    items: Sequence[Assembled | NotTaken],
    outcomes: Sequence[Outcome],
    whole: Path,
    remote: Remote,
) -> tuple[list[ImportResult], list[ModelRecord]]:
    """What became of each source, in the words of an import, and the models that came in."""
    results: list[ImportResult] = []
    models: list[ModelRecord] = []
    left = iter(outcomes)
    for item in items:
        if isinstance(item, NotTaken):
            source = _shown(item.path, whole, remote)
            results.append(ImportResult(source, ImportStatus(item.kind), None, item.error))
            continue
        outcome = next(left)
        status = ImportStatus.DUPLICATE if outcome.duplicate else ImportStatus.IMPORTED
        if not outcome.duplicate:
            models.append(manifests.to_record(outcome.manifest))
        results.append(_result(item.source, status, outcome.manifest.id, whole, remote))
    return results, models


def _result(
    source: Source, status: ImportStatus, model_id: str, whole: Path, remote: Remote
) -> ImportResult:
    return ImportResult(
        source=_shown(source.path, whole, remote),
        status=status,
        model_id=model_id,
        format=source.format,
        summary=source.summary,
        size_bytes=source.size_bytes,
        files=tuple(file.relative for file in source.files),
        findings=source.findings,
        security=security_of(source),
    )


def _shown(path: Path, whole: Path, remote: Remote) -> str:
    """Where a source is from: the repository and the path in it."""
    place = remote.repo_id or remote.page or remote.title
    below = path.relative_to(whole).as_posix()
    return place if below == "." else f"{place}/{below}"
