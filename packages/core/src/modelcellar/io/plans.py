"""Which files are read together, in what order and by how many streams.

The files of one disk are one queue, wherever they lie on it. A disk that has to seek is read by one
stream in the order in which the files lie on it, and reading and writing take turns where the copy
goes to the same disk. Everything else is worked on by as many streams as suit it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from modelcellar.io import hashing
from modelcellar.io.tokens import Shares
from modelcellar.records import Drive, DriveKind

__all__ = ["FileFacts", "Plan", "make_plans"]

_NO_DEVICES: frozenset[str] = frozenset()

DriveOf = Callable[[Path, int], Drive | None]
"""The drive of a path, for so many bytes of work; ``None`` where it cannot be told or is not worth
asking."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the files of one disk are worked on.

    Args:
        order: the places of the files in the list.
        streams: how many at a time; 0 for as many as suit the processor.
        alternate: whether reading and writing take turns.
        climbing: what the best number of streams is not known of, but may be found out.
        shares: what it takes of each device.
    """

    order: tuple[int, ...]
    streams: int
    alternate: bool = False
    climbing: frozenset[str] = _NO_DEVICES
    shares: Shares = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What matters about a file before it is opened."""

    device: int
    inode: int
    size_bytes: int

    @classmethod
    def of(cls, path: Path) -> "FileFacts":
        """Of a file that is not there nothing matters: it fails when its turn comes."""
        try:
            found = path.stat()
        except OSError:
            return cls(0, 0, 0)
        return cls(found.st_dev, found.st_ino, found.st_size)


def make_plans(
    sources: Sequence[Path], facts: Sequence[FileFacts], target: Path | None, drive_of: DriveOf
) -> Iterator[Plan]:
    """How to read ``sources``, and to write them all below ``target`` if there is one."""
    total_bytes = sum(fact.size_bytes for fact in facts)
    to_drive = drive_of(target, total_bytes) if target is not None else None
    for drive, numbers in _queues(sources, facts, drive_of):
        seeks = drive is not None and drive.kind is DriveKind.HDD
        if seeks:
            numbers = _in_disk_order(sources, facts, numbers)
        drives = [one for one in (drive, to_drive) if one is not None]
        streams = _streams(drive, to_drive)
        yield Plan(
            tuple(numbers),
            streams,
            alternate=seeks and bool(_devices(drive) & _devices(to_drive)),
            climbing=_climbing(drives, facts[numbers[0]].device) if streams else _NO_DEVICES,
            shares={name: _share(one, streams) for one in drives for name in one.devices},
        )


def _queues(
    sources: Sequence[Path], facts: Sequence[FileFacts], drive_of: DriveOf
) -> Iterator[tuple[Drive | None, list[int]]]:
    """The drives and their files; file systems that share a disk are one queue."""
    by_device: dict[int, list[int]] = defaultdict(list)
    for number, fact in enumerate(facts):
        by_device[fact.device].append(number)
    queues: dict[frozenset[str], tuple[Drive | None, list[int]]] = {}
    for numbers in by_device.values():
        # The largest first: an unknown drive is measured with it.
        largest = max(numbers, key=lambda number: facts[number].size_bytes)
        size_bytes = sum(facts[number].size_bytes for number in numbers)
        drive = drive_of(sources[largest], size_bytes)
        devices = _devices(drive)
        if devices and devices in queues:
            queues[devices][1].extend(numbers)
        else:
            queues[devices or frozenset([f"#{len(queues)}"])] = (drive, list(numbers))
    yield from queues.values()


def _in_disk_order(
    sources: Sequence[Path], facts: Sequence[FileFacts], numbers: Sequence[int]
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


def _streams(drive: Drive | None, to_drive: Drive | None) -> int:
    """The fewest that any of the drives takes."""
    if to_drive is not None and to_drive.kind is DriveKind.HDD:
        # However many disks it has: two files written at once lie in pieces between each other.
        return 1
    known = [_streams_of(one) for one in (drive, to_drive) if one is not None]
    return min(known, key=lambda streams: streams or float("inf"), default=0)


def _streams_of(drive: Drive) -> int:
    """0 is as many as suit the processor, which on flash is the limit."""
    is_fast = drive.kind is DriveKind.SSD and drive.concurrency > 1
    return 0 if is_fast else max(drive.concurrency, 1)


def _climbing(drives: Sequence[Drive], file_system: int) -> frozenset[str]:
    """The devices of which nothing is known; those of a file system that hides them by its number.

    Nothing where one of the drives seeks: it is not to be tried out.
    """
    if any(drive.kind is DriveKind.HDD for drive in drives):
        return _NO_DEVICES
    unknown = [one for one in drives if one.kind is DriveKind.UNKNOWN and not one.network]
    names = _NO_DEVICES.union(*map(_devices, unknown))
    return names or frozenset([f"#{file_system}"] if unknown else [])


def _share(drive: Drive, streams: int) -> Fraction:
    """Of a drive that seeks all of it, since others would make it do so."""
    if drive.kind is DriveKind.HDD or not streams:
        return Fraction(1)
    return Fraction(streams, max(streams, drive.concurrency))
