"""How many connections are of use, found out while they work, and how much each takes on."""

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Connections"]

LOOK_S = 1.0
GAIN = 1.15
"""Twice as many connections are kept only if they bring so much more."""
SPAN_S = 3.0
FIRST_SPAN_BYTES = 16 << 20
MOST_SPAN_BYTES = 1 << 30
MOST_FIXED_BYTES = 32 << 20
"""Of several connections that the user asked for: what they bring ahead of the first of them is
read back to be hashed, from memory as long as that is not much."""


@dataclass(slots=True)
class Connections:
    """``allowed`` is how many may work now, at most ``most``.

    With ``fixed`` it is that from the beginning. Else there is one, then two, four and eight as
    long as that makes it faster; a disk that seeks is given one stream (``most=1``).
    """

    most: int
    fixed: bool = False
    clock: Callable[[], float] = time.monotonic
    allowed: int = 1
    _rate: float = 0.0
    _before: tuple[float, int] | None = None
    _is_settled: bool = False
    _last_rate: float = 0.0
    """Bytes a second, of all connections together."""

    def __post_init__(self) -> None:
        if self.fixed:
            self.allowed = self.most

    def look(self, fetched_bytes: int) -> None:
        """Take notice of how many bytes have come by now; called several times a second."""
        now = self.clock()
        if self._before is None:
            self._before = (now, fetched_bytes)
            return
        began, had = self._before
        rate = (fetched_bytes - had) / max(now - began, 1e-3)
        if now - began < LOOK_S:
            if not self._rate:
                self._last_rate = rate  # the first guess, so that the next span has a fitting size
            return
        self._before = (now, fetched_bytes)
        self._last_rate = rate
        if self.fixed or self._is_settled:
            return
        if rate >= GAIN * self._rate:
            self._rate = rate
            self._is_settled = self.allowed >= self.most
            self.allowed = min(self.most, 2 * self.allowed)
        else:
            # The last step brought nothing: one connection less is one less that can break.
            self.allowed = max(1, self.allowed // 2)
            self._is_settled = True

    def share(self, unclaimed_bytes: int) -> int:
        """How many bytes the next connection takes on: some seconds' worth, and no more than its
        part of what is left, so that all end at about the same time."""
        if self.most == 1:
            return max(1, unclaimed_bytes)  # nobody waits for a part of it
        part_bytes = -(-unclaimed_bytes // self.allowed)
        if self.fixed:
            return max(1, min(part_bytes, MOST_FIXED_BYTES))
        wanted = max(int(self._last_rate / self.allowed * SPAN_S), FIRST_SPAN_BYTES)
        return max(1, min(wanted, MOST_SPAN_BYTES, part_bytes))
