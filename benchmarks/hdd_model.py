"""A model of a disk that seeks: what a list of block requests costs on one spindle.

No rotating disk is needed, and the noise of the machine plays no part: the same requests take the
same modelled time everywhere. All parameters are published with the results. The image file that
stands for the disk spans the whole stroke, however small it is, so distances are fractions of it.
"""

import math
import random
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

SECTOR_BYTES = 512
# A request is passed over in favour of nearer ones at most this often.
MAX_PASSED = 64


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the disk, in sectors of 512 bytes."""

    sector: int
    sectors: int
    write: bool
    task: int
    """The thread that asked, 0 if unknown."""

    @property
    def size_bytes(self) -> int:
        """Bytes moved."""
        return self.sectors * SECTOR_BYTES


@dataclass(frozen=True, slots=True)
class Disk:
    """Parameters. The defaults give 80 random reads a second and 105 to 210 MB/s."""

    name: str
    capacity_sectors: int
    seed: int = 7200
    settle_s: float = 0.001
    full_stroke_s: float = 0.014
    """Added to ``settle_s``, times the square root of the distance as a share of the stroke."""
    rotation_s: float = 60 / 7200
    outer_bytes_per_s: float = 210e6
    inner_bytes_per_s: float = 105e6
    window: int = 32
    """Requests the disk may take in any order; the reads of one thread stay in theirs."""
    write_cache_bytes: int = 0
    """Writes that wait in the disk, and are then written in the order of their sectors."""

    def rate(self, sector: int) -> float:
        """Bytes a second at a sector; outer tracks come first and are faster."""
        share = sector / self.capacity_sectors
        return self.outer_bytes_per_s + (self.inner_bytes_per_s - self.outer_bytes_per_s) * share

    def transfer_s(self, request: Request) -> float:
        """Seconds to move the bytes, the head being there."""
        return request.size_bytes / self.rate(request.sector)

    def position_s(self, head: int, sector: int) -> float:
        """Seconds until ``sector`` is under the head, which has just passed ``head``."""
        if sector == head:
            return 0.0
        distance = abs(sector - head) / self.capacity_sectors
        seek = self.settle_s + self.full_stroke_s * math.sqrt(distance)
        # Where the platter stands then is as good as random, but the same in every replay.
        turn = zlib.crc32(f"{self.seed} {head} {sector}".encode()) / 2**32 * self.rotation_s
        if sector > head:  # a short gap is quicker waited out than sought over
            gap = (sector - head) * SECTOR_BYTES / self.rate(head)
            return min(gap, seek + turn)
        return seek + turn


def parameter_sets(capacity_sectors: int) -> list[Disk]:
    """The three disks that results are given for."""
    usual = Disk("7200 rpm, queue of 32", capacity_sectors)
    return [
        usual,
        replace(usual, name="without a queue", window=1),
        replace(usual, name="with a write cache of 64 MiB", write_cache_bytes=64 << 20),
    ]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a list of requests cost."""

    seconds: float
    transfer_s: float
    seeks: int
    read_bytes: int
    write_bytes: int

    def efficiency(self, job_bytes: int) -> float:
        """The time of moving ``job_bytes`` without a seek, at these places, by the modelled time.

        Data moved twice, and everything a file system notes beside it, counts against it.
        """
        moved = self.read_bytes + self.write_bytes
        return self.transfer_s * job_bytes / moved / self.seconds

    @property
    def seeks_per_gib(self) -> float:
        """Changes of place for each GiB moved."""
        return self.seeks * 2**30 / (self.read_bytes + self.write_bytes)


def replay(requests: Iterable[Request], disk: Disk) -> Replay:
    """Serve ``requests``, given in the order of their issue, by the rules of ``disk``.

    Raises:
        ValueError: there are none.
    """
    head = seeks = read_bytes = write_bytes = 0
    seconds = transfer = 0.0
    for request in served_order(requests, disk):
        waited = disk.position_s(head, request.sector)
        moved = disk.transfer_s(request)
        seconds += waited + moved
        transfer += moved
        seeks += request.sector != head
        read_bytes += 0 if request.write else request.size_bytes
        write_bytes += request.size_bytes if request.write else 0
        head = request.sector + request.sectors
    if not read_bytes + write_bytes:
        raise ValueError("no requests to replay")
    return Replay(seconds, transfer, seeks, read_bytes, write_bytes)


def served_order(requests: Iterable[Request], disk: Disk) -> Iterator[Request]:
    """The requests in the order in which the disk serves them."""
    cached: list[Request] = []
    cached_bytes = 0
    for request in _by_queue(requests, disk):
        if not (request.write and disk.write_cache_bytes):
            yield request
            continue
        cached.append(request)
        cached_bytes += request.size_bytes
        if cached_bytes > disk.write_cache_bytes:
            yield from sorted(cached, key=lambda one: one.sector)
            cached, cached_bytes = [], 0
    yield from sorted(cached, key=lambda one: one.sector)


def _by_queue(requests: Iterable[Request], disk: Disk) -> Iterator[Request]:
    """What the queue of the disk makes of the order: the nearest of what it knows of comes first.

    It knows of the oldest requests only. A trace taken on a fast device has later ones as well, but
    who issued those had seen the earlier ones answered.
    """
    coming = deque(requests)
    window: list[Request] = []
    passed: deque[int] = deque()
    head = 0
    while coming or window:
        while coming and len(window) < disk.window:
            window.append(coming.popleft())
            passed.append(0)
        if passed[0] >= MAX_PASSED:
            chosen = 0
        else:
            chosen = min(
                _known(window), key=lambda place: disk.position_s(head, window[place].sector)
            )
        request = window.pop(chosen)
        del passed[chosen]
        for place in range(chosen):
            passed[place] += 1
        yield request
        head = request.sector + request.sectors


def _known(window: list[Request]) -> list[int]:
    """Which of the window have been asked for: all writes, and the next read of each thread."""
    readers: set[int] = set()
    known = []
    for place, request in enumerate(window):
        if request.write:
            known.append(place)
        elif request.task not in readers:
            readers.add(request.task)
            known.append(place)
    return known


def random_reads(disk: Disk, count: int, size_bytes: int = 4096) -> list[Request]:
    """Reads at random places, one after the other, to calibrate with."""
    chance = random.Random(disk.seed)
    sectors = size_bytes // SECTOR_BYTES
    places = (chance.randrange(disk.capacity_sectors // sectors) * sectors for _ in range(count))
    return [Request(place, sectors, False, 1) for place in places]
