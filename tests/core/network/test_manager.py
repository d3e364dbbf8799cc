"""The door to the network, with a transport of the test's and a clock that is turned by hand."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from modelcellar.errors import (
    AnswerRefusedError,
    HostUnavailableError,
    OfflineError,
    RateLimitedError,
)
from modelcellar.network.circuit_breaker import CircuitState
from modelcellar.network.exchanges import Call, ExchangeError, Reason
from modelcellar.network.http import Request, Response
from modelcellar.network.manager import NetworkManager
from modelcellar.network.throttling import Wait
from tests.core.network.fakes import FakeTransport, Script, broken, status, unreachable
from tests.support.clock import FakeClock

HUB = "https://hub.example"
CDN = "https://cdn.example"
GET = Request("GET", f"{HUB}/x")
LOOK_UPS = 1000


def act(
    script: Script,
    story: Callable[[NetworkManager, FakeTransport, FakeClock], Awaitable[None]],
    **options: Any,
) -> FakeTransport:
    """Let ``story`` happen in a manager whose hosts answer by ``script``."""
    transport, clock = FakeTransport(script), options.pop("clock", None) or FakeClock()

    async def main() -> None:
        async with NetworkManager(
            transport=transport,
            clock=clock,
            wall=clock.wall,
            sleep=clock.sleep,
            random=lambda: 0.5,
            **options,
        ) as manager:
            await story(manager, transport, clock)

    asyncio.run(main())
    assert transport.is_closed
    return transport


# --- a host that is dead ---


def test_one_after_the_other_a_dead_host_gets_five_requests() -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, _: FakeClock) -> None:
        began = None
        for _number in range(LOOK_UPS):
            with pytest.raises(HostUnavailableError) as caught:
                await manager.request(GET)
            if manager.is_circuit_open(HUB) and began is None:
                began = time.perf_counter()
        assert began is not None
        assert time.perf_counter() - began < 1.0
        assert len(transport.sent) == 5
        assert caught.value.cause == "the connection broke"
        assert caught.value.since is not None
        assert caught.value.retry_at == caught.value.since + 30

    act(broken(), story)


def test_all_at_once_a_dead_host_gets_five_requests() -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, _: FakeClock) -> None:
        began = time.perf_counter()
        calls = [manager.request(GET) for _ in range(LOOK_UPS)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert time.perf_counter() - began < 1.0
        assert all(isinstance(result, HostUnavailableError) for result in results)
        assert len(transport.sent) == 5

    act(broken(), story)


def test_calls_that_wait_to_be_made_again_are_told_when_the_circuit_opens() -> None:
    async def never(_: float) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with NetworkManager(transport=FakeTransport(broken()), sleep=never) as manager:
            calls = [manager.request(GET) for _ in range(5)]
            results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
            assert all(isinstance(result, HostUnavailableError) for result in results)

    asyncio.run(main())


def test_recovery_is_seen_at_the_first_probe() -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, clock: FakeClock) -> None:
        calls = [manager.request(GET) for _ in range(10)]
        await asyncio.gather(*calls, return_exceptions=True)
        opened = manager.status().origins[0]
        assert (opened.state, opened.cause) == (CircuitState.OPEN, "it answers 503")
        transport.script = status(200)
        assert opened.until is not None
        clock.advance(opened.until - clock.wall() - 0.5)
        with pytest.raises(HostUnavailableError):
            await manager.request(GET)
        clock.advance(1.0)
        assert (await manager.request(GET)).status == 200
        calls = [manager.request(GET) for _ in range(100)]
        assert {response.status for response in await asyncio.gather(*calls)} == {200}
        assert manager.status().origins[0].state is CircuitState.CLOSED

    act(status(503), story)


def test_a_probe_that_fails_is_the_only_request() -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, clock: FakeClock) -> None:
        for _ in range(3):
            calls = [manager.request(GET) for _ in range(100)]
            await asyncio.gather(*calls, return_exceptions=True)
            clock.advance(601.0)
        assert len(transport.sent) == 5 + 2

    act(broken(), story)


def test_hosts_and_ports_fail_each_for_itself() -> None:
    def script(call: Call) -> Response | ExchangeError:
        return Response(200, call.url) if call.url.startswith(CDN) else broken()(call)

    async def story(manager: NetworkManager, _: FakeTransport, __: FakeClock) -> None:
        for _number in range(5):
            with pytest.raises(HostUnavailableError):
                await manager.request(GET)
        assert (await manager.request(Request("GET", f"{CDN}/x"))).status == 200
        assert manager.is_circuit_open(HUB)
        assert not manager.is_circuit_open(f"{HUB}:8443")
        assert not manager.is_circuit_open(CDN)

    act(script, story)


class Silent:
    """A transport whose hosts take every call and never answer."""

    def __init__(self) -> None:
        self.sent: list[Call] = []

    async def exchange(self, call: Call) -> Response:
        self.sent.append(call)
        await asyncio.Event().wait()
        raise AssertionError

    async def aclose(self) -> None:
        pass


def test_hosts_that_say_nothing_get_no_more_than_the_limit_together() -> None:
    transport = Silent()

    async def main() -> None:
        async with NetworkManager(transport=transport, limit_s=0.5) as manager:
            for number in range(4):
                with pytest.raises(HostUnavailableError):
                    await manager.request(Request("GET", f"https://host{number}.example/"))
            # It was we who had no time, which says nothing of the hosts.
            assert {one.cause for one in manager.status().origins} == {""}

    began = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - began < 1.0
    assert len(transport.sent) == 4  # the first one left time for the others


def test_connecting_takes_no_longer_because_an_answer_may() -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, _: FakeClock) -> None:
        await manager.request(Request("POST", HUB, timeout_s=30.0))
        await manager.request(Request("GET", HUB, timeout_s=2.0))
        assert [call.connect_s for call in transport.sent] == [5.5, 1.0]

    act(status(200), story)


# --- what counts ---


@pytest.mark.parametrize("number", [200, 206, 304, 400, 401, 403, 404, 410, 416, 451, 501])
def test_every_answer_of_a_healthy_host_is_an_answer(number: int) -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, _: FakeClock) -> None:
        for _number in range(20):
            assert (await manager.request(GET)).status == number
        assert len(transport.sent) == 20
        assert not manager.is_circuit_open(HUB)

    act(status(number), story)


@pytest.mark.parametrize("number", [500, 502, 503, 504, 522])
def test_bug_an_answer_that_the_host_is_not_well_is_no_success(number: int) -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, _: FakeClock) -> None:
        with pytest.raises(HostUnavailableError, match=f"it answers {number}"):
            await manager.request(GET)
        # Every real attempt counts: had only the call counted, it would take five calls.
        assert len(transport.sent) == 4
        with pytest.raises(HostUnavailableError):
            await manager.request(GET)
        assert manager.is_circuit_open(HUB)
        assert len(transport.sent) == 5

    act(status(number), story)


def test_408_is_tried_again_and_is_no_failure() -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, clock: FakeClock) -> None:
        for _ in range(5):
            assert (await manager.request(GET)).status == 408
            clock.advance(11.0)
        assert len(transport.sent) == 20
        assert not manager.is_circuit_open(HUB)

    act(status(408), story)


def test_429_pauses_the_host_and_is_no_failure() -> None:
    waits: list[Wait] = []

    async def story(manager: NetworkManager, transport: FakeTransport, _: FakeClock) -> None:
        for _number in range(20):
            with pytest.raises(RateLimitedError) as caught:
                await manager.request(GET)
            assert caught.value.retry_at is not None
        assert not manager.is_circuit_open(HUB)
        assert len(transport.sent) <= 4 * 20

    act(status(429, retry_after="7"), story, on_wait=waits.append)
    assert Wait(HUB, "", 7.0, "refused") in waits


def test_429_that_would_pass_the_deadline_is_told_at_once() -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, clock: FakeClock) -> None:
        for _number in range(3):
            with pytest.raises(RateLimitedError) as caught:
                await manager.request(GET)
            assert caught.value.retry_at == clock.wall() + 300
        assert len(transport.sent) == 1
        assert clock.slept in ([], [0.0])

    act(status(429, retry_after="300"), story)


def test_after_the_pause_the_call_is_made() -> None:
    answers = iter([429, 200])

    def script(call: Call) -> Response:
        return Response(next(answers), call.url, {"retry-after": "7"})

    async def story(manager: NetworkManager, _: FakeTransport, clock: FakeClock) -> None:
        assert (await manager.request(GET)).status == 200
        assert sum(clock.slept) == 7

    act(script, story)


def test_503_with_a_time_is_waited_for_if_there_is_time() -> None:
    answers = iter([503, 200, 503])

    def script(call: Call) -> Response:
        return Response(next(answers), call.url, {"retry-after": "40"})

    async def story(manager: NetworkManager, _: FakeTransport, clock: FakeClock) -> None:
        assert (await manager.request(GET)).status == 200
        assert clock.slept == [40.0]
        with pytest.raises(HostUnavailableError) as caught:
            await manager.request(Request("GET", GET.url, deadline_s=30.0))
        assert caught.value.retry_at == clock.wall() + 40

    act(script, story)


def test_what_may_not_be_sent_twice_is_sent_once() -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, _: FakeClock) -> None:
        with pytest.raises(HostUnavailableError):
            await manager.request(Request("POST", f"{HUB}/x", json={}, idempotent=False))
        assert len(transport.sent) == 1

    act(broken(), story)


def test_a_certificate_that_is_not_trusted_is_not_asked_again() -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, _: FakeClock) -> None:
        with pytest.raises(HostUnavailableError, match="certificate"):
            await manager.request(GET)
        assert len(transport.sent) == 1

    act(lambda _: ExchangeError(Reason.DISTRUSTED, "its certificate is not trusted"), story)


def test_bug_a_cancelled_call_counts_for_nothing_and_gives_its_place_back() -> None:
    class Hanging(FakeTransport):
        async def exchange(self, call: Call) -> Response:
            self.sent.append(call)
            await asyncio.Event().wait()
            raise AssertionError

    async def main() -> None:
        transport = Hanging(status(200))
        async with NetworkManager(transport=transport) as manager:
            for _ in range(20):
                tasks = [asyncio.create_task(manager.request(GET)) for _ in range(8)]
                await asyncio.sleep(0.001)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            assert len(transport.sent) == 20 * 5
            assert manager.status().origins[0].state is CircuitState.CLOSED
            assert manager.status().origins[0].cause == ""

    asyncio.run(main())


def test_a_time_out_is_a_failure_but_our_own_deadline_is_none() -> None:
    class Hanging(FakeTransport):
        async def exchange(self, call: Call) -> Response:
            self.sent.append(call)
            await asyncio.Event().wait()
            raise AssertionError

    async def main() -> None:
        clock = FakeClock()
        transport = Hanging(status(200))
        async with NetworkManager(
            transport=transport, clock=clock, wall=clock.wall, sleep=clock.sleep
        ) as manager:
            request = Request("GET", GET.url, timeout_s=0.02)
            with pytest.raises(HostUnavailableError, match=r"no whole answer within 0\.02 s"):
                await manager.request(request)
            assert len(transport.sent) == 4
            clock.advance(60.0)
            # The wait for the second attempt leaves no time for a whole one.
            request = Request("GET", GET.url, timeout_s=0.4, deadline_s=0.42)
            with pytest.raises(HostUnavailableError):
                await manager.request(request)

    asyncio.run(main())


# --- no network at all ---


def test_offline_touches_nothing(tmp_path: Path) -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, _: FakeClock) -> None:
        began = time.perf_counter()
        with pytest.raises(OfflineError):
            await manager.request(GET)
        assert time.perf_counter() - began < 0.05
        assert transport.sent == []
        assert manager.status().is_offline

    act(status(200), story, offline=True, state_folder=tmp_path / "state")
    assert list(tmp_path.iterdir()) == []


def test_two_hosts_that_cannot_be_reached_mean_that_we_are_offline(tmp_path: Path) -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, clock: FakeClock) -> None:
        for number in range(1, 6):
            with pytest.raises(HostUnavailableError):
                await manager.request(GET)
            assert len(transport.sent) == number  # nobody waits for a second attempt
        assert manager.is_circuit_open(HUB)
        with pytest.raises(OfflineError, match=r"hub\.example and cdn\.example"):
            await manager.request(Request("GET", f"{CDN}/x"))
        sent = len(transport.sent)
        began = time.perf_counter()
        for number in range(10):
            with pytest.raises(OfflineError):
                await manager.request(Request("GET", f"https://host{number}.example/"))
        assert time.perf_counter() - began < 0.05
        assert len(transport.sent) == sent
        assert not manager.is_circuit_open(HUB)  # it was not the fault of this host
        assert not manager.is_circuit_open(CDN)
        assert 0 < manager.status().offline_s <= 15
        # One more failure after that time is enough to be sure again.
        clock.advance(16.0)
        with pytest.raises(OfflineError):
            await manager.request(GET)
        assert len(transport.sent) == sent + 1
        # And one answer is enough to be back.
        clock.advance(16.0)
        transport.script = status(200)
        assert (await manager.request(GET)).status == 200
        assert (await manager.request(Request("GET", f"{CDN}/x"))).status == 200

    act(unreachable, story, state_folder=tmp_path)
    assert "hub.example" not in (tmp_path / "circuits.json").read_text()


def test_a_host_that_did_answer_is_asked_again_when_it_cannot_be_reached() -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, _: FakeClock) -> None:
        await manager.request(GET)
        transport.script = unreachable
        with pytest.raises(HostUnavailableError):
            await manager.request(GET)
        assert len(transport.sent) == 1 + 4

    act(status(200), story)


def test_one_host_without_a_name_is_that_host_only() -> None:
    def script(call: Call) -> Response | ExchangeError:
        return Response(200, call.url) if call.url.startswith(CDN) else unreachable(call)

    async def story(manager: NetworkManager, _: FakeTransport, __: FakeClock) -> None:
        for _number in range(5):
            with pytest.raises(HostUnavailableError):
                await manager.request(GET)
            assert (await manager.request(Request("GET", f"{CDN}/x"))).status == 200
        assert manager.is_circuit_open(HUB)

    act(script, story)


def test_this_machine_is_reached_without_a_network() -> None:
    def script(call: Call) -> Response | ExchangeError:
        return Response(200, call.url) if "127.0.0.1" in call.url else unreachable(call)

    async def story(manager: NetworkManager, _: FakeTransport, __: FakeClock) -> None:
        for host in (HUB, CDN):
            with pytest.raises((OfflineError, HostUnavailableError)):
                await manager.request(Request("GET", host))
        assert (await manager.request(Request("GET", "http://127.0.0.1:1/x"))).status == 200
        with pytest.raises(OfflineError):
            await manager.request(GET)

    act(script, story)


# --- what is noted between runs ---


def test_an_open_circuit_outlives_the_run(tmp_path: Path) -> None:
    clock = FakeClock()

    async def first(manager: NetworkManager, _: FakeTransport, __: FakeClock) -> None:
        for _number in range(2):
            with pytest.raises(HostUnavailableError):
                await manager.request(GET)

    async def second(manager: NetworkManager, transport: FakeTransport, _: FakeClock) -> None:
        before = manager.status().origins
        assert [(one.origin, one.state) for one in before] == [(HUB, CircuitState.OPEN)]
        with pytest.raises(HostUnavailableError) as caught:
            await manager.request(GET)
        assert caught.value.cause == "the connection broke"
        assert transport.sent == []

    async def third(manager: NetworkManager, _: FakeTransport, __: FakeClock) -> None:
        for _number in range(2):
            assert (await manager.request(GET)).status == 200

    act(broken(), first, clock=clock, state_folder=tmp_path)
    act(status(200), second, clock=clock, state_folder=tmp_path)
    act(status(200), third, clock=clock, state_folder=tmp_path, retry_now=True)

    async def fourth(manager: NetworkManager, _: FakeTransport, __: FakeClock) -> None:
        assert manager.status().origins == ()

    act(status(200), fourth, clock=clock, state_folder=tmp_path)


def test_healthy_hosts_write_nothing(tmp_path: Path) -> None:
    async def story(manager: NetworkManager, _: FakeTransport, __: FakeClock) -> None:
        for _number in range(10):
            await manager.request(GET)

    act(status(404), story, state_folder=tmp_path / "state")
    assert not (tmp_path / "state").exists()


# --- addresses ---


@pytest.mark.parametrize(
    "url",
    [
        "http://hub.example/x",
        "http://10.0.0.1/x",
        "http://x.localhost/",
        "ftp://hub.example/x",
        "file:///etc/passwd",
        "hub.example/x",
        "https://",
        "https://user:secret@hub.example/",
        "https://hub.example:99999/",
        "https://[::1/",
        "",
    ],
)
def test_addresses_that_are_not_asked(url: str) -> None:
    async def story(manager: NetworkManager, transport: FakeTransport, _: FakeClock) -> None:
        with pytest.raises(AnswerRefusedError) as caught:
            await manager.request(Request("GET", url))
        assert "secret" not in str(caught.value)
        assert transport.sent == []

    act(status(200), story)


@pytest.mark.parametrize("host", ["127.0.0.1:8", "localhost:8", "[::1]:8"])
def test_plain_http_is_for_this_machine(host: str) -> None:
    async def story(manager: NetworkManager, _: FakeTransport, __: FakeClock) -> None:
        assert (await manager.request(Request("GET", f"http://{host}/"))).status == 200

    act(status(200), story)


def test_the_library_behind_it_is_loaded_with_the_first_call_only() -> None:
    program = """
import sys
from modelcellar.network.manager import NetworkManager
NetworkManager(offline=True).status()
assert not {"httpx", "httpcore", "anyio", "h2"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_closed_manager_makes_no_calls() -> None:
    async def main() -> None:
        manager = NetworkManager(transport=FakeTransport(status(200)))
        await manager.aclose()
        await manager.aclose()
        with pytest.raises(RuntimeError):
            await manager.request(GET)

    asyncio.run(main())
