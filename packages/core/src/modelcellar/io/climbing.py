"""How many files at a time suit a drive that does not tell what it is: found out by trying.

A disk that seeks gets slower with the second stream, flash and networks get faster for a while
(twelve measurements: borgbackup/borg#10161). So the number is doubled as long as that pays.
"""

from dataclasses import dataclass

__all__ = ["SLICE_BYTES", "Climb"]

SLICE_BYTES = 256 << 20
"""Read for each measurement: a second or two of a disk that seeks, a moment of flash."""

WORTH = 1.15
"""Gain per doubling below which more streams are noise, or a seek more for nothing."""


@dataclass(slots=True)
class Climb:
    """The search for one drive; ``streams`` is the number to use next."""

    streams: int
    most: int
    settled: bool = False
    _before: int = 0
    _bytes_per_second: float = 0.0

    def measured(self, size_bytes: int, seconds: float) -> None:
        """Learn that ``size_bytes`` took ``seconds`` with :attr:`streams`."""
        if self.settled or seconds <= 0:
            return
        found = size_bytes / seconds
        if self._before and found < self._bytes_per_second * WORTH:
            self.streams = self._before
            self.settled = True
        elif self.streams >= self.most:
            self.settled = True
        else:
            self._before, self._bytes_per_second = self.streams, found
            self.streams = min(2 * self.streams, self.most)
