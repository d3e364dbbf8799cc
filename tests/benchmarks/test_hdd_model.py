"""The modelled disk: as fast and as slow as real ones, and the same each time."""

import random
from dataclasses import replace

import pytest

from benchmarks.hdd_model import (
    SECTOR_BYTES,
    Disk,
    Request,
    parameter_sets,
    random_reads,
    replay,
    served_order,
)
from benchmarks.slow_disk import Spindle, constant_rate_disk

CAPACITY = 4 << 30 >> 9
USUAL = parameter_sets(CAPACITY)[0]
IN_TURN = replace(USUAL, window=1)


def stream(start: int, count: int, *, sectors: int = 2048, task: int = 1) -> list[Request]:
    return [Request(start + place * sectors, sectors, False, task) for place in range(count)]


def test_random_reads_one_after_the_other_are_as_slow_as_on_real_disks() -> None:
    found = replay(random_reads(IN_TURN, 3000), IN_TURN)
    assert 75 <= 3000 / found.seconds <= 85
    assert found.seeks > 2990


def test_a_stream_runs_at_the_full_rate() -> None:
    found = replay(stream(0, 512), USUAL)
    assert found.seconds == found.transfer_s
    assert found.read_bytes / found.seconds == pytest.approx(203e6, rel=0.02)
    assert found.efficiency(found.read_bytes) == pytest.approx(1)
    inner = replay(stream(CAPACITY - 512 * 2048, 512), USUAL)
    assert inner.read_bytes / inner.transfer_s == pytest.approx(112e6, rel=0.02)


def test_interleaved_streams_cost_seeks() -> None:
    streams = [stream(task * CAPACITY // 8, 64, sectors=256, task=task) for task in range(8)]
    mixed = [request for together in zip(*streams, strict=True) for request in together]
    in_order = [replace(request, task=1) for one in streams for request in one]
    assert replay(in_order, USUAL).seeks == 7
    assert replay(mixed, USUAL).seconds > 2 * replay(in_order, USUAL).seconds
    assert replay(mixed, USUAL).seeks_per_gib > 1000


def test_the_queue_takes_the_nearest_first() -> None:
    chance = random.Random(1)
    scattered = [
        Request(chance.randrange(CAPACITY // 8) * 8, 8, False, task) for task in range(500)
    ]
    queued, in_turn = replay(scattered, USUAL), replay(scattered, IN_TURN)
    assert queued.seconds < 0.55 * in_turn.seconds
    assert queued.read_bytes == in_turn.read_bytes == 500 * 8 * SECTOR_BYTES


def test_a_thread_that_waits_for_its_reads_cannot_use_the_queue() -> None:
    chance = random.Random(1)
    alone = [Request(chance.randrange(CAPACITY // 8) * 8, 8, False, 7) for _ in range(500)]
    assert replay(alone, USUAL).seconds == replay(alone, IN_TURN).seconds


def test_no_request_waits_for_ever() -> None:
    near = [Request(place * 8, 8, True, 0) for place in range(1, 3000)]
    far = Request(CAPACITY - 8, 8, True, 0)
    served = list(served_order([far, *near], USUAL))
    assert served.index(far) <= 64
    assert sorted(served, key=lambda one: one.sector) == [*near, far]


def test_the_write_cache_sorts_whenever_it_is_full_and_at_the_end() -> None:
    chance = random.Random(2)
    writes = [Request(place * 2048, 2048, True, 0) for place in range(200)]
    chance.shuffle(writes)
    cache = replace(IN_TURN, write_cache_bytes=64 << 20)
    order = [writes.index(one) for one in served_order(writes, cache)]
    batches = [order[:65], order[65:130], order[130:195], order[195:]]
    assert [max(part) for part in batches] == [64, 129, 194, 199]
    for part in batches:
        sectors = [writes[place].sector for place in part]
        assert sectors == sorted(sectors)
    cached, uncached = replay(writes, cache), replay(writes, IN_TURN)
    assert cached.seconds < uncached.seconds
    assert cached.write_bytes == uncached.write_bytes == 200 << 20


def test_a_short_gap_is_waited_out() -> None:
    assert USUAL.position_s(1000, 1008) == pytest.approx(8 * 512 / 210e6, rel=0.01)
    assert USUAL.position_s(1008, 1000) >= USUAL.settle_s
    assert USUAL.position_s(0, CAPACITY - 1) >= USUAL.settle_s + USUAL.full_stroke_s * 0.999


def test_the_same_requests_cost_the_same() -> None:
    requests = random_reads(USUAL, 200)
    assert replay(requests, USUAL) == replay(requests, USUAL)
    other = replace(USUAL, seed=5400)
    assert replay(requests, other).seconds != replay(requests, USUAL).seconds


def test_what_is_moved_twice_counts_against_it() -> None:
    once = stream(0, 64)
    twice = [*once, *once]
    job = sum(one.size_bytes for one in once)
    assert replay(twice, USUAL).efficiency(job) == pytest.approx(0.5, abs=0.02)


def test_nothing_to_replay() -> None:
    with pytest.raises(ValueError, match="no requests"):
        replay([], USUAL)


class Clock:
    """Time that passes only when somebody sleeps, a little longer than was asked for."""

    def __init__(self, late_s: float) -> None:
        self.now = 100.0
        self._late_s = late_s

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self._late_s


@pytest.mark.parametrize("late_s", [0.0, 0.0001])
def test_the_slow_file_takes_the_modelled_time(late_s: float) -> None:
    clock = Clock(late_s)
    disk: Disk = constant_rate_disk(1 << 30)
    spindle = Spindle(disk, clock=clock, sleep=clock.sleep)
    for place in range(200):
        spindle.serve(place * 128 * 1024, 128 * 1024, write=place % 2 == 0)
    ideal_s = 200 * 128 * 1024 / 150e6
    assert clock.now - 100 == pytest.approx(ideal_s, rel=0.01)
    began = clock.now
    spindle.serve(1 << 29, 4096, write=False)
    assert clock.now - began > 0.009
