"""How much of each drive is taken at the moment, by all threads of this process.

Two jobs on different drives run at the same time; two that would share one that seeks wait for each
other. Who waits longest goes first.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction

__all__ = ["SHARED_TOKENS", "Shares", "Tokens"]

Shares = Mapping[str, Fraction]
"""Of each device, by name, the part that a job takes: 1 is all of it."""

LOOK_SECONDS = 0.1
"""How often one who waits is asked whether he still wants to."""


class Tokens:
    """Devices that are shared out in parts, all that a job needs at once.

    Nobody holds one device while waiting for another, so nobody waits in a circle; and a device is
    not given to a later job while an earlier one waits for it, so nobody waits for ever.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken: Counter[str] = Counter()
        self._waiting: list[Shares] = []

    @contextmanager
    def hold(self, shares: Shares, *, check: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Have ``shares`` to oneself inside the ``with``; waits until they are free.

        ``check`` is called every tenth of a second of waiting, and ends it by raising.
        """
        with self._changed:
            self._waiting.append(shares)
            try:
                while not self._is_free_for(shares):
                    self._changed.wait(LOOK_SECONDS)
                    check()
                self._taken.update(shares)
            finally:
                self._leave_the_line(shares)
        try:
            yield
        finally:
            with self._changed:
                self._taken.subtract(shares)
                self._changed.notify_all()

    def _is_free_for(self, shares: Shares) -> bool:
        before = self._waiting[: self._place(shares)]
        wanted = {name for earlier in before for name in earlier}
        return not wanted.intersection(shares) and all(
            self._taken[name] + share <= 1 for name, share in shares.items()
        )

    def _place(self, shares: Shares) -> int:
        return next(place for place, one in enumerate(self._waiting) if one is shares)

    def _leave_the_line(self, shares: Shares) -> None:
        del self._waiting[self._place(shares)]
        self._changed.notify_all()


SHARED_TOKENS = Tokens()
"""Those of this process, which has each drive only once."""
