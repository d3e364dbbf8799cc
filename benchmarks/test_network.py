"""What a look-up costs before anything is sent, and what it costs when a host is dead."""

import asyncio
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from modelcellar.errors import HostUnavailableError, OfflineError
from modelcellar.hf.throttle import HubThrottle
from modelcellar.network.circuit_breaker import CircuitBreaker
from modelcellar.network.http import Request, Response
from modelcellar.network.manager import NetworkManager
from modelcellar.network.transport import Call, ExchangeError, Reason

HUB = "https://huggingface.co"
GET = Request("GET", f"{HUB}/api/models/x", bucket="api")
HEADERS = {
    # So much that nothing is ever waited for.
    "ratelimit": '"api";r=99999999;t=295',
    "ratelimit-policy": '"fixed window";"api";q=99999999;w=300',
}
CALLS = 10_000
LOOK_UPS = 1000
MAX_CALL_S = 20e-6
MAX_OFFLINE_S = 0.05
MAX_AFTER_TRIP_S = 1.0


class Scripted:
    """A host that answers at once, or never."""

    def __init__(self, *, is_dead: bool) -> None:
        self.is_dead = is_dead
        self.sent = 0

    async def exchange(self, call: Call) -> Response:
        self.sent += 1
        if self.is_dead:
            raise ExchangeError(Reason.FAILED, "the connection broke")
        return Response(200, call.url, HEADERS)

    async def aclose(self) -> None:
        pass


async def no_sleep(_: float) -> None:
    await asyncio.sleep(0)


def test_breaker_and_throttle_of_a_call(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """The bar: 20 microseconds for both together, with the file that processes share."""
    breaker, throttle = CircuitBreaker(), HubThrottle(HUB, folder=tmp_path)

    async def calls() -> None:
        for _ in range(CALLS):
            await throttle.wait("api", limit_s=60.0)
            permit = breaker.acquire(15.0)
            assert permit is not None
            with permit:
                throttle.saw("api", 200, HEADERS)
                breaker.record_success(permit)

    benchmark.pedantic(lambda: asyncio.run(calls()), rounds=5, warmup_rounds=1)
    seconds = benchmark.stats.stats.median / CALLS
    print(f"\nbreaker and throttle: {seconds * 1e6:.1f} us a call")
    assert seconds < MAX_CALL_S


def test_a_call_through_the_whole_manager(benchmark: BenchmarkFixture) -> None:
    """For information: retry, throttle, breaker, time limit and redirect rules of one call."""

    async def calls() -> None:
        async with NetworkManager(transport=Scripted(is_dead=False)) as manager:
            for _ in range(CALLS // 10):
                await manager.request(GET)

    benchmark.pedantic(lambda: asyncio.run(calls()), rounds=5, warmup_rounds=1)
    print(f"\nwhole manager: {benchmark.stats.stats.median / CALLS * 10 * 1e6:.0f} us a call")


@pytest.mark.parametrize("is_concurrent", [False, True], ids=["one by one", "at once"])
def test_a_dead_host(benchmark: BenchmarkFixture, is_concurrent: bool) -> None:
    """The bar: 1,000 look-ups end within 1 s of the trip, with five requests."""
    hosts: list[Scripted] = []

    async def ask(manager: NetworkManager) -> None:
        with pytest.raises(HostUnavailableError):
            await manager.request(GET)

    async def look_ups() -> None:
        hosts.append(Scripted(is_dead=True))
        async with NetworkManager(transport=hosts[-1], sleep=no_sleep) as manager:
            if is_concurrent:
                await asyncio.gather(*(ask(manager) for _ in range(LOOK_UPS)))
            else:
                for _ in range(LOOK_UPS):
                    await ask(manager)

    benchmark.pedantic(lambda: asyncio.run(look_ups()), rounds=5)
    print(f"\n{LOOK_UPS} look-ups: {benchmark.stats.stats.max:.3f} s, {hosts[0].sent} requests")
    assert benchmark.stats.stats.max < MAX_AFTER_TRIP_S
    assert {host.sent for host in hosts} == {5}


def test_offline_is_said_at_once(benchmark: BenchmarkFixture) -> None:
    """The bar: 50 ms, from nothing."""

    async def ask() -> float:
        began = time.perf_counter()
        async with NetworkManager(offline=True) as manager:
            with pytest.raises(OfflineError):
                await manager.request(GET)
        return time.perf_counter() - began

    seconds = benchmark.pedantic(lambda: asyncio.run(ask()), rounds=20)
    print(f"\noffline: {seconds * 1e3:.2f} ms")
    assert benchmark.stats.stats.max < MAX_OFFLINE_S
