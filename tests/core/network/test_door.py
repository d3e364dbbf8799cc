"""The whole door with real servers on the loopback: hosts that die, drip, and come back."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from modelcellar.errors import AnswerRefusedError, HostUnavailableError
from modelcellar.network.circuit_breaker import CircuitState
from modelcellar.network.http import Request, Response
from modelcellar.network.manager import NetworkManager
from tests.support.clock import FakeClock
from tests.support.loopback import Answer, Handler, Loopback, serve

LOOK_UPS = 1000


def act(
    handler: Handler,
    story: Callable[[NetworkManager, Loopback, FakeClock], Awaitable[None]],
    folder: Path | None = None,
) -> None:
    async def main() -> None:
        clock = FakeClock()
        async with (
            serve(handler) as server,
            NetworkManager(
                state_folder=folder, clock=clock, wall=clock.wall, sleep=clock.sleep
            ) as manager,
        ):
            await story(manager, server, clock)

    asyncio.run(main())


def broken_off(_: object) -> Answer:
    return Answer(body=b"half", cut_to=2)


@pytest.mark.parametrize("is_concurrent", [True, False])
def test_a_dead_host_gets_five_requests_and_is_seen_to_come_back(
    is_concurrent: bool, tmp_path: Path
) -> None:
    async def story(manager: NetworkManager, server: Loopback, clock: FakeClock) -> None:
        request = Request("GET", f"{server.origin}/x")

        async def ask() -> Response | HostUnavailableError:
            try:
                return await manager.request(request)
            except HostUnavailableError as error:
                return error

        began = time.perf_counter()
        if is_concurrent:
            results = await asyncio.gather(*(ask() for _ in range(LOOK_UPS)))
        else:
            results = [await ask() for _ in range(LOOK_UPS)]
        assert time.perf_counter() - began < 2.0
        assert all(isinstance(result, HostUnavailableError) for result in results)
        assert len(server.received) == 5
        (now,) = manager.status().origins
        assert (now.origin, now.state) == (server.origin, CircuitState.OPEN)
        # It is still dead at the first probe, and well at the second.
        clock.advance(37.0)
        assert isinstance(await ask(), HostUnavailableError)
        assert len(server.received) == 6
        server.handler = lambda _: Answer(body=b"well")
        clock.advance(73.0)
        assert isinstance(await ask(), Response)
        results = await asyncio.gather(*(ask() for _ in range(50)))
        assert all(isinstance(result, Response) for result in results)
        assert len(server.received) == 6 + 1 + 50

    act(broken_off, story, tmp_path)


def test_a_host_whose_port_is_closed_and_opened_again() -> None:
    async def story(manager: NetworkManager, server: Loopback, clock: FakeClock) -> None:
        request = Request("GET", f"{server.origin}/x")
        assert (await manager.request(request)).status == 200
        await server.stop()
        while not manager.is_circuit_open(server.origin):
            with pytest.raises(HostUnavailableError) as caught:
                await manager.request(request)
            clock.advance(11.0)
        assert caught.value.cause == "it refuses connections"
        await server.start()
        clock.advance(37.0)
        assert (await manager.request(request)).status == 200
        assert (await manager.request(request)).status == 200

    act(lambda _: Answer(), story)


def test_a_drip_ends_with_the_time_limit_of_the_attempt() -> None:
    async def story(manager: NetworkManager, server: Loopback, _: FakeClock) -> None:
        request = Request("GET", f"{server.origin}/x", timeout_s=0.2)
        began = time.perf_counter()
        with pytest.raises(HostUnavailableError, match=r"no whole answer within 0\.2 s"):
            await manager.request(request)
        assert time.perf_counter() - began < 4
        assert len(server.received) == 4

    act(lambda _: Answer(body=bytes(10_000), drip_s=0.05), story)


def test_a_flaky_host_is_asked_again() -> None:
    answers = iter([Answer(503), Answer(body=b"half", cut_to=2), Answer(body=b"whole")])

    async def story(manager: NetworkManager, server: Loopback, _: FakeClock) -> None:
        response = await manager.request(Request("GET", f"{server.origin}/x"))
        assert response.body == b"whole"

    act(lambda _: next(answers), story)


def test_an_answer_that_is_too_long_is_refused_and_says_nothing_against_the_host() -> None:
    async def story(manager: NetworkManager, server: Loopback, _: FakeClock) -> None:
        for _number in range(6):
            with pytest.raises(AnswerRefusedError, match="longer than 10 bytes"):
                await manager.request(Request("GET", f"{server.origin}/x", max_bytes=10))
        assert len(server.received) == 6
        assert not manager.is_circuit_open(server.origin)

    act(lambda _: Answer(body=bytes(11)), story)


def test_redirects_can_be_left_alone() -> None:
    async def story(manager: NetworkManager, server: Loopback, _: FakeClock) -> None:
        request = Request("HEAD", f"{server.origin}/x", follow_redirects=False)
        response = await manager.request(request)
        assert (response.status, response.headers["location"]) == (302, "/y")

    act(lambda _: Answer(302, {"Location": "/y"}), story)


def test_closing_leaves_nothing_open() -> None:
    async def story(manager: NetworkManager, server: Loopback, _: FakeClock) -> None:
        request = Request("GET", f"{server.origin}/x")
        await asyncio.gather(*(manager.request(request) for _ in range(20)))
        await manager.aclose()
        await asyncio.sleep(0.05)
        assert server.writers == set()

    act(lambda _: Answer(), story)
