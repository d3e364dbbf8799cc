"""The circuit breaker: against its oracle, and against the mistakes that others made."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from modelcellar.network.circuit_breaker import (
    BreakerPolicy,
    Circuit,
    CircuitBreaker,
    CircuitState,
    Permit,
)
from tests.core.network.breaker_oracle import Comparison
from tests.support.clock import FakeClock

INTERLEAVINGS = 10_000
STEPS = 50


class BreakerMachine(RuleBasedStateMachine):
    """Hypothesis looks for the shortest story in which breaker and oracle disagree."""

    def __init__(self) -> None:
        super().__init__()
        self.both = Comparison()

    @rule(times=st.integers(1, 8))
    def begin(self, times: int) -> None:
        for _ in range(times):
            self.both.acquire()

    @rule(which=st.integers(0, 200), result=st.sampled_from([True, False, False, None]))
    def finish(self, which: int, result: bool | None) -> None:
        self.both.finish(which, result)

    @rule(result=st.sampled_from([True, False, None]), times=st.integers(1, 8))
    def finish_newest(self, result: bool | None, times: int) -> None:
        for back in range(1, times + 1):
            self.both.finish(-back, result)

    @rule(seconds=st.sampled_from([0.1, 5.0, 9.99, 10.0, 14.9, 15.0, 30.0, 61.0, 600.0]))
    def wait(self, seconds: float) -> None:
        self.both.clock.advance(seconds)

    @invariant()
    def agree(self) -> None:
        self.both.check()


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)


def test_ten_thousand_interleavings_agree_with_the_oracle() -> None:
    dice = random.Random(20)
    changes = 0
    for _ in range(INTERLEAVINGS):
        both = Comparison()
        sick = 1 - dice.random() ** 2
        for _ in range(STEPS):
            what = dice.random()
            if what < 0.4:
                both.acquire()
            elif what < 0.93:
                recent = dice.random() < 0.8
                which = -1 - dice.randrange(5) if recent else dice.randrange(100)
                result = None if dice.random() < 0.1 else dice.random() > sick
                both.finish(which, result)
            else:
                both.clock.advance(dice.choice([0.5, 1.0, 7.0, 15.0, 31.0, 100.0]))
            both.check()
        changes += both.breaker.generation
    assert changes > INTERLEAVINGS // 2


# --- helpers ---


def make(
    clock: FakeClock, dice: float = 0.5, policy: BreakerPolicy | None = None
) -> CircuitBreaker:
    return CircuitBreaker(policy, clock=clock, wall=clock.wall, random=lambda: dice)


def take(breaker: CircuitBreaker) -> Permit:
    permit = breaker.acquire()
    assert permit is not None
    return permit


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.record_failure(take(breaker), "it broke")


def succeed(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.record_success(take(breaker))


def opened(clock: FakeClock) -> CircuitBreaker:
    breaker = make(clock)
    fail(breaker, 5)
    assert breaker.state is CircuitState.OPEN
    return breaker


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


# --- answers that break off later ---


def break_off(breaker: CircuitBreaker, times: int = 1) -> None:
    """Calls that are answered, and then break."""
    for _ in range(times):
        succeed(breaker)
        breaker.record_break(breaker.generation, "it ended early")


def test_answers_that_all_break_off_open_it(clock: FakeClock) -> None:
    breaker = make(clock)
    break_off(breaker, 4)
    assert breaker.state is CircuitState.CLOSED
    break_off(breaker)
    assert breaker.state is CircuitState.OPEN
    assert breaker.snapshot().cause == "it ended early"


def test_answers_of_which_some_break_off_do_not_open_it(clock: FakeClock) -> None:
    breaker = make(clock)
    for _ in range(20):
        succeed(breaker)
        break_off(breaker)
    assert breaker.state is CircuitState.CLOSED


def test_a_probe_that_breaks_off_opens_it_again(clock: FakeClock) -> None:
    breaker = opened(clock)
    clock.advance(31.0)
    break_off(breaker)
    assert breaker.state is CircuitState.OPEN


def test_what_breaks_off_after_a_change_is_not_heard(clock: FakeClock) -> None:
    breaker = make(clock)
    before = breaker.generation
    fail(breaker, 5)
    clock.advance(31.0)
    succeed(breaker)
    breaker.record_break(before, "long ago")
    assert breaker.state is CircuitState.HALF_OPEN
    assert breaker.snapshot().cause == "it broke"


def test_what_breaks_off_gives_no_place_back(clock: FakeClock) -> None:
    breaker = make(clock)
    take(breaker)
    before = breaker.headroom()
    breaker.record_break(breaker.generation)
    assert breaker.headroom() == before - 1


# --- when it opens ---


def test_five_failures_open_it_and_four_do_not(clock: FakeClock) -> None:
    breaker = make(clock)
    fail(breaker, 4)
    assert not breaker.should_open_circuit()
    assert breaker.state is CircuitState.CLOSED
    fail(breaker)
    assert breaker.state is CircuitState.OPEN
    assert breaker.acquire() is None
    assert breaker.refuses()


def test_failures_that_are_few_among_many_calls_do_not_open_it(clock: FakeClock) -> None:
    breaker = make(clock)
    succeed(breaker, 20)
    fail(breaker, 19)
    assert breaker.state is CircuitState.CLOSED
    fail(breaker)
    assert breaker.state is CircuitState.OPEN


def test_failures_older_than_the_window_are_forgotten(clock: FakeClock) -> None:
    breaker = make(clock)
    fail(breaker, 4)
    clock.advance(60.0)
    fail(breaker, 4)
    assert breaker.state is CircuitState.CLOSED
    clock.advance(49.0)
    fail(breaker)
    assert breaker.state is CircuitState.OPEN


def test_a_dead_host_is_found_out_with_five_calls_however_many_wait(clock: FakeClock) -> None:
    breaker = make(clock)
    permits = [breaker.acquire() for _ in range(1000)]
    assert sum(permit is not None for permit in permits) == 5
    assert not breaker.refuses()  # they wait, they are not turned away


def test_a_host_that_answers_is_given_more_calls_at_a_time(clock: FakeClock) -> None:
    breaker = make(clock)
    succeed(breaker, 10)
    assert breaker.headroom() == 10
    succeed(breaker, 40)
    assert breaker.headroom() == BreakerPolicy().max_in_flight


# --- how long ---


@pytest.mark.parametrize(("dice", "factor"), [(0.0, 0.8), (0.5, 1.0), (0.999999, 1.2)])
def test_it_stays_open_longer_with_every_probe_that_fails(
    clock: FakeClock, dice: float, factor: float
) -> None:
    breaker = make(clock, dice)
    fail(breaker, 5)
    for wanted_s in (30, 60, 120, 240, 480, 600, 600):
        until = breaker.snapshot().until
        assert until is not None
        left_s = until - clock.wall()
        assert left_s == pytest.approx(min(wanted_s * factor, 600), rel=1e-4)
        clock.advance(left_s - 0.01)
        assert breaker.acquire() is None
        clock.advance(0.02)
        fail(breaker)
        assert breaker.state is CircuitState.OPEN


def test_recovery_is_seen_at_the_first_probe(clock: FakeClock) -> None:
    breaker = opened(clock)
    clock.advance(30.0)
    assert not breaker.refuses()
    succeed(breaker)
    assert breaker.state is CircuitState.HALF_OPEN
    assert not breaker.refuses()
    second = take(breaker)
    assert not breaker.refuses()  # who comes now waits for a turn and is not turned away
    breaker.record_success(second)
    assert breaker.state is CircuitState.CLOSED
    assert breaker.headroom() == 5


def test_after_recovery_the_next_outage_begins_with_the_shortest_time(clock: FakeClock) -> None:
    breaker = opened(clock)
    clock.advance(30.0)
    fail(breaker)
    clock.advance(60.0)
    succeed(breaker, 2)
    fail(breaker, 5)
    assert breaker.snapshot().until == clock.wall() + 30
    assert breaker.snapshot().since == clock.wall()


# --- the mistakes of others, by name ---


def opened_with_calls_under_way(clock: FakeClock) -> tuple[CircuitBreaker, list[Permit]]:
    """The host was well, calls were under way, and then it was not any more."""
    breaker = make(clock)
    succeed(breaker, 20)
    permits = [take(breaker) for _ in range(10)]
    clock.advance(60.0)
    for permit in permits[:5]:
        breaker.record_failure(permit)
    assert breaker.state is CircuitState.OPEN
    return breaker, permits


def test_bug_late_results_are_not_taken_for_those_of_the_probe(clock: FakeClock) -> None:
    breaker, late = opened_with_calls_under_way(clock)
    clock.advance(30.0)
    probe = take(breaker)
    for permit in late:
        breaker.record_success(permit)
        breaker.record_failure(permit)
    assert breaker.state is CircuitState.HALF_OPEN
    assert breaker.acquire() is None
    breaker.record_success(probe)
    assert not breaker.refuses()


def test_bug_a_late_success_does_not_close_an_open_circuit(clock: FakeClock) -> None:
    breaker, late = opened_with_calls_under_way(clock)
    for permit in late:
        breaker.record_success(permit)
    assert breaker.state is CircuitState.OPEN


def test_bug_a_late_failure_does_not_lengthen_the_time(clock: FakeClock) -> None:
    breaker, late = opened_with_calls_under_way(clock)
    until = breaker.snapshot().until
    for permit in late:
        breaker.record_failure(permit)
    assert breaker.snapshot().until == until


def test_bug_a_cancelled_probe_does_not_close_the_circuit(clock: FakeClock) -> None:
    breaker = opened(clock)
    clock.advance(30.0)
    for _ in range(3):
        with take(breaker):
            pass
    assert breaker.state is CircuitState.HALF_OPEN
    fail(breaker)
    assert breaker.state is CircuitState.OPEN


def test_bug_a_cancelled_probe_gives_its_place_back(clock: FakeClock) -> None:
    breaker = opened(clock)
    clock.advance(30.0)
    with pytest.raises(KeyboardInterrupt), take(breaker):
        raise KeyboardInterrupt
    assert breaker.acquire() is not None


def test_bug_a_cancelled_call_counts_neither_way(clock: FakeClock) -> None:
    breaker = make(clock)
    fail(breaker, 4)
    for _ in range(50):
        with pytest.raises(KeyboardInterrupt), take(breaker):
            raise KeyboardInterrupt
    assert breaker.state is CircuitState.CLOSED
    fail(breaker)  # had they counted as successes, this would not be half of the calls
    assert breaker.state is CircuitState.OPEN


def test_bug_there_is_one_probe_at_a_time(clock: FakeClock) -> None:
    breaker = opened(clock)
    clock.advance(30.0)
    assert sum(breaker.acquire() is not None for _ in range(100)) == 1
    assert breaker.refuses()


def test_bug_a_probe_that_never_answers_does_not_hold_its_place_for_ever(clock: FakeClock) -> None:
    breaker = opened(clock)
    clock.advance(30.0)
    lost = breaker.acquire(15.0)
    assert lost is not None
    clock.advance(14.9)
    assert breaker.acquire() is None
    clock.advance(0.2)
    probe = take(breaker)
    breaker.record_failure(lost)  # given up: it is not heard any more
    assert breaker.state is CircuitState.HALF_OPEN
    breaker.record_success(probe)
    assert not breaker.refuses()


def test_bug_duplicate_results_count_once(clock: FakeClock) -> None:
    breaker = make(clock)
    permit = take(breaker)
    for _ in range(10):
        breaker.record_failure(permit)
    assert breaker.state is CircuitState.CLOSED
    fail(breaker, 5 - 1)
    clock.advance(30.0)
    probe = take(breaker)
    breaker.record_success(probe)
    breaker.record_success(probe)
    assert breaker.state is CircuitState.HALF_OPEN


def test_bug_a_wall_clock_that_jumps_changes_nothing(clock: FakeClock) -> None:
    breaker = opened(clock)
    clock.wall_offset += 1e6
    assert breaker.refuses()
    clock.wall_offset -= 2e6
    clock.advance(30.0)
    assert not breaker.refuses()


def test_bug_calls_are_not_made_one_after_the_other(clock: FakeClock) -> None:
    breaker = make(clock)
    first, second = take(breaker), take(breaker)
    breaker.record_success(second)
    breaker.record_success(first)
    assert breaker.headroom() == 5


def test_bug_one_or_two_failures_and_a_time_that_is_not_set(clock: FakeClock) -> None:
    breaker = make(clock)
    for _ in range(2):
        fail(breaker)
        assert not breaker.refuses()
        assert breaker.snapshot().until is None


def test_bug_very_many_outages_overflow_no_number(clock: FakeClock) -> None:
    breaker = opened(clock)
    for _ in range(2000):
        clock.advance(600.0)
        fail(breaker)
    until = breaker.snapshot().until
    assert until is not None
    assert until - clock.wall() == 600


# --- what people decide, and what outlives the process ---


def test_probe_now_and_forgive(clock: FakeClock) -> None:
    breaker = opened(clock)
    breaker.probe_now()
    assert not breaker.refuses()
    fail(breaker)
    breaker.forgive()
    assert breaker.state is CircuitState.CLOSED
    fail(breaker, 4)
    assert breaker.state is CircuitState.CLOSED


def test_the_state_outlives_the_process(clock: FakeClock) -> None:
    saved = opened(clock).snapshot()
    assert saved == Circuit(CircuitState.OPEN, clock.wall(), clock.wall() + 30, 1, "it broke")
    clock.advance(10.0)
    other = make(clock)
    other.restore(saved)
    assert other.snapshot() == saved
    assert other.refuses()
    clock.advance(20.0)
    fail(other)
    assert other.snapshot().until == clock.wall() + 60
    assert other.snapshot().since == saved.since


def test_a_half_open_circuit_is_taken_over_as_one_to_be_probed(clock: FakeClock) -> None:
    breaker = opened(clock)
    clock.advance(30.0)
    take(breaker)
    other = make(clock)
    other.restore(breaker.snapshot())
    assert not other.refuses()


@pytest.mark.parametrize("set_back_s", [100.0, 700.0, 86_400.0, 1e8])
def test_a_clock_that_was_set_back_locks_nobody_out(clock: FakeClock, set_back_s: float) -> None:
    saved = opened(clock).snapshot()
    clock.wall_offset -= set_back_s
    other = make(clock)
    other.restore(saved)
    assert not other.refuses()


def test_what_ended_long_ago_is_forgotten(clock: FakeClock) -> None:
    saved = opened(clock).snapshot()
    clock.advance(3600.0)
    other = make(clock)
    other.restore(saved)
    assert other.state is CircuitState.CLOSED


def test_closed_circuits_need_no_restoring(clock: FakeClock) -> None:
    breaker = make(clock)
    breaker.restore(Circuit())
    assert breaker.generation == 0
