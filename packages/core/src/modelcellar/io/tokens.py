"""How much of each drive is taken at the moment, by all threads of this process.

Two jobs on different drives run at the same time; two that would share one that seeks wait for each
other. Who waits longest goes first.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
        self._line: list[_Ticket] = []

    @contextmanager
    def hold(self, shares: Shares, *, check: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Have ``shares`` to oneself inside the ``with``; waits until they are free.

        ``check`` is called every tenth of a second of waiting, and ends it by raising.
        """
        ticket = _Ticket(shares)
        # A signal may come between any two statements; the ticket always leaves the line.
        try:
            with self._changed:
                self._line.append(ticket)
                while not self._is_free_for(ticket):
                    self._changed.wait(LOOK_SECONDS)
                    check()
                ticket.is_served = True
                self._changed.notify_all()
            yield
        finally:
            with self._changed:
                self._line = [other for other in self._line if other is not ticket]
                self._changed.notify_all()

    def _is_free_for(self, ticket: "_Ticket") -> bool:
        taken: Counter[str] = Counter()
        is_earlier = True
        for other in self._line:
            if other is ticket:
                is_earlier = False
            elif other.is_served:
                taken.update(other.shares)
            elif is_earlier and not other.shares.keys().isdisjoint(ticket.shares):
                return False
        return all(taken[name] + share <= 1 for name, share in ticket.shares.items())


@dataclass(eq=False, slots=True)
class _Ticket:
    """A place in the line of those who wait, and of those who are served."""

    shares: Shares
    is_served: bool = False


SHARED_TOKENS = Tokens()
"""Those of this process, which has each drive only once."""
