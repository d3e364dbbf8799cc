"""The Hub's quotas: paced before they are used up, waited for after, shared between processes."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from modelcellar.errors import RateLimitedError
from modelcellar.hf.throttle import HubThrottle
from modelcellar.network.throttling import Wait, Waiting
from tests.support.clock import FakeClock

HUB = "https://huggingface.co"


class Hub:
    """Counts as the Hub does, in fixed windows, and refuses when nothing is left."""

    def __init__(self, clock: FakeClock, limit: int = 500, window_s: int = 300) -> None:
        self.clock, self.limit, self.window_s = clock, limit, window_s
        self.began, self.used = clock.now, 0
        self.refused = 0

    def answer(self, bucket: str = "api") -> tuple[int, dict[str, str]]:
        if self.clock.now >= self.began + self.window_s:
            self.began, self.used = self.clock.now, 0
        left = self.limit - self.used
        self.used += 1
        status = 200 if left > 0 else 429
        self.refused += status == 429
        reset = int(self.began + self.window_s - self.clock.now)
        return status, headers(max(0, left - 1), reset, bucket, self.limit, self.window_s)


def headers(
    left: int, reset: int, bucket: str = "api", limit: int = 500, window: int = 300
) -> dict[str, str]:
    return {
        "ratelimit": f'"{bucket}";r={left};t={reset}',
        "ratelimit-policy": f'"fixed window";"{bucket}";q={limit};w={window}',
    }


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def make(clock: FakeClock, folder: Path | None = None, **options: bool) -> HubThrottle:
    waiting = Waiting(None, clock.sleep, clock.wall, lambda: 0.5)
    return HubThrottle(HUB, waiting, folder=folder, **options)


def call(throttle: HubThrottle, hub: Hub, limit_s: float = 1e9) -> None:
    asyncio.run(throttle.wait("api", limit_s=limit_s))
    throttle.saw("api", *hub.answer())


def test_nothing_is_waited_for_while_much_is_left(clock: FakeClock) -> None:
    throttle, hub = make(clock), Hub(clock)
    for _ in range(450):
        call(throttle, hub)
    assert clock.slept == []
    (quota,) = throttle.quotas()
    assert (quota.bucket, quota.left, quota.limit, quota.window_s) == ("api", 50, 500, 300.0)


def test_the_hub_never_has_to_refuse_a_call(clock: FakeClock) -> None:
    throttle, hub = make(clock), Hub(clock)
    for _ in range(3000):
        call(throttle, hub)
        clock.advance(0.05)
    assert hub.refused == 0
    assert max(clock.slept) < 310
    # Pacing may cost something, but not more than a window at the end.
    assert clock.now - 1000 <= 300 * (3000 / 500) + 310


def test_what_is_left_under_a_tenth_is_spread_over_the_time(clock: FakeClock) -> None:
    throttle = make(clock)
    throttle.saw("api", 200, headers(40, 200))
    before = clock.now
    for _ in range(10):
        asyncio.run(throttle.wait("api"))
    assert clock.now - before == pytest.approx(9 * 5.0, abs=0.5)


def test_calls_at_the_same_moment_are_spread_as_well(clock: FakeClock) -> None:
    starts: list[float] = []
    sleeps: list[float] = []

    async def note(seconds: float) -> None:
        sleeps.append(seconds)

    throttle = HubThrottle(HUB, Waiting(None, note, clock.wall))
    throttle.saw("api", 200, headers(20, 200))

    async def one() -> None:
        await throttle.wait("api")
        starts.append(clock.now)

    async def main() -> None:
        await asyncio.gather(*(one() for _ in range(10)))

    asyncio.run(main())
    assert sorted(sleeps) == pytest.approx([10.0 * number for number in range(1, 10)])


def test_nothing_left_is_waited_for_until_the_window_ends(clock: FakeClock) -> None:
    waits: list[Wait] = []
    throttle = HubThrottle(HUB, Waiting(waits.append, clock.sleep, clock.wall))
    throttle.saw("api", 429, headers(0, 42))
    assert throttle.is_rate_limited("api")
    assert not throttle.is_rate_limited("resolvers")
    assert not throttle.is_rate_limited()
    asyncio.run(throttle.wait("resolvers"))
    assert waits == []
    asyncio.run(throttle.wait("api"))
    assert waits == [Wait(HUB, "api", 43.0, "quota")]
    assert not throttle.is_rate_limited("api")


def test_a_wait_beyond_the_limit_is_told_at_once(clock: FakeClock) -> None:
    throttle = make(clock)
    throttle.saw("api", 429, headers(0, 200))
    with pytest.raises(RateLimitedError) as caught:
        asyncio.run(throttle.wait("api", limit_s=60.0))
    assert caught.value.retry_at == clock.wall() + 201
    throttle = make(clock)
    throttle.saw("api", 200, headers(2, 200))
    asyncio.run(throttle.wait("api"))
    with pytest.raises(RateLimitedError):
        asyncio.run(throttle.wait("api", limit_s=60.0))
    assert throttle.quotas()[0].left == 1  # a call that is not made costs nothing
    assert clock.slept == []


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        ({}, 1.0),
        ({"retry-after": "9"}, 9.0),
        (headers(300, 200), 1.0),
        (headers(300, 200) | {"retry-after": "9"}, 9.0),
    ],
)
def test_a_refusal_of_the_edge_pauses_everything(
    clock: FakeClock, sent: dict[str, str], seconds: float
) -> None:
    throttle = make(clock)
    throttle.saw("api", 429, sent)
    assert throttle.is_rate_limited()
    assert throttle.is_rate_limited("pages")
    asyncio.run(throttle.wait("pages"))
    assert clock.slept == [pytest.approx(seconds)]


def test_a_refusal_for_another_bucket_than_thought(clock: FakeClock) -> None:
    throttle = make(clock)
    throttle.saw("resolvers", 429, headers(0, 42, "api"))
    assert throttle.is_rate_limited("resolvers")
    asyncio.run(throttle.wait("resolvers"))
    assert clock.slept == [pytest.approx(43.0)]


def test_answers_that_overtake_each_other(clock: FakeClock) -> None:
    throttle = make(clock)
    for left in (100, 98, 99):
        throttle.saw("api", 200, headers(left, 200))
    assert throttle.quotas()[0].left == 98
    clock.advance(201)
    assert throttle.quotas() == ()
    throttle.saw("api", 200, headers(499, 300))
    assert throttle.quotas()[0].left == 499


def test_another_account_has_other_quotas(clock: FakeClock) -> None:
    throttle = make(clock)
    throttle.saw("api", 200, headers(90, 200, limit=1000))
    asyncio.run(throttle.wait("api"))
    asyncio.run(throttle.wait("api"))
    assert clock.slept != []


@pytest.mark.parametrize("moved_s", [-1e6, 1e6])
def test_a_wall_clock_that_jumps_locks_nobody_out(clock: FakeClock, moved_s: float) -> None:
    throttle = make(clock)
    throttle.saw("api", 429, headers(0, 200))
    clock.wall_offset += moved_s
    asyncio.run(throttle.wait("api", limit_s=0.0))


# --- shared by all processes of a user ---


def test_what_one_process_found_out_the_others_know(clock: FakeClock, tmp_path: Path) -> None:
    first, second = make(clock, tmp_path), make(clock, tmp_path)
    first.saw("api", 429, headers(0, 42))
    time.sleep(0.26)  # the disk is asked four times a second
    assert second.is_rate_limited("api")
    assert make(clock, tmp_path).is_rate_limited("api")
    assert not make(clock, tmp_path, is_signed_in=True).is_rate_limited("api")
    clock.advance(43)
    assert not make(clock, tmp_path).is_rate_limited("api")


def test_a_pause_is_shared_too(clock: FakeClock, tmp_path: Path) -> None:
    make(clock, tmp_path).saw("api", 429, {"retry-after": "30"})
    assert make(clock, tmp_path).is_rate_limited("pages")
    clock.wall_offset -= 60.0  # a clock that is set back does not make it longer
    assert not make(clock, tmp_path).is_rate_limited("pages")


def test_the_file_is_written_only_when_it_matters(clock: FakeClock, tmp_path: Path) -> None:
    throttle = make(clock, tmp_path)
    versions = set()
    for left in range(499, -1, -1):
        throttle.saw("api", 200, headers(left, 200))
        versions.update((path.name, path.stat().st_ino) for path in tmp_path.glob("*.json"))
    assert 1 <= len(versions) <= 2
    (path,) = tmp_path.glob("*.json")
    assert path.name == "quota-huggingface.co-anonymous.json"
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format": 2, "quotas": {"api": [0, 9e9, 500, 300]}}',
        '{"format": 1, "quotas": []}',
        '{"format": 1, "quotas": {"api": [0, 1]}}',
        '{"format": 1, "quotas": {"api": "x"}}',
        '{"format": 1, "quotas": {"api": [0, NaN, 500, 300]}}',
        '{"format": 1, "quotas": {"api": [0, Infinity, 500, 300]}, "pause": [Infinity, 5]}',
        '{"format": 1, "quotas": {"api": [0, 1e11, 500, 300]}, "pause": [1e11, 5]}',
        '{"format": 1, "quotas": {"api": [0, 1, -5, 300]}, "pause": "soon"}',
        "[" * 100_000,
        "x" * 1_000_000,
    ],
)
def test_a_file_that_is_not_ours_is_not_used(clock: FakeClock, tmp_path: Path, text: str) -> None:
    (tmp_path / "quota-huggingface.co-anonymous.json").write_text(text)
    throttle = make(clock, tmp_path)
    assert not throttle.is_rate_limited()
    assert throttle.quotas() == ()
    throttle.saw("api", 429, headers(0, 42))
    (path,) = tmp_path.glob("*.json")
    assert json.loads(path.read_text())["format"] == 1


def test_a_folder_that_cannot_be_written(clock: FakeClock, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    throttle = make(clock, tmp_path / "file" / "state")
    throttle.saw("api", 429, headers(0, 42))
    assert throttle.is_rate_limited("api")


def test_calls_under_way_count_before_their_answers_come(clock: FakeClock) -> None:
    throttle = make(clock)
    throttle.saw("api", 200, headers(52, 200))
    for _ in range(4):
        asyncio.run(throttle.wait("api"))
    assert throttle.quotas()[0].left == 48
    assert clock.slept == []
    asyncio.run(throttle.wait("api"))
    assert len(clock.slept) == 1


def test_a_new_window_begins_with_all_of_it(clock: FakeClock) -> None:
    throttle = make(clock)
    throttle.saw("api", 200, headers(3, 2))
    clock.advance(1.0)  # the Hub's clock is a little ahead of ours
    throttle.saw("api", 200, headers(499, 300))
    assert throttle.quotas()[0].left == 499
    asyncio.run(throttle.wait("api", limit_s=0.0))
