"""Bytes of any number over real connections on the loopback, from servers that go wrong."""

import asyncio
import errno
import gzip
import logging
import random
import signal
import socket
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from modelcellar.download_records import Patience
from modelcellar.errors import (
    AnswerRefusedError,
    HostUnavailableError,
    OfflineError,
    RateLimitedError,
    TransferBrokenError,
)
from modelcellar.network.bulk import Pace, Receive, Sink
from modelcellar.network.http import Request, Response
from modelcellar.network.manager import NetworkManager
from modelcellar.network.pulling import Puller
from modelcellar.network.secret import Secret
from tests.support.fake_hub import (
    Chunked,
    Cut,
    Drip,
    FakeHub,
    FakeRepo,
    Fault,
    GzipAnyway,
    Longer,
    NoAnswer,
    Redirect,
    RedirectChain,
    Stall,
    Status,
    Token,
    TooMany,
    Without,
)
from tests.support.fake_hub.faults import ERROR_PAGE
from tests.support.loopback import Answer, Handler, Loopback, certificate, serve

BIG = random.Random(8).randbytes(3_000_001)
SMALL = b'{"model_type": "toy"}\n'
SHORT = Patience(silence_s=0.2, floor_bytes_per_s=100_000.0, window_s=0.3)
PATIENCE = Patience()
TOKEN = "hf_CANARYcanaryCANARYcanary"


@dataclass
class Got:
    """A receiver that keeps what comes, and notes in which thread."""

    wants: bool = True
    answers: list[Response] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    pieces: int = 0
    threads: set[int] = field(default_factory=set)

    def __call__(self, answer: Response) -> Sink | None:
        self.answers.append(answer)
        self.threads.add(threading.get_ident())
        return self.take if self.wants else None

    def take(self, piece: bytes) -> None:
        assert type(piece) is bytes
        assert piece
        self.pieces += 1
        self.body += piece
        self.threads.add(threading.get_ident())


Story = Callable[[NetworkManager, FakeHub], Awaitable[None]]


def act(story: Story, **options: Any) -> FakeHub:
    """Let ``story`` happen between a manager and a Hub with one repository."""
    repo = FakeRepo("acme/toy", {"model.safetensors": BIG, "config.json": SMALL})
    with FakeHub([repo]) as fake:

        async def main() -> None:
            async with NetworkManager(**options) as manager:
                await story(manager, fake)

        asyncio.run(main())
        assert_no_thread_is_left()
        return fake


def assert_no_thread_is_left() -> None:
    """Those of the fake are joined by it; those of transfers end by themselves."""
    ends_at = time.monotonic() + 2.0
    while any("(run)" in one.name for one in threading.enumerate()):
        assert time.monotonic() < ends_at
        time.sleep(0.005)


def file_of(fake: FakeHub, name: str = "model.safetensors", **headers: str | Secret) -> Request:
    url = f"{fake.hub_url}/acme/toy/resolve/main/{name}"
    return Request("GET", url, {name.replace("_", "-"): text for name, text in headers.items()})


async def broken(
    manager: NetworkManager, request: Request, got: Got, patience: Patience = SHORT
) -> TransferBrokenError:
    with pytest.raises(TransferBrokenError) as caught:
        await manager.pull(request, got, patience=patience)
    assert_ours(caught.value)
    return caught.value


def assert_ours(error: BaseException | None) -> None:
    """What lies behind it is ours as well: those of libraries may quote what was sent."""
    while error is not None:
        assert type(error).__module__.startswith("modelcellar.")
        error = error.__context__


# --- what comes ---


def test_a_whole_file_over_a_redirect() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        got = Got()
        answer = await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert bytes(got.body) == BIG
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-length"] == str(len(BIG))
        assert answer.url.startswith(fake.cdn_url)
        assert got.answers == [answer]
        assert len(got.threads) == 1
        assert threading.get_ident() not in got.threads

    fake = act(story)
    assert [entry.site for entry in fake.log.entries] == ["hub", "cdn"]


def test_a_small_file_over_a_relative_redirect_on_one_connection() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        for _ in range(3):
            got = Got()
            await manager.pull(file_of(fake, "config.json"), got, patience=PATIENCE)
            assert bytes(got.body) == SMALL

    log = act(story).log
    assert len(log.entries) == 6
    assert {entry.connection for entry in log.entries} == {1}


def test_a_range() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        got = Got()
        answer = await manager.pull(
            file_of(fake, range="bytes=1000-2000999"), got, patience=PATIENCE
        )
        assert answer.status == 206
        assert answer.headers["content-range"] == f"bytes 1000-2000999/{len(BIG)}"
        assert bytes(got.body) == BIG[1000:2001000]

    act(story)


def test_connections_are_used_again_by_the_next_transfer() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        for start in range(0, 2_000_000, 500_000):
            got = Got()
            part = file_of(fake, range=f"bytes={start}-{start + 499_999}")
            await manager.pull(part, got, patience=PATIENCE)
            assert bytes(got.body) == BIG[start : start + 500_000]

    log = act(story).log
    assert len(log.entries) == 8
    assert {(entry.site, entry.connection) for entry in log.entries} == {("hub", 1), ("cdn", 1)}


def test_a_connection_that_the_host_closed_meanwhile_is_not_used() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        await manager.pull(file_of(fake), Got(), patience=PATIENCE)
        with fake.chaos.refused("hub"), fake.chaos.refused("cdn"):
            pass
        got = Got()
        await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert bytes(got.body) == BIG

    act(story)


def test_many_at_the_same_time() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        gots = [Got() for _ in range(16)]
        size = len(BIG) // 16 + 1
        parts = [
            file_of(fake, range=f"bytes={number * size}-{(number + 1) * size - 1}")
            for number in range(16)
        ]
        calls = [
            manager.pull(part, got, patience=PATIENCE)
            for part, got in zip(parts, gots, strict=True)
        ]
        whole, *_ = await asyncio.gather(
            manager.request(file_of(fake)), *calls, manager.request(file_of(fake, "config.json"))
        )
        assert b"".join(bytes(got.body) for got in gots) == BIG
        assert whole.body == BIG

    act(story)


def test_the_body_is_handed_on_as_it_came() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(GzipAnyway(), host="cdn")
        got = Got()
        answer = await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(bytes(got.body)) == BIG

    log = act(story).log
    assert {entry.headers["accept-encoding"] for entry in log.entries} == {"identity"}


@pytest.mark.parametrize("fault", [Chunked(), Without("Content-Length")])
def test_a_body_without_a_length(fault: Fault) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(fault, host="cdn")
        got = Got()
        answer = await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert "content-length" not in answer.headers
        assert bytes(got.body) == BIG

    act(story)


def test_nothing_comes_after_the_length_that_was_said() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        for name, content in (("model.safetensors", BIG), ("config.json", SMALL)):
            rule = fake.chaos.add(Longer(), path=f"*{name}", times=None)
            got = Got()
            await manager.pull(file_of(fake, name), got, patience=PATIENCE)
            assert bytes(got.body) == content
            fake.chaos.remove(rule)
        got = Got()
        await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert bytes(got.body) == BIG

    act(story)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 416])
def test_what_the_host_refuses_is_for_the_receiver(status: int) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Status(status, headers={"X-Error-Code": "Some"}), times=None)
        for wants in (True, False) * 3:
            got = Got(wants)
            answer = await manager.pull(file_of(fake), got, patience=PATIENCE)
            assert (answer.status, answer.headers["x-error-code"]) == (status, "Some")
            assert got.answers == [answer]
            assert bytes(got.body) == (ERROR_PAGE.format(status).encode() if wants else b"")
        assert not manager.is_circuit_open(fake.hub_url)

    log = act(story).log
    assert {entry.connection for entry in log.entries} == {1}


def test_a_big_body_that_is_not_wanted_is_not_read() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        answer = await manager.pull(file_of(fake), Got(wants=False), patience=PATIENCE)
        assert answer.status == 200
        got = Got()
        await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert bytes(got.body) == BIG

    log = act(story).log
    assert [entry.connection for entry in log.of("cdn")] == [1, 2]
    assert [entry.connection for entry in log.of("hub")] == [1, 1]


def test_only_a_get_is_pulled() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        for request in (Request("HEAD", fake.hub_url), Request("GET", fake.hub_url, json={"a": 1})):
            with pytest.raises(ValueError, match="GET"):
                await manager.pull(request, Got(), patience=PATIENCE)

    assert not act(story).log.entries


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
        error = await broken(manager, file_of(fake), got)
        assert 0.2 <= time.monotonic() - began < 2.0
        assert error.cause == "nothing came for 0.2 s"
        assert bytes(got.body) == BIG[:1_000_000]

    act(story)


def test_a_body_that_drips_below_every_time_limit() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Drip(100, 0.02), host="cdn")
        got = Got()
        began = time.monotonic()
        error = await broken(manager, file_of(fake), got)
        assert 0.3 <= time.monotonic() - began < 2.0
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
        assert time.monotonic() - began < 1.0
        assert_no_thread_is_left()
        assert not got.answers

    act(story)


def test_a_port_where_nobody_listens() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        with fake.chaos.refused("hub"), pytest.raises(HostUnavailableError) as caught:
            await manager.pull(file_of(fake), Got(), patience=PATIENCE)
        assert caught.value.cause == "it refuses connections"

    act(story)


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


# --- where it may lead ---


def test_what_is_secret_stays_with_its_origin(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.add_token(TOKEN, Token("somebody"))
        signed: dict[str, Any] = {"authorization": Secret(f"Bearer {TOKEN}"), "cookie": "id=1"}
        await manager.pull(file_of(fake, **signed), Got(), patience=PATIENCE)
        fake.chaos.add(Cut(10), host="cdn")
        error = await broken(manager, file_of(fake, **signed), Got())
        fake.chaos.add(NoAnswer(), host="cdn")
        with pytest.raises(HostUnavailableError) as caught:
            await manager.pull(file_of(fake, **signed), Got(), patience=PATIENCE)
        for one in (error, caught.value):
            assert "Signature" not in "".join(traceback.format_exception(one))

    log = act(story).log
    assert {entry.authorization for entry in log.of("hub")} == {f"Bearer {TOKEN}"}
    assert len(log.of("cdn")) == 3
    assert log.leaks == ()
    assert not [entry for entry in log.of("cdn") if "cookie" in entry.headers]
    assert TOKEN not in caplog.text
    assert "Signature" not in caplog.text


@pytest.mark.parametrize(
    ("location", "match"),
    [
        ("http://example.com/x", "not encrypted"),
        ("http://user:secret@127.0.0.1/x", "password"),
        ("//[::1/", "no address"),
    ],
)
def test_redirects_that_are_not_followed(location: str, match: str) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(Redirect(location))
        got = Got()
        with pytest.raises(AnswerRefusedError, match=match) as caught:
            await manager.pull(file_of(fake), got, patience=PATIENCE)
        assert "secret" not in str(caught.value)
        assert not got.answers

    act(story)


def test_redirects_without_an_end() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        fake.chaos.add(RedirectChain(), times=None)
        with pytest.raises(AnswerRefusedError, match="more than 10 redirects"):
            await manager.pull(file_of(fake), Got(), patience=PATIENCE)

    assert len(act(story).log.entries) == 11


def test_a_redirect_that_is_not_to_be_followed_is_an_answer() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        request = replace(file_of(fake), follow_redirects=False)
        got = Got()
        answer = await manager.pull(request, got, patience=PATIENCE)
        assert answer.status == 302
        assert got.answers == [answer]

    assert len(act(story).log.entries) == 1


@pytest.mark.parametrize("url", ["http://example.com/x", "https://a:b@example.com/", "x"])
def test_addresses_that_are_not_asked(url: str) -> None:
    async def story(manager: NetworkManager, _: FakeHub) -> None:
        with pytest.raises(AnswerRefusedError):
            await manager.pull(Request("GET", url), Got(), patience=PATIENCE)

    act(story)


@pytest.mark.parametrize("header", ["two\r\nlines", "snow\u2603"])
def test_what_cannot_be_sent(header: str) -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        with pytest.raises(AnswerRefusedError) as caught:
            await manager.pull(file_of(fake, x_own=header), Got(), patience=PATIENCE)
        assert "two" not in str(caught.value)
        assert_ours(caught.value)

    assert not act(story).log.entries


def test_offline() -> None:
    async def story(manager: NetworkManager, fake: FakeHub) -> None:
        with pytest.raises(OfflineError):
            await manager.pull(file_of(fake), Got(), patience=PATIENCE)

    assert not act(story, offline=True).log.entries


def test_hosts_that_are_not_found_mean_that_we_are_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def main() -> None:
        first = Request("GET", "https://one.invalid/x")
        async with NetworkManager() as manager:
            with pytest.raises(HostUnavailableError) as caught:
                await manager.pull(first, Got(), patience=PATIENCE)
            assert caught.value.cause == "its name was not found"
            with pytest.raises(OfflineError):
                await manager.pull(Request("GET", "https://two.invalid/"), Got(), patience=PATIENCE)
            with pytest.raises(OfflineError):
                await manager.request(first)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    asyncio.run(main())


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
        assert time.monotonic() - began < 0.5
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
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        is_over = True
        assert_no_thread_is_left()
        assert not late
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
        assert time.monotonic() - began < 0.5
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
    assert time.monotonic() - began < 2.0
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
        assert time.monotonic() - began < 1.0
        *results, unopened = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, TransferBrokenError) for one in results)
        assert isinstance(unopened, TransferBrokenError)
        assert not last.answers
        assert {one.cause for one in manager.status().origins} == {""}
        with pytest.raises(RuntimeError, match="closed"):
            await manager.pull(file_of(fake), last, patience=PATIENCE)

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


# --- encrypted ---


def encrypted(
    folder: Path, handler: Handler, story: Callable[[NetworkManager, Loopback], Awaitable[None]]
) -> Loopback:
    server_tls, client_tls = certificate(folder)

    async def main() -> Loopback:
        async with (
            serve(handler, host="localhost", tls=server_tls) as server,
            NetworkManager(puller=Puller(trust=client_tls)) as manager,
        ):
            await story(manager, server)
            return server

    return asyncio.run(main())


def test_a_whole_body_over_tls(tmp_path: Path) -> None:
    async def story(manager: NetworkManager, server: Loopback) -> None:
        for _ in range(3):
            got = Got()
            await manager.pull(Request("GET", f"{server.origin}/x"), got, patience=PATIENCE)
            assert bytes(got.body) == BIG
            assert got.pieces < len(BIG) / (16 << 10) / 2  # several records in one piece
            assert len(server.writers) == 1

    server = encrypted(tmp_path, lambda _: Answer(body=BIG), story)
    assert len(server.received) == 3


def test_a_body_over_tls_that_ends_early(tmp_path: Path) -> None:
    async def story(manager: NetworkManager, server: Loopback) -> None:
        got = Got()
        error = await broken(manager, Request("GET", f"{server.origin}/x"), got)
        assert error.cause == f"it ended {len(BIG) - 1_000_000:,} bytes early"
        assert bytes(got.body) == BIG[:1_000_000]

    encrypted(tmp_path, lambda _: Answer(body=BIG, cut_to=1_000_000), story)


def test_a_drip_over_tls_is_cancelled(tmp_path: Path) -> None:
    async def story(manager: NetworkManager, server: Loopback) -> None:
        got = Got()
        request = Request("GET", f"{server.origin}/x")
        task = asyncio.ensure_future(manager.pull(request, got, patience=PATIENCE))
        while len(got.body) < 3:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert_no_thread_is_left()
        assert BIG.startswith(bytes(got.body))

    encrypted(tmp_path, lambda _: Answer(body=BIG[:1000], drip_s=0.02), story)


def test_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    server_tls, _ = certificate(tmp_path)

    async def main() -> None:
        async with (
            serve(lambda _: Answer(), host="localhost", tls=server_tls) as server,
            NetworkManager() as manager,
        ):
            with pytest.raises(HostUnavailableError) as caught:
                await manager.pull(Request("GET", server.origin), Got(), patience=PATIENCE)
            assert caught.value.cause == "its certificate is not trusted"
            assert "SSL_CERT_FILE" in caught.value.hint

    asyncio.run(main())


# --- the rate ---


def test_what_is_too_slow() -> None:
    pace = Pace(Patience(floor_bytes_per_s=100.0, window_s=10.0))
    assert not pace.note(999, 9.9)
    assert pace.note(0, 0.1)
    assert not pace.note(0, 9.9)  # another window
    assert not pace.note(1000, 0.1)
    assert pace.note(1999, 20.0)
    assert not pace.note(2000, 20.0)
