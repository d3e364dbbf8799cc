"""A circuit breaker: a state machine that decides which calls to a host may be made.

It knows nothing of networks, waits for nothing and reads only the clocks it was given. Closed, all
is well; open, nobody is let through; half open, one call at a time finds out whether the host is
back. Every call needs a :class:`Permit`, which belongs to the generation of the state it was given
in: what a call from before the last change has to say comes too late and changes nothing.
"""

import random as random_module
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType

__all__ = ["BreakerPolicy", "Circuit", "CircuitBreaker", "CircuitState", "Permit"]


class CircuitState(StrEnum):
    """``closed`` lets calls through, ``open`` none, ``half_open`` one at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a circuit opens, and for how long; times are seconds.

    It opens at ``min_failures`` within ``window_s`` that are at least ``failure_share`` of the
    calls, for ``open_s``, doubled at each probe that fails, up to ``max_open_s``.
    """

    window_s: float = 60.0
    buckets: int = 6
    min_failures: int = 5
    failure_share: float = 0.5
    open_s: float = 30.0
    max_open_s: float = 600.0
    jitter: float = 0.2
    successes_to_close: int = 2
    probe_s: float = 15.0
    max_in_flight: int = 16


@dataclass(frozen=True, slots=True)
class Circuit:
    """The state of a circuit as a value; ``since`` and ``until`` are seconds since 1970.

    ``since`` is when the host first failed too often, ``trips`` how often it was left alone since.
    """

    state: CircuitState = CircuitState.CLOSED
    since: float | None = None
    until: float | None = None
    trips: int = 0
    cause: str = ""


class Permit:
    """Leave to make one call. At the end of its ``with`` it returns itself, unless it was used.

    So a call that was cancelled, or failed for reasons of our own, counts neither way.
    """

    __slots__ = ("_breaker", "expires_at", "generation", "is_settled")

    def __init__(self, breaker: "CircuitBreaker", generation: int, expires_at: float) -> None:
        self._breaker = breaker
        self.generation = generation
        self.expires_at = expires_at
        self.is_settled = False

    def __enter__(self) -> "Permit":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._breaker.give_back(self)


class CircuitBreaker:
    """The breaker of one host. ``generation`` grows with every change of state."""

    def __init__(
        self,
        policy: BreakerPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self.policy = policy or BreakerPolicy()
        self.state = CircuitState.CLOSED
        self.generation = 0
        self._clock, self._wall, self._random = clock, wall, random
        self._bucket_s = self.policy.window_s / self.policy.buckets
        self._tick = 0
        self._forget_results()
        self._in_flight = 0
        self._probe: Permit | None = None
        self._probe_successes = 0
        self._until = 0.0
        self._since: float | None = None
        self._trips = 0
        self._cause = ""

    # --- before a call ---

    def acquire(self, probe_s: float | None = None) -> Permit | None:
        """A permit for one call, or ``None``: refused, or as many under way as there may be.

        A probe that says nothing for ``probe_s`` seconds is given up.
        """
        now = self._clock()
        if self.state is CircuitState.CLOSED:
            if self.headroom() <= 0:
                return None
            self._in_flight += 1
            return Permit(self, self.generation, 0.0)
        if self.refuses() or self._is_probing(now):
            return None
        # A probe that was given up may still answer: of an older generation, it is not heard.
        if self.state is CircuitState.OPEN or self._probe is not None:
            self._change(CircuitState.HALF_OPEN, keep=self.state is CircuitState.HALF_OPEN)
        limit_s = self.policy.probe_s if probe_s is None else probe_s
        self._probe = Permit(self, self.generation, now + limit_s)
        return self._probe

    def refuses(self) -> bool:
        """Whether calls are turned away now: the host is left alone, or the first probe is out.

        Once a probe has succeeded nobody is turned away any more, but calls go one by one.
        """
        if self.state is CircuitState.CLOSED:
            return False
        now = self._clock()
        if self.state is CircuitState.OPEN:
            return now < self._until
        return self._probe_successes == 0 and self._is_probing(now)

    def headroom(self) -> int:
        """How many more calls may begin now.

        No more are under way than failures it takes to open the circuit. A host that is dead is
        found out with that many calls, however many wait, and one that answers earns more.
        """
        if self.state is not CircuitState.CLOSED:
            now = self._clock()
            return int(not self.refuses() and not self._is_probing(now))
        self._roll()
        policy = self.policy
        # The least n for which the circuit would open if all n failed.
        share = policy.failure_share
        by_share = (share * self._successes - (1 - share) * self._failures) / max(1 - share, 1e-9)
        most = max(policy.min_failures - self._failures, int(by_share), 1)
        return min(most, policy.max_in_flight) - self._in_flight

    # --- after a call ---

    def record_success(self, permit: Permit) -> None:
        """The host answered, be it with "not found" or "not allowed"."""
        if not self._settle(permit):
            return
        if self.state is CircuitState.CLOSED:
            self._roll()
            self._buckets[self._tick % self.policy.buckets][0] += 1
            self._successes += 1
        elif self.state is CircuitState.HALF_OPEN:
            self._probe_successes += 1
            if self._probe_successes >= self.policy.successes_to_close:
                self._close()

    def record_failure(self, permit: Permit, cause: str = "") -> None:
        """The host did not answer, or said that it is not well; ``cause`` in words."""
        if self._settle(permit):
            self._count_failure(cause)

    def record_break(self, generation: int, cause: str = "") -> None:
        """The host answered, which was recorded, but what it sent broke off later.

        It says nothing any more if the state has changed since, from that ``generation``.
        """
        if generation == self.generation:
            self._count_failure(cause)

    def give_back(self, permit: Permit) -> None:
        """The call was not made, or ended through our own doing: it counts neither way."""
        self._settle(permit)

    def should_open_circuit(self) -> bool:
        """Whether there are failures enough, and a share of the calls large enough, to open."""
        if self.state is not CircuitState.CLOSED:
            return False
        self._roll()
        calls = self._failures + self._successes
        enough = self._failures >= self.policy.min_failures
        return enough and self._failures >= self.policy.failure_share * calls

    # --- what people decide, and what outlives the process ---

    def probe_now(self) -> None:
        """Let the next call find out whether the host is back, without waiting any longer."""
        if self.state is CircuitState.OPEN:
            self._until = self._clock()

    def forgive(self) -> None:
        """Forget all failures: it was our own line that was down."""
        self._close()

    def snapshot(self) -> Circuit:
        """The state as a value, with times that mean something to other processes."""
        if self.state is CircuitState.CLOSED:
            return Circuit(cause=self._cause)
        left_s = max(0.0, self._until - self._clock()) if self.state is CircuitState.OPEN else 0.0
        until = self._wall() + left_s
        return Circuit(self.state, self._since, until, self._trips, self._cause)

    def restore(self, saved: Circuit) -> None:
        """Take over what another run found out.

        A time that cannot be, because a clock was set back, is not believed: the next call probes.
        What ended longer ago than a circuit can be open is forgotten.
        """
        if saved.state is CircuitState.CLOSED or saved.until is None or saved.since is None:
            return
        left_s = saved.until - self._wall()
        if left_s < -self.policy.max_open_s:
            return
        if left_s > self.policy.max_open_s or saved.since > self._wall():
            left_s = 0.0
        self._change(CircuitState.OPEN)
        self._since = min(saved.since, self._wall())
        self._trips = max(1, saved.trips)
        self._cause = saved.cause
        self._until = self._clock() + max(0.0, left_s)

    # --- inside ---

    def _settle(self, permit: Permit) -> bool:
        """Take the permit out of the books; whether its result still means something."""
        if permit.is_settled:
            return False
        permit.is_settled = True
        if permit.generation != self.generation:
            return False
        if permit is self._probe:
            self._probe = None
        else:
            self._in_flight -= 1
        return True

    def _count_failure(self, cause: str) -> None:
        self._cause = cause
        if self.state is CircuitState.HALF_OPEN:
            self._open()
            return
        self._roll()
        self._buckets[self._tick % self.policy.buckets][1] += 1
        self._failures += 1
        if self.should_open_circuit():
            self._open()

    def _is_probing(self, now: float) -> bool:
        return self._probe is not None and now < self._probe.expires_at

    def _open(self) -> None:
        policy = self.policy
        # Past 2**32 the time has long reached its end, and a float would overflow.
        wanted_s = min(policy.open_s * 2.0 ** min(self._trips, 32), policy.max_open_s)
        jitter = 1 + policy.jitter * (2 * self._random() - 1)
        self._trips += 1
        if self._since is None:
            self._since = self._wall()
        self._until = self._clock() + min(wanted_s * jitter, policy.max_open_s)
        self._change(CircuitState.OPEN)

    def _close(self) -> None:
        self._since, self._trips = None, 0
        self._change(CircuitState.CLOSED)

    def _change(self, state: CircuitState, *, keep: bool = False) -> None:
        self.state = state
        self.generation += 1
        self._in_flight, self._probe = 0, None
        if not keep:
            self._probe_successes = 0
            self._forget_results()

    def _forget_results(self) -> None:
        self._buckets = [[0, 0] for _ in range(self.policy.buckets)]
        self._successes = self._failures = 0

    def _roll(self) -> None:
        """Drop the buckets that are older than the window."""
        tick = int(self._clock() / self._bucket_s)
        if tick <= self._tick:
            return
        for passed in range(max(self._tick + 1, tick - self.policy.buckets + 1), tick + 1):
            bucket = self._buckets[passed % self.policy.buckets]
            self._successes -= bucket[0]
            self._failures -= bucket[1]
            bucket[0] = bucket[1] = 0
        self._tick = tick
