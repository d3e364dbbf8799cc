"""When a call is made again, and after how long; the only module that knows tenacity."""

import random as random_module
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

__all__ = ["AttemptFailedError", "Retries", "RetryBudget", "RetryPolicy"]

T = TypeVar("T")


class AttemptFailedError(Exception):
    """One attempt did not succeed, and another one may.

    ``wait_s`` is how long the host wants us to wait, ``None`` if it did not say; ``is_free`` means
    that trying again costs nothing of the budget, since something else holds the calls back.
    """

    def __init__(self, cause: str, *, wait_s: float | None = None, is_free: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.wait_s = wait_s
        self.is_free = is_free


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``attempts`` with the first one; waits double from ``first_s`` to ``longest_s`` seconds."""

    attempts: int = 4
    first_s: float = 0.5
    longest_s: float = 20.0


class RetryBudget:
    """Retries may be a share of the calls and a few more, so that they never add to an outage.

    20 % and 3 in 10 s, in the manner of Finagle and of Google's book on reliability, chapter 22.
    """

    def __init__(
        self,
        *,
        share: float = 0.2,
        extra: int = 3,
        window_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._share, self._extra, self._window_s, self._clock = share, extra, window_s, clock
        self._calls: deque[float] = deque()
        self._retries: deque[float] = deque()

    def note_call(self) -> None:
        """A call begins, which earns a share of a retry."""
        now = self._clock()
        self._drop_before(now - self._window_s)
        self._calls.append(now)

    def take(self) -> bool:
        """Spend one retry; ``False`` if there is none left."""
        now = self._clock()
        self._drop_before(now - self._window_s)
        if len(self._retries) + 1 > self._extra + self._share * len(self._calls):
            return False
        self._retries.append(now)
        return True

    def _drop_before(self, oldest: float) -> None:
        for moments in (self._calls, self._retries):
            while moments and moments[0] <= oldest:
                moments.popleft()


class Retries:
    """Makes calls to one origin, again where that is allowed and of use."""

    def __init__(
        self,
        policy: RetryPolicy | None = None,
        *,
        budget: RetryBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self.policy = policy or RetryPolicy()
        self._budget = budget or RetryBudget(clock=clock)
        self._clock, self._random = clock, random

    async def run(
        self,
        attempt: Callable[[], Awaitable[T]],
        sleep: Callable[[float], Awaitable[None]],
        *,
        deadline: float,
        may_repeat: bool,
    ) -> T:
        """Await ``attempt`` until it succeeds, fails for good, or there is no time for more.

        Only :class:`AttemptFailedError` is tried again, and only if ``may_repeat``; everything else
        ends it at once. No wait begins that would end at ``deadline`` (on the clock) or later.

        Raises:
            AttemptFailedError: the last failure.
        """
        self._budget.note_call()

        def is_over(state: tenacity.RetryCallState) -> bool:
            if state.attempt_number >= self.policy.attempts:
                return True
            if self._clock() + state.upcoming_sleep >= deadline:
                return True
            error = state.outcome.exception() if state.outcome is not None else None
            is_free = isinstance(error, AttemptFailedError) and error.is_free
            return not (is_free or self._budget.take())

        async def once() -> T:  # tenacity awaits only what is written as a coroutine function
            return await attempt()

        retrying = tenacity.AsyncRetrying(
            sleep=sleep,
            stop=is_over,
            wait=self._wait_s,
            retry=tenacity.retry_if_exception(
                lambda error: may_repeat and isinstance(error, AttemptFailedError)
            ),
            reraise=True,
        )
        return await retrying(once)

    def _wait_s(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, AttemptFailedError) and error.wait_s is not None:
            # "At once" from a host that is not well would make things worse.
            return 0.0 if error.is_free else max(error.wait_s, self.policy.first_s / 2)
        policy = self.policy
        longest_s = min(policy.first_s * 2.0 ** min(state.attempt_number - 1, 32), policy.longest_s)
        # Equal jitter: half of it is certain, so no wait is near zero.
        return longest_s * (1 + self._random()) / 2
