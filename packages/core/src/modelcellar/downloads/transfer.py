"""One file on its way: which of its bytes are still to come, and who fetches which.

Bytes are fetched in their order as far as several connections allow: what lies far ahead of the
rest could not be hashed from memory.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelcellar.content import foretold_ranges
from modelcellar.errors import CellarError
from modelcellar.io.hashing import ArrivingFile, finish_arriving
from modelcellar.records import HashedFile
from modelcellar.remotes import RemoteFile

__all__ = ["Span", "Transfer"]

WHOLE_ANSWERS = 2
MOST_RESTARTS = 3
_HEAD_BYTES = 8
"""What the length of a safetensors header is written in."""


@dataclass(slots=True)
class Span:
    """Bytes ``[start, end)`` that one connection fetches; ``start`` moves as they come.

    ``free_tries`` are how often an address that has grown old may still cost nothing.
    """

    start: int
    end: int
    free_tries: int = 3
    error: CellarError | None = None
    """Why the last attempt broke off."""


@dataclass(slots=True, eq=False)
class Transfer:
    """A file that is being fetched into ``arriving``.

    ``takes_ranges`` is whether the host sends parts when it is asked for them, ``None`` as long as
    it was not asked. ``url`` is where its redirect led to last: signed, kept in memory only, and
    forgotten as soon as it does not work any more.
    """

    file: RemoteFile
    size_bytes: int
    arriving: ArrivingFile
    takes_ranges: bool | None = None
    url: str | None = None
    under_way: int = 0
    fetched_bytes: int = 0
    lost_bytes: int = 0
    """Of those and of what an earlier run has left, what was thrown away again."""
    restarts: int = 0
    is_second_try: bool = False
    """Whether it has come with wrong bytes before."""
    ranges: Sequence[tuple[int, int]] = ()
    hashed: HashedFile | None = None
    error: CellarError | OSError | None = None
    _gaps: list[tuple[int, int]] = field(default_factory=list)
    _is_hashing: bool = False
    _whole_answers: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._find_gaps()

    @property
    def is_fetched(self) -> bool:
        """Whether all bytes are there."""
        return not self._gaps and not self.under_way and self.error is None

    @property
    def unclaimed_bytes(self) -> int:
        """Bytes that nobody fetches yet."""
        return sum(end - start for start, end in self._gaps)

    def claim(self, wanted_bytes: int) -> Span | None:
        """The next bytes to fetch, about so many; ``None`` where there is nothing to do now.

        Until it is known whether the host sends parts only one connection asks.
        """
        if not self._gaps or (self.takes_ranges is None and self.under_way):
            return None
        start, end = self._gaps[0]
        piece = self.arriving.piece_bytes
        # A piece is written by one connection, from its beginning on.
        stop = min(end, -(-(start + wanted_bytes) // piece) * piece)
        if stop >= end:
            del self._gaps[0]
        else:
            self._gaps[0] = (stop, end)
        self.under_way += 1
        return Span(start, stop)

    def may_take_all(self, span: Span) -> bool:
        """Whether an answer with everything from byte 0 is to be taken; counts such answers.

        It never goes on with a part: what is there is forgotten for it. So one that comes instead
        of a part is first asked for again, and a host that cannot send parts gets a few tries only.
        """
        if self.under_way > 1:
            return False
        if span.start == 0 and self.arriving.written_bytes == 0:
            return True
        self._whole_answers += 1
        return self._whole_answers >= WHOLE_ANSWERS and self.restarts < MOST_RESTARTS

    def take_all(self, span: Span) -> None:
        """One connection fetches everything from the first byte on."""
        if self.arriving.written_bytes:
            self.restart()
        self._gaps = []
        span.start, span.end = 0, self.size_bytes
        self.takes_ranges = False

    def write(self, offset: int, data: bytes) -> None:
        """Take bytes that came; called by several threads.

        Raises:
            OSError: they, or some before, could not be written.
        """
        if offset == 0:
            self._begin_to_hash(data)
        with self._lock:
            self.fetched_bytes += len(data)
        self.arriving.write(offset, data)

    def resume_hashing(self, part: Path) -> None:
        """Hash what an earlier run has left in ``part``, while the rest comes.

        Raises:
            OSError: it cannot be read.
        """
        gap = next(iter(self.arriving.missing()), (self.size_bytes, 0))
        if gap[0] > 0:
            self._begin_to_hash(_head_of(part))

    def finish(self, part: Path) -> HashedFile:
        """The digests of the whole file, which has come; waits for the last of it to be hashed.

        Raises:
            OSError: it could not be written or read back.
        """
        if not self._is_hashing:
            self._hash(_head_of(part))
        self.hashed = finish_arriving(self.arriving, part)
        return self.hashed

    def restart(self) -> None:
        """Begin anew from the first byte."""
        self.lost_bytes += self.arriving.written_bytes
        self.arriving.restart()
        self.restarts += 1
        self._is_hashing = False
        self._find_gaps()

    def _begin_to_hash(self, head: bytes) -> None:
        """Begin as soon as the first bytes tell which ranges have digests of their own."""
        if not self._is_hashing and len(head) >= min(_HEAD_BYTES, self.size_bytes):
            self._hash(head)

    def _hash(self, head: bytes) -> None:
        self._is_hashing = True
        self.ranges = foretold_ranges(self.file.path, self.size_bytes, head[:_HEAD_BYTES])
        self.arriving.hash(self.ranges)

    def _find_gaps(self) -> None:
        self._gaps = []
        for start, end in self.arriving.missing():
            if self._gaps and self._gaps[-1][1] == start:
                self._gaps[-1] = (self._gaps[-1][0], end)
            else:
                self._gaps.append((start, end))


def _head_of(part: Path) -> bytes:
    with part.open("rb") as file:
        return file.read(_HEAD_BYTES)
