"""How calls to one host are slowed down, so that it need not refuse them.

A throttle decides only how long to wait; the waiting itself is done here, is told to whoever asked
for it, and ends when the call is cancelled.
"""

import asyncio
import math
import random as random_module
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from modelcellar.errors import RateLimitedError
from modelcellar.network.headers import Quota, parse_quotas, retry_after_s

__all__ = ["Pausing", "PoliteThrottle", "Throttle", "ThrottleFactory", "Wait", "Waiting"]

TOO_MANY_REQUESTS = 429
FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 30.0


@dataclass(frozen=True, slots=True)
class Wait:
    """That a call now waits ``seconds``; ``reason`` is ``quota``, ``pace``, ``refused``, ``retry``.

    ``quota``: nothing is left of it. ``pace``: what is left is spread over the time until there is
    more. ``refused``: the host said "too many requests". ``retry``: before another attempt.
    """

    origin: str
    bucket: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """How to wait, what time it is, and who is told; ``wall`` is seconds since 1970."""

    on_wait: Callable[[Wait], None] | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    wall: Callable[[], float] = time.time
    random: Callable[[], float] = field(default=random_module.random)


class Throttle(Protocol):
    """What slows the calls to one host down."""

    async def wait(self, bucket: str, *, limit_s: float = math.inf) -> None:
        """Wait until a call may be made that counts against ``bucket``.

        Raises:
            RateLimitedError: that would take longer than ``limit_s`` seconds; at once.
        """
        ...

    def saw(self, bucket: str, status: int, headers: Mapping[str, str]) -> None:
        """Learn from an answer; the names of ``headers`` are in lower case."""
        ...

    def is_rate_limited(self, bucket: str = "") -> bool:
        """Whether no call may be made now; without a bucket, whether that holds for all."""
        ...

    def quotas(self) -> tuple[Quota, ...]:
        """What is known to be left."""
        ...

    def remember(self) -> None:
        """Write down what is known, for those who come after."""
        ...


ThrottleFactory = Callable[[str, Waiting], Throttle]
"""Makes the throttle of an origin."""


class Pausing(ABC):
    """The waiting that all throttles share, and the pause after a host refused a call."""

    remedy = "Run it again then."

    def __init__(self, origin: str, waiting: Waiting | None = None) -> None:
        self.origin = origin
        self._waiting = waiting or Waiting()
        self._paused_until = self._paused_for_s = 0.0
        self._refusals = 0

    @abstractmethod
    def _book(self, bucket: str, now: float, limit_s: float) -> tuple[float, str]:
        """Seconds to wait before one more call, and why; 0 books it.

        A wait longer than ``limit_s`` will not be waited for, so it must book nothing.
        """

    async def wait(self, bucket: str, *, limit_s: float = math.inf) -> None:
        """Wait until a call may be made; see :class:`Throttle`."""
        while True:
            now = self._waiting.wall()
            seconds, reason = self._pause_s(now), "refused"
            if seconds <= 0:
                seconds, reason = self._book(bucket, now, limit_s)
            if seconds <= 0:
                return
            if seconds > limit_s:
                raise self._refusal(bucket, now + seconds)
            limit_s -= seconds
            if self._waiting.on_wait is not None:
                self._waiting.on_wait(Wait(self.origin, bucket, seconds, reason))
            await self._waiting.sleep(seconds)
            if reason == "pace":
                return  # this very moment was booked for it

    def _pause_s(self, now: float) -> float:
        if not self._paused_until:
            return 0.0
        left_s = self._paused_until - now
        if left_s <= 0 or left_s > self._paused_for_s:  # over, or the clock was set back
            self._paused_until = left_s = 0.0
        return left_s

    def _pause(self, now: float, seconds: float) -> None:
        if now + seconds > self._paused_until:
            self._paused_until, self._paused_for_s = now + seconds, seconds

    def _pause_after_refusal(self, headers: Mapping[str, str], now: float) -> None:
        """Leave the host alone for as long as it says, else longer with every refusal."""
        seconds = retry_after_s(headers, now)
        if seconds is None:
            longest_s = min(FIRST_BACKOFF_S * 2 ** min(self._refusals, 10), LONGEST_BACKOFF_S)
            # Never near zero: half of it is certain.
            seconds = max(FIRST_BACKOFF_S, longest_s * (1 + self._waiting.random()) / 2)
        # Many calls under way are refused together: that is one refusal, not many.
        if now >= self._paused_until:
            self._refusals += 1
        self._pause(now, seconds)

    def _refusal(self, bucket: str, retry_at: float) -> RateLimitedError:
        moment = time.strftime("%H:%M:%S", time.localtime(retry_at))
        which = f" of {bucket!r}" if bucket else ""
        return RateLimitedError(
            f"{self.origin} takes no more calls{which} until {moment}",
            self.remedy,
            origin=self.origin,
            retry_at=retry_at,
        )


class PoliteThrottle(Pausing):
    """For hosts that say nothing until it is too much: a refusal pauses all calls to the host."""

    def remember(self) -> None:
        """Nothing is known that outlives the run."""

    def _book(self, bucket: str, now: float, limit_s: float) -> tuple[float, str]:  # noqa: ARG002
        return 0.0, ""

    def saw(self, bucket: str, status: int, headers: Mapping[str, str]) -> None:  # noqa: ARG002
        """Pause after a refusal; any other answer ends the series of refusals."""
        if status != TOO_MANY_REQUESTS:
            self._refusals = 0
            return
        now = self._waiting.wall()
        spent = [quota.reset_s + 1 for quota in parse_quotas(headers) if quota.left == 0]
        if spent and "retry-after" not in headers:
            self._pause(now, max(spent))
        else:
            self._pause_after_refusal(headers, now)

    def is_rate_limited(self, bucket: str = "") -> bool:  # noqa: ARG002
        """Whether the host is paused; it has no buckets that we know of."""
        return self._pause_s(self._waiting.wall()) > 0

    def quotas(self) -> tuple[Quota, ...]:
        """Nothing is known."""
        return ()
