"""Slowing down: the pause after a refusal, and the waiting that all throttles share."""

import asyncio

import pytest

from modelcellar.errors import RateLimitedError
from modelcellar.network.throttling import PoliteThrottle, Wait, Waiting
from tests.support.clock import FakeClock

ORIGIN = "https://host.example"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def waits() -> list[Wait]:
    return []


@pytest.fixture
def throttle(clock: FakeClock, waits: list[Wait]) -> PoliteThrottle:
    return PoliteThrottle(ORIGIN, Waiting(waits.append, clock.sleep, clock.wall, lambda: 0.5))


def wait(throttle: PoliteThrottle, limit_s: float = 60.0) -> None:
    asyncio.run(throttle.wait("", limit_s=limit_s))


def test_a_host_that_never_refused_is_not_waited_for(
    throttle: PoliteThrottle, clock: FakeClock
) -> None:
    for _ in range(100):
        wait(throttle, limit_s=0.0)
        throttle.saw("", 200, {})
    assert clock.slept == []
    assert not throttle.is_rate_limited()
    assert throttle.quotas() == ()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:40 GMT"}, 20.0),
        ({"ratelimit": '"api";r=0;t=30'}, 31.0),
        ({"ratelimit": '"api";r=5;t=30'}, 1.0),
        ({"ratelimit": '"api";r=0;t=30', "retry-after": "12"}, 12.0),
        ({}, 1.0),
    ],
)
def test_a_refusal_pauses_the_host(
    throttle: PoliteThrottle,
    clock: FakeClock,
    waits: list[Wait],
    headers: dict[str, str],
    seconds: float,
) -> None:
    throttle.saw("", 429, headers)
    assert throttle.is_rate_limited()
    wait(throttle)
    assert clock.slept == [pytest.approx(seconds)]
    assert waits == [Wait(ORIGIN, "", pytest.approx(seconds), "refused")]
    assert not throttle.is_rate_limited()


def test_refusals_without_a_time_pause_longer_each_time(
    throttle: PoliteThrottle, clock: FakeClock
) -> None:
    for _ in range(9):
        throttle.saw("", 429, {})
        wait(throttle)
    assert clock.slept == pytest.approx([1.0, 1.5, 3.0, 6.0, 12.0, 22.5, 22.5, 22.5, 22.5])
    throttle.saw("", 200, {})
    throttle.saw("", 429, {})
    wait(throttle)
    assert clock.slept[-1] == pytest.approx(1.0)


def test_calls_that_are_refused_together_are_one_refusal(
    throttle: PoliteThrottle, clock: FakeClock
) -> None:
    for _ in range(50):
        throttle.saw("", 429, {})
    wait(throttle)
    assert sum(clock.slept) < 2.0


def test_what_would_take_too_long_is_told_at_once(
    throttle: PoliteThrottle, clock: FakeClock, waits: list[Wait]
) -> None:
    throttle.saw("", 429, {"retry-after": "100"})
    with pytest.raises(RateLimitedError) as caught:
        wait(throttle, limit_s=99.0)
    assert caught.value.retry_at == clock.wall() + 100
    assert caught.value.origin == ORIGIN
    assert (clock.slept, waits) == ([], [])


def test_a_clock_that_was_set_back_ends_the_pause(
    throttle: PoliteThrottle, clock: FakeClock
) -> None:
    throttle.saw("", 429, {"retry-after": "100"})
    clock.wall_offset -= 1.0
    assert not throttle.is_rate_limited()
    wait(throttle, limit_s=0.0)


def test_waiting_can_be_cancelled() -> None:
    async def main() -> None:
        throttle = PoliteThrottle(ORIGIN)
        throttle.saw("", 429, {"retry-after": "3600"})
        task = asyncio.create_task(throttle.wait(""))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
