"""Transfers that do not come to their end: servers that go wrong, and ends of our own."""

import asyncio
import errno
import signal
import socket
import time
from dataclasses import replace

import pytest

from modelcellar.download_records import Patience
from modelcellar.errors import HostUnavailableError, RateLimitedError, TransferBrokenError
from modelcellar.network.bulk import Receive, Sink
from modelcellar.network.http import Request, Response
from modelcellar.network.manager import NetworkManager
from tests.core.network.pulls import (
    BIG,
    PATIENCE,
    SMALL,
    Got,
    act,
    assert_no_thread_is_left,
    assert_ours,
    broken,
    file_of,
)
from tests.support.clock import FakeClock
from tests.support.fake_hub import (
    Chunked,
    Cut,
    Do,
    Drip,
    FakeHub,
    Fault,
    NoAnswer,
    Stall,
    Status,
    TooMany,
)
from tests.support.loopback import Answer, serve

# --- what goes wrong ---


@pytest.mark.parametrize("after", [0, 1, 64 << 10, 2_999_999])
@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_that_ends_in_the_body(after: int, reset: bool) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Cut(after, reset=reset), host="cdn")
        got = Got()
        error = await broken(manager, file_of(fake), got)
        assert error.origin == fake.cdn_url
        assert ("early" in error.cause) or (reset and "broke" in error.cause)
        assert BIG.startswith(bytes(got.body))
        assert len(got.body) == after or (reset and len(got.body) < after)
        again = Got()
        await manager.pull(file_of(fake), again, patience=PATIENCE)
        assert bytes(again.body) == BIG

    act(story)


def test_chunks_that_end_early() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Chunked(), Cut(1_500_000), host="cdn")
        got = Got()
        error = await broken(manager, file_of(fake), got)
        assert error.cause == "it ended early"
        assert BIG.startswith(bytes(got.body))

    act(story)


def test_a_body_that_stalls() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Stall(30.0, 1_000_000), host="cdn")
        got = Got()
        began = time.monotonic()
        error = await broken(manager, file_of(fake), got, Patience(silence_s=0.2))
        assert 0.2 <= time.monotonic() - began < 5.0
        assert error.cause == "nothing came for 0.2 s"
        assert bytes(got.body) == BIG[:1_000_000]

    act(story)


def test_a_body_that_drips_below_every_time_limit() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Drip(100, 0.02), host="cdn")
        got = Got()
        began = time.monotonic()
        quick = Patience(silence_s=5.0, floor_bytes_per_s=100_000.0, window_s=0.3)
        error = await broken(manager, file_of(fake), got, quick)
        assert 0.3 <= time.monotonic() - began < 5.0
        assert error.cause == "it came more slowly than 100,000 bytes a second"
        assert 100 <= len(got.body) < 10_000

    act(story)


def test_a_slow_sink_is_not_the_fault_of_the_host() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        got = Got()

        def slow(piece: bytes) -> None:
            if got.pieces < 3:
                time.sleep(0.2)  # longer than the whole window, three times
            got.take(piece)

        quick = Patience(silence_s=5.0, floor_bytes_per_s=3_000_000.0, window_s=0.15)
        await manager.pull(file_of(fake), lambda _: slow, patience=quick)
        assert bytes(got.body) == BIG

    act(story)


@pytest.mark.parametrize("fault", [NoAnswer(), NoAnswer(reset=False)])
def test_a_host_that_ends_the_connection_before_the_headers(fault: Fault) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(fault, host="cdn")
        got = Got()
        with pytest.raises(HostUnavailableError) as caught:
            await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert caught.value.origin == fake.cdn_url
        assert_ours(caught.value)
        assert not got.answers

    assert len(act(story).log.of("cdn")) == 1


def test_headers_that_come_too_late() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Stall(30.0, None), host="hub")
        got = Got()
        began = time.monotonic()
        with pytest.raises(HostUnavailableError, match="no whole answer within"):
            await manager.pull(replace(file_of(fake), timeout_s=0.2), got, patience=PATIENCE)
        assert time.monotonic() - began < 5.0
        assert_no_thread_is_left()
        assert not got.answers

    act(story)


def test_a_port_where_nobody_listens() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        with fake.chaos.refused("hub"), pytest.raises(HostUnavailableError) as caught:
            await manager.pull(file_of(fake), Got(), patience=PATIENCE)
        assert caught.value.cause == "it refuses connections"

    act(story)


def test_a_host_that_takes_the_connection_and_says_nothing() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            request = Request("GET", f"https://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.6)
            async with NetworkManager() as manager:
                with pytest.raises(HostUnavailableError) as caught:
                    await manager.pull(request, Got(), patience=PATIENCE)
                assert caught.value.cause == "connecting took too long"

    began = time.monotonic()
    asyncio.run(main())
    assert 0.3 <= time.monotonic() - began < 5.0
    assert_no_thread_is_left()


@pytest.mark.parametrize("status", [103, 199])
def test_what_is_no_answer(status: int) -> None:
    async def main() -> None:
        async with serve(lambda _: Answer(status)) as server, NetworkManager() as manager:
            got = Got()
            with pytest.raises(HostUnavailableError) as caught:
                await manager.pull(Request("GET", server.origin), got, patience=PATIENCE)
            assert caught.value.cause == "it answered with something else"
            assert not got.answers

    asyncio.run(main())


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_host_that_is_not_well(status: int) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Status(status, headers={"Retry-After": "77"}), host="cdn")
        got = Got()
        before = time.time()
        with pytest.raises(HostUnavailableError) as caught:
            await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert caught.value.cause == f"it answers {status}"
        assert caught.value.retry_at is not None
        assert 76 < caught.value.retry_at - before < 79
        assert not got.answers

    act(story)


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [(TooMany.retry_after(77), 77), (TooMany.quota(41, bucket="resolvers"), 42), (TooMany(), 60)],
)
def test_too_many_requests(fault: Fault, seconds: int) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(fault, host="hub")
        got = Got()
        before = time.time()
        with pytest.raises(RateLimitedError) as caught:
            await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert caught.value.retry_at is not None
        assert seconds - 1 < caught.value.retry_at - before < seconds + 2
        assert not got.answers
        # Other calls to the host heed it as well.
        with pytest.raises(RateLimitedError):
            await manager.request(replace(file_of(fake), deadline_s=0.01))
        assert not manager.is_circuit_open(fake.hub_url)

    assert len(act(story).log.entries) == 1


def test_bodies_that_break_again_and_again_open_the_circuit() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Cut(1000), host="cdn", times=None)
        for number in range(5):
            assert not manager.is_circuit_open(fake.cdn_url), number
            await broken(manager, file_of(fake), Got())
        assert manager.is_circuit_open(fake.cdn_url)
        assert not manager.is_circuit_open(fake.hub_url)
        with pytest.raises(HostUnavailableError) as caught:
            await manager.pull(file_of(fake), Got(), patience=PATIENCE)
        assert "early" in caught.value.cause
        assert caught.value.retry_at is not None
        with pytest.raises(HostUnavailableError):
            await manager.request(file_of(fake))

    assert len(act(story).log.of("cdn")) == 5


def test_a_host_that_sends_much_before_a_body_breaks_is_well() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Cut(64 << 10), host="cdn", times=None)
        for _ in range(8):
            await broken(manager, file_of(fake), Got())
        assert not manager.is_circuit_open(fake.cdn_url)

    assert len(act(story).log.of("cdn")) == 8


def test_a_circuit_that_requests_opened_holds_for_transfers() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Status(503), host="hub", times=None)
        calls = [manager.request(file_of(fake)) for _ in range(6)]
        await asyncio.gather(*calls, return_exceptions=True)
        asked = len(fake.log.entries)
        with pytest.raises(HostUnavailableError):
            await manager.pull(file_of(fake), Got(), patience=PATIENCE)
        assert len(fake.log.entries) == asked

    act(story)


# --- how it ends before its end ---


def test_cancelled_in_the_body() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Stall(30.0, 1_000_000), host="cdn")
        got = Got()
        task = asyncio.ensure_future(manager.pull(file_of(fake), got, patience=PATIENCE))
        while len(got.body) < 1_000_000:
            await asyncio.sleep(0.005)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 5.0
        assert_no_thread_is_left()
        assert not manager.is_circuit_open(fake.cdn_url)

    act(story)


def test_cancelled_while_bytes_come() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        got, is_over = Got(), False
        late: list[int] = []

        def sink(piece: bytes) -> None:
            time.sleep(0.02)
            got.take(piece)
            if is_over:
                late.append(len(piece))

        task = asyncio.ensure_future(manager.pull(file_of(fake), lambda _: sink, patience=PATIENCE))
        while not got.body:
            await asyncio.sleep(0.001)
        before = got.pieces
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        is_over = True
        assert_no_thread_is_left()
        assert not late
        assert got.pieces - before <= 1  # what lies in the kernel's buffer is left there
        assert len(got.body) < len(BIG)

    act(story)


def test_cancelled_before_the_headers() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Stall(30.0, None), host="hub")
        got = Got()
        task = asyncio.ensure_future(manager.pull(file_of(fake), got, patience=PATIENCE))
        while not fake.log.entries:
            await asyncio.sleep(0.005)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert_no_thread_is_left()
        assert time.monotonic() - began < 5.0
        assert not got.answers

    act(story)


def test_ctrl_c() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Stall(30.0, 1_000_000), host="cdn")
        got = Got()
        asyncio.get_running_loop().call_later(0.2, signal.raise_signal, signal.SIGINT)
        await manager.pull(file_of(fake), got, patience=PATIENCE)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        act(story)
    assert time.monotonic() - began < 5.0
    assert_no_thread_is_left()


def test_closing_ends_what_is_under_way() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Stall(30.0, 1_000_000), host="cdn", times=None)
        fake.chaos.add(Stall(30.0, None), host="hub", nth=4)
        gots = [Got() for _ in range(3)]
        tasks = [
            asyncio.ensure_future(manager.pull(file_of(fake), got, patience=PATIENCE))
            for got in gots
        ]
        while sum(len(got.body) for got in gots) < 3_000_000:
            await asyncio.sleep(0.005)
        last = Got()
        tasks.append(asyncio.ensure_future(manager.pull(file_of(fake), last, patience=PATIENCE)))
        while len(fake.log.of("hub")) < 4:
            await asyncio.sleep(0.005)
        began = time.monotonic()
        await manager.aclose()
        assert_no_thread_is_left()
        assert time.monotonic() - began < 5.0
        *results, unopened = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, TransferBrokenError) for one in results)
        assert isinstance(unopened, TransferBrokenError)
        assert not last.answers
        assert {one.cause for one in manager.status().origins} == {""}
        with pytest.raises(RuntimeError, match="closed"):
            await manager.pull(file_of(fake), last, patience=PATIENCE)

    act(story)


def test_nothing_begins_after_closing() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        loop = asyncio.get_running_loop()
        closing: list[asyncio.Future[None]] = []

        def close() -> None:
            closing.append(asyncio.ensure_future(manager.aclose()))

        # While the redirect is on its way.
        fake.chaos.add(Do(lambda: loop.call_soon_threadsafe(close)), Stall(0.2, None), host="hub")
        with pytest.raises(TransferBrokenError, match="ended by us"):
            await manager.pull(file_of(fake), Got(), patience=PATIENCE)
        await closing[0]

    assert not act(story).log.of("cdn")


def test_waits_end_with_an_error_after_closing() -> None:
    async def main() -> None:
        is_waiting, go_on = asyncio.Event(), asyncio.Event()

        async def sleep(_: float) -> None:
            is_waiting.set()
            await go_on.wait()
            clock.advance(31.0)

        clock = FakeClock()
        answers = iter([Answer(429, {"Retry-After": "30"})])
        async with serve(lambda _: next(answers)) as server:
            manager = NetworkManager(clock=clock, wall=clock.wall, sleep=sleep)
            request = Request("GET", server.origin)
            with pytest.raises(RateLimitedError):
                await manager.pull(request, Got(), patience=PATIENCE)
            task = asyncio.ensure_future(manager.pull(request, Got(), patience=PATIENCE))
            await is_waiting.wait()
            await manager.aclose()
            go_on.set()
            with pytest.raises(TransferBrokenError, match="ended by us"):
                await task
            assert len(server.received) == 1

    asyncio.run(main())


def test_a_body_that_ends_slowly_is_whole() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Stall(0.35, len(SMALL) - 1), path="*config.json", nth=2)
        got = Got()
        patience = Patience(silence_s=5.0, floor_bytes_per_s=100_000.0, window_s=0.3)
        await manager.pull(file_of(fake, "config.json"), got, patience=patience)
        assert bytes(got.body) == SMALL

    act(story)


def test_a_sink_that_fails() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        full = OSError(errno.ENOSPC, "No space left on device")

        def sink(_: bytes) -> None:
            raise full

        for _ in range(6):
            with pytest.raises(OSError, match="No space") as caught:
                await manager.pull(file_of(fake), lambda _: sink, patience=PATIENCE)
            assert caught.value is full
        assert not manager.is_circuit_open(fake.cdn_url)
        assert {one.cause for one in manager.status().origins} == {""}

    log = act(story).log
    assert [entry.connection for entry in log.of("cdn")] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("error", [TimeoutError("mine"), ConnectionResetError("mine")])
def test_an_error_of_the_receiver_is_not_taken_for_one_of_the_host(error: OSError) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        def receive(_: Response) -> Sink | None:
            raise error

        def sink(_: bytes) -> None:
            raise error

        receivers: tuple[Receive, ...] = (receive, lambda _: sink)
        for one in receivers:
            with pytest.raises(type(error)) as caught:
                await manager.pull(file_of(fake), one, patience=PATIENCE)
            assert caught.value is error

    act(story)
