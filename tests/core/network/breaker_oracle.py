"""The circuit breaker again, as slow and plain as can be, and both held against each other."""

from dataclasses import dataclass

from modelcellar.network.circuit_breaker import BreakerPolicy, CircuitBreaker, Permit
from tests.support.clock import FakeClock

POLICY = BreakerPolicy(jitter=0.0, max_in_flight=12)


@dataclass
class Given:
    """A permit of the oracle."""

    epoch: int
    until: float
    used: bool = False


class Oracle:
    """Keeps every result with its time, and counts them anew for each question."""

    def __init__(self) -> None:
        self.state = "closed"
        self.epoch = 0
        self.results: list[tuple[float, bool]] = []
        self.given: list[Given] = []
        self.opens_until = 0.0
        self.times_open = 0
        self.good_probes = 0

    def counts(self, now: float) -> tuple[int, int]:
        """Failures and successes in the last six slices of ten seconds."""
        recent = [good for at, good in self.results if int(now / 10) - int(at / 10) < 6]
        return recent.count(False), recent.count(True)

    def would_trip(self, failures: int, successes: int) -> bool:
        return failures >= 5 and failures * 2 >= failures + successes

    def under_way(self, now: float) -> list[Given]:
        mine = [one for one in self.given if one.epoch == self.epoch and not one.used]
        return mine if self.state == "closed" else [one for one in mine if now < one.until]

    def may_begin(self, now: float) -> bool:
        if self.state == "open":
            return now >= self.opens_until
        if self.state == "half_open":
            return not self.under_way(now)
        failures, successes = self.counts(now)
        enough = next((n for n in range(1, 12) if self.would_trip(failures + n, successes)), 12)
        return len(self.under_way(now)) < enough

    def refuses(self, now: float) -> bool:
        if self.state == "half_open":
            return self.good_probes == 0 and bool(self.under_way(now))
        return self.state == "open" and now < self.opens_until

    def acquire(self, now: float) -> Given | None:
        if not self.may_begin(now):
            return None
        if self.state == "open":
            self.change("half_open")
            self.good_probes = 0
        elif self.state == "half_open" and any(
            not one.used and one.epoch == self.epoch for one in self.given
        ):
            self.epoch += 1
        self.given.append(Given(self.epoch, now + POLICY.probe_s))
        return self.given[-1]

    def finish(self, permit: Given, result: bool | None, now: float) -> None:
        was_used, permit.used = permit.used, True
        if was_used or permit.epoch != self.epoch or result is None:
            return
        if self.state == "half_open":
            if not result:
                self.open(now)
                return
            self.good_probes += 1
            if self.good_probes == 2:
                self.times_open = 0
                self.change("closed")
            return
        self.results.append((now, result))
        if not result and self.would_trip(*self.counts(now)):
            self.open(now)

    def open(self, now: float) -> None:
        self.opens_until = now + min(30.0 * 2**self.times_open, 600.0)
        self.times_open += 1
        self.change("open")

    def change(self, state: str) -> None:
        self.state = state
        self.epoch += 1
        self.results = []


class Comparison:
    """Does the same to the breaker and to its oracle, and asks both after every step."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.breaker = CircuitBreaker(POLICY, clock=self.clock, wall=self.clock.wall)
        self.oracle = Oracle()
        self.permits: list[tuple[Permit, Given]] = []

    def acquire(self) -> None:
        permit, given = self.breaker.acquire(), self.oracle.acquire(self.clock.now)
        assert (permit is None) == (given is None)
        if permit is not None and given is not None:
            self.permits.append((permit, given))

    def finish(self, which: int, result: bool | None) -> None:
        """Some permit ever given: the result may be late, a second one, or none."""
        if not self.permits:
            return
        permit, given = self.permits[which % len(self.permits)]
        if result is None:
            self.breaker.give_back(permit)
        elif result:
            self.breaker.record_success(permit)
        else:
            self.breaker.record_failure(permit, "it broke")
        self.oracle.finish(given, result, self.clock.now)

    def check(self) -> None:
        now = self.clock.now
        assert self.breaker.state == self.oracle.state
        assert self.breaker.refuses() == self.oracle.refuses(now)
        assert (self.breaker.headroom() > 0) == self.oracle.may_begin(now)
        assert not self.breaker.should_open_circuit() or self.oracle.state == "closed"
