"""Retries: how many, how long between them, and when not."""

import asyncio
import itertools

import pytest

from modelcellar.network.retry import AttemptFailedError, Retries, RetryBudget, RetryPolicy
from tests.support.clock import FakeClock


class Attempts:
    """Fails so often, then succeeds with the number of the attempt."""

    def __init__(self, failures: int, **failure: float | bool) -> None:
        self.failures = failures
        self.made = 0
        self._wait_s = failure.get("wait_s")
        self._is_free = bool(failure.get("is_free"))

    async def __call__(self) -> int:
        self.made += 1
        if self.made <= self.failures:
            raise AttemptFailedError("it broke", wait_s=self._wait_s, is_free=self._is_free)
        return self.made


def run(
    attempts: Attempts,
    clock: FakeClock,
    *,
    dice: float = 0.5,
    deadline_s: float = 60.0,
    may_repeat: bool = True,
    retries: Retries | None = None,
) -> int:
    retries = retries or Retries(clock=clock, random=lambda: dice)
    return asyncio.run(
        retries.run(attempts, clock.sleep, deadline=clock() + deadline_s, may_repeat=may_repeat)
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_four_attempts_and_no_more(clock: FakeClock) -> None:
    attempts = Attempts(failures=100)
    with pytest.raises(AttemptFailedError, match="it broke"):
        run(attempts, clock)
    assert attempts.made == 4
    assert len(clock.slept) == 3


def test_four_attempts_also_where_the_budget_has_more(clock: FakeClock) -> None:
    attempts = Attempts(failures=100)
    retries = Retries(budget=RetryBudget(extra=100, clock=clock), clock=clock)
    with pytest.raises(AttemptFailedError):
        run(attempts, clock, retries=retries)
    assert attempts.made == 4


def test_success_ends_it(clock: FakeClock) -> None:
    assert run(Attempts(failures=0), clock) == 1
    assert run(Attempts(failures=3), clock) == 4


@pytest.mark.parametrize(("dice", "waits"), [(0.0, [0.25, 0.5, 1.0]), (1.0, [0.5, 1.0, 2.0])])
def test_waits_double_and_half_of_each_is_certain(
    clock: FakeClock, dice: float, waits: list[float]
) -> None:
    with pytest.raises(AttemptFailedError):
        run(Attempts(failures=100), clock, dice=dice)
    assert clock.slept == waits


def test_no_wait_is_near_zero_or_above_the_longest(clock: FakeClock) -> None:
    budget = RetryBudget(extra=1000, clock=clock)
    dice = itertools.cycle([0.0, 0.999]).__next__
    retries = Retries(RetryPolicy(attempts=80), budget=budget, clock=clock, random=dice)
    with pytest.raises(AttemptFailedError):
        run(Attempts(failures=100), clock, deadline_s=1e6, retries=retries)
    assert min(clock.slept) >= 0.25
    assert max(clock.slept) <= 20.0
    assert sum(seconds > 9.9 for seconds in clock.slept) > 50
    assert len(clock.slept) == 79


def test_a_wait_that_the_host_asks_for_is_kept(clock: FakeClock) -> None:
    assert run(Attempts(failures=1, wait_s=17.0), clock) == 2
    assert clock.slept == [17.0]


def test_at_once_is_not_believed_of_a_host_that_is_not_well(clock: FakeClock) -> None:
    run(Attempts(failures=1, wait_s=0.0), clock)
    assert clock.slept == [0.25]


def test_no_wait_begins_that_would_pass_the_deadline(clock: FakeClock) -> None:
    attempts = Attempts(failures=1, wait_s=60.0)
    with pytest.raises(AttemptFailedError):
        run(attempts, clock)
    assert (attempts.made, clock.slept) == (1, [])


def test_what_may_not_be_sent_twice_is_sent_once(clock: FakeClock) -> None:
    attempts = Attempts(failures=1)
    with pytest.raises(AttemptFailedError):
        run(attempts, clock, may_repeat=False)
    assert attempts.made == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
def test_every_other_error_ends_it_at_once(clock: FakeClock, error: type[BaseException]) -> None:
    made = 0

    async def attempt() -> None:
        nonlocal made
        made += 1
        raise error

    async def run_it() -> None:
        with pytest.raises(error):
            await Retries(clock=clock).run(
                attempt, clock.sleep, deadline=clock() + 60, may_repeat=True
            )

    asyncio.run(run_it())
    assert made == 1


def test_the_budget_is_a_share_of_the_calls_and_a_few(clock: FakeClock) -> None:
    budget = RetryBudget(clock=clock)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    for _ in range(100):
        budget.note_call()
    assert sum(budget.take() for _ in range(100)) == 20
    clock.advance(10.1)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]


def test_an_outage_is_not_made_worse(clock: FakeClock) -> None:
    retries = Retries(clock=clock, random=lambda: 0.5)
    made = 0
    for _ in range(1000):
        attempts = Attempts(failures=100)

        async def no_time(seconds: float) -> None:  # a thousand calls at the same moment
            clock.slept.append(seconds)

        with pytest.raises(AttemptFailedError):
            asyncio.run(retries.run(attempts, no_time, deadline=clock() + 60, may_repeat=True))
        made += attempts.made
    assert made <= 1000 * 1.2 + 3


def test_what_the_throttle_holds_back_costs_nothing_of_the_budget(clock: FakeClock) -> None:
    budget = RetryBudget(share=0.0, extra=0, clock=clock)
    retries = Retries(budget=budget, clock=clock)
    attempts = Attempts(failures=3, is_free=True, wait_s=0.0)
    assert run(attempts, clock, retries=retries) == 4
    assert clock.slept == [0.0, 0.0, 0.0]
