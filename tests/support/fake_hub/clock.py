"""A clock that stands still until it is told to move."""

import threading
import time
from datetime import UTC, datetime
from email.utils import formatdate

__all__ = ["FakeClock", "iso"]

# A start of a five-minute window, so that a test begins with whole quotas and a whole window.
START = datetime(2026, 3, 4, 5, 5, tzinfo=UTC).timestamp()


class FakeClock:
    """Seconds since 1970 for everything the fake decides by time; safe in many threads."""

    def __init__(self, now: float = START) -> None:
        self._lock = threading.Lock()
        self._now = now
        self._running_since: float | None = None

    def now(self) -> float:
        with self._lock:
            return self._read()

    def set(self, now: float) -> None:
        with self._lock:
            self._now = now
            if self._running_since is not None:
                self._running_since = time.monotonic()

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds

    def run(self) -> None:
        """From now on it goes as fast as real time does, for clients that really wait."""
        with self._lock:
            if self._running_since is None:
                self._running_since = time.monotonic()

    def stop(self) -> None:
        """Stand still again."""
        with self._lock:
            self._now = self._read()
            self._running_since = None

    def http_date(self, later_s: float = 0.0) -> str:
        """The time, or one ``later_s`` seconds later, as headers write it."""
        return formatdate(self.now() + later_s, usegmt=True)

    def _read(self) -> float:
        if self._running_since is None:
            return self._now
        return self._now + time.monotonic() - self._running_since


def iso(seconds: float) -> str:
    """A time as the APIs write it: ``2026-01-02T03:04:05.000Z``."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
