"""Whether it is our own line that is down, and not one host."""

import time
from collections.abc import Callable

__all__ = ["Connectivity"]

HOSTS_NEEDED = 2
BELIEVED_S = 15.0
EVIDENCE_S = 60.0


class Connectivity:
    """Hosts that could not even be reached: no name, no route, no connection in time.

    When that happened to two hosts and none answered since, we are offline for ``BELIEVED_S``
    seconds; then one more host that cannot be reached is enough to be offline again.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unreached: dict[str, float] = {}
        self._offline_until = 0.0

    def is_offline(self) -> bool:
        """Whether no host need be asked now."""
        return bool(self._unreached) and self._clock() < self._offline_until

    def unreached(self) -> tuple[str, ...]:
        """The hosts that could not be reached since one answered."""
        return tuple(self._unreached)

    def seconds_left(self) -> float:
        """How long no host is asked."""
        return max(0.0, self._offline_until - self._clock()) if self.is_offline() else 0.0

    def record_answer(self) -> None:
        """Some host answered, with whatever."""
        self._unreached.clear()

    def record_unreached(self, host: str) -> bool:
        """A host could not be reached; whether that means that we are offline."""
        now = self._clock()
        kept = self._unreached.items()
        self._unreached = {name: at for name, at in kept if now - at < EVIDENCE_S}
        self._unreached[host] = now
        if len(self._unreached) < HOSTS_NEEDED:
            return False
        self._offline_until = now + BELIEVED_S
        return True
