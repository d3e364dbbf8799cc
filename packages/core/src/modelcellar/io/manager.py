"""Decides how files are read and written by what the storage under them is.

The files of one disk share one queue, wherever they lie on it. A disk that has to seek is read by
one stream in the order in which the files lie on it, and reading and writing take turns where the
copy goes to the same disk. Everything else is worked on by as many streams as suit it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelcellar.io import hashing
from modelcellar.io.drives import get_drive
from modelcellar.records import CopyJob, Drive, DriveKind, DriveOverride, HashedFile

__all__ = ["IoManager", "Plan"]

UNKNOWN_STREAMS = 2
"""Of a drive that tells nothing and could not be measured: some gain, little harm if it seeks."""
MEASURED_FROM_BYTES = 64 << 20
"""So much work is worth a look at the drive; less is done before that pays."""

_NO_DEVICES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """How the files of one disk are worked on: ``order`` holds their places in the list."""

    order: tuple[int, ...]
    streams: int
    alternate: bool = False


@dataclass(slots=True)
class IoManager:
    """Runs the copies and digests of one command, each disk's files in one go.

    Args:
        overrides: the user's word about drives.
        drive_of: finds out about the drive that a path is on.
    """

    overrides: Sequence[DriveOverride] = ()
    drive_of: Callable[..., Drive] = get_drive
    _drives: dict[int, Drive | None] = field(default_factory=dict)

    def copy_many(
        self,
        jobs: Sequence[CopyJob],
        *,
        reflink: hashing.Reflink = "auto",
        found: dict[int, HashedFile | OSError] | None = None,
        on_done: hashing.OnDone | None = None,
        progress: hashing.ByteProgress | None = None,
    ) -> list[HashedFile | OSError]:
        """:func:`modelcellar.io.hashing.copy_many`, as it suits the drives of each job."""
        results: dict[int, HashedFile | OSError] = {} if found is None else found
        target = jobs[0].target.parent if jobs else None
        done_bytes = 0
        for plan in self.plan([job.source for job in jobs], target):
            mine: dict[int, HashedFile | OSError] = {}
            try:
                hashing.copy_many(
                    [jobs[number] for number in plan.order],
                    streams=plan.streams,
                    alternate=plan.alternate,
                    reflink=reflink,
                    found=mine,
                    on_done=_numbered(plan, on_done),
                    progress=_after(done_bytes, progress),
                )
            finally:
                results.update({plan.order[number]: result for number, result in mine.items()})
            done_bytes += _bytes_of(mine)
        return [results[number] for number in range(len(jobs))]

    def hash_many(
        self,
        paths: Sequence[Path],
        *,
        from_disk: bool = False,
        on_done: hashing.OnDone | None = None,
        progress: hashing.ByteProgress | None = None,
    ) -> list[HashedFile | OSError]:
        """:func:`modelcellar.io.hashing.hash_many`, as it suits the drive of each file."""
        results: dict[int, HashedFile | OSError] = {}
        done_bytes = 0
        for plan in self.plan(paths, None):
            mine = hashing.hash_many(
                [paths[number] for number in plan.order],
                streams=plan.streams,
                from_disk=from_disk,
                on_done=_numbered(plan, on_done),
                progress=_after(done_bytes, progress),
            )
            results.update(zip(plan.order, mine, strict=True))
            done_bytes += _bytes_of(dict(enumerate(mine)))
        return [results[number] for number in range(len(paths))]

    def drive(self, path: Path) -> Drive:
        """The drive under ``path``.

        Raises:
            OSError: there is nothing at ``path``.
        """
        return self.drive_of(path, overrides=self.overrides)

    def plan(self, sources: Sequence[Path], target: Path | None) -> Iterator[Plan]:
        """How to read ``sources``, and to write them all below ``target`` if there is one."""
        facts = [_Facts.of(path) for path in sources]
        to_drive = self._drive([target], sum(fact.size_bytes for fact in facts)) if target else None
        by_device: dict[int, list[int]] = defaultdict(list)
        for number, fact in enumerate(facts):
            by_device[fact.device].append(number)
        for drive, numbers in self._queues(sources, facts, by_device):
            drives = [one for one in (drive, to_drive) if one is not None]
            seeks = any(one.kind is DriveKind.HDD for one in drives)
            if drive is not None and drive.kind is DriveKind.HDD:
                numbers = _in_disk_order(sources, facts, numbers)
            shared = _devices(drive) & _devices(to_drive)
            yield Plan(
                tuple(numbers),
                streams=1 if seeks else min(map(_streams, drives), key=_rank, default=0),
                alternate=bool(shared) and drive is not None and drive.kind is DriveKind.HDD,
            )

    def _queues(
        self, sources: Sequence[Path], facts: Sequence["_Facts"], by_device: dict[int, list[int]]
    ) -> Iterator[tuple[Drive | None, list[int]]]:
        """The drives and their files; two file systems on one disk are one queue."""
        queues: dict[frozenset[str], tuple[Drive | None, list[int]]] = {}
        for numbers in by_device.values():
            largest = sorted(numbers, key=lambda number: -facts[number].size_bytes)
            size_bytes = sum(facts[number].size_bytes for number in numbers)
            drive = self._drive([sources[number] for number in largest[:1]], size_bytes)
            devices = _devices(drive)
            if devices and devices in queues:
                queues[devices][1].extend(numbers)
            else:
                queues[devices or frozenset([f"#{len(queues)}"])] = (drive, list(numbers))
        yield from queues.values()

    def _drive(self, paths: Sequence[Path], size_bytes: int) -> Drive | None:
        """The drive of the first path; ``None`` where it cannot be told or is not worth asking."""
        for path in paths:
            try:
                device = path.stat().st_dev
                if device not in self._drives and size_bytes >= MEASURED_FROM_BYTES:
                    self._drives[device] = self.drive(path)
            except OSError:
                return None
            return self._drives.get(device)
        return None


@dataclass(frozen=True, slots=True)
class _Facts:
    device: int
    inode: int
    size_bytes: int

    @classmethod
    def of(cls, path: Path) -> "_Facts":
        """Of a file that is not there nothing matters: it fails when its turn comes."""
        try:
            found = path.stat()
        except OSError:
            return cls(0, 0, 0)
        return cls(found.st_dev, found.st_ino, found.st_size)


def _in_disk_order(
    sources: Sequence[Path], facts: Sequence[_Facts], numbers: Sequence[int]
) -> list[int]:
    """By where each file begins on the disk, else by inode, which mostly grows with it."""

    def place(number: int) -> tuple[int, int]:
        try:
            begin = hashing.first_extent(sources[number])
        except OSError:
            begin = None
        return (begin or 0, facts[number].inode)

    return sorted(numbers, key=place)


def _devices(drive: Drive | None) -> frozenset[str]:
    return frozenset(drive.devices) if drive is not None else _NO_DEVICES


def _streams(drive: Drive) -> int:
    """0 is as many as suit the processor, which on flash is the limit."""
    if drive.kind is DriveKind.SSD:
        return 0 if drive.concurrency > 1 else 1
    if drive.network:
        return drive.concurrency
    return max(drive.concurrency, UNKNOWN_STREAMS)


def _rank(streams: int) -> float:
    return streams or float("inf")


def _numbered(plan: Plan, on_done: hashing.OnDone | None) -> hashing.OnDone | None:
    if on_done is None:
        return None
    return lambda number, result: on_done(plan.order[number], result)


def _after(before_bytes: int, progress: hashing.ByteProgress | None) -> hashing.ByteProgress | None:
    if progress is None:
        return None
    return lambda done, total: progress(before_bytes + done, before_bytes + total)


def _bytes_of(results: dict[int, HashedFile | OSError]) -> int:
    return sum(one.size_bytes for one in results.values() if isinstance(one, HashedFile))
