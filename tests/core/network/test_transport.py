"""Real exchanges with real servers on the loopback, well-behaved and not."""

import asyncio
import errno
import gzip
import itertools
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest

import modelcellar
from modelcellar.network.exchanges import Call, ExchangeError, Reason
from modelcellar.network.failures import failure_of
from modelcellar.network.transport import HttpTransport
from tests.support.http2 import serve_http2
from tests.support.loopback import Answer, Handler, Loopback, certificate, serve

Story = Callable[[Loopback, HttpTransport], Awaitable[None]]


def act(handler: Handler, story: Story) -> Loopback:
    async def main() -> Loopback:
        async with serve(handler) as server:
            transport = HttpTransport()
            try:
                await story(server, transport)
            finally:
                await transport.aclose()
            return server

    return asyncio.run(main())


async def failure(transport: HttpTransport, call: Call) -> ExchangeError:
    with pytest.raises(ExchangeError) as caught:
        await transport.exchange(call)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None  # the library's error would carry the request
    return caught.value


def test_what_is_sent_and_what_comes_back() -> None:
    async def story(server: Loopback, transport: HttpTransport) -> None:
        call = Call("POST", f"{server.origin}/a?b=c", {"X-Own": "yes"}, {"name": "ä"})
        response = await transport.exchange(call)
        assert (response.status, response.json()) == (201, {"fine": True})
        assert response.url == call.url
        assert response.headers["x-answer"] == "1"
        await transport.exchange(Call("GET", f"{server.origin}/again"))

    answer = Answer(201, {"X-Answer": "1", "Set-Cookie": "id=1; Path=/"}, b'{"fine": true}')
    first, second = act(lambda _: answer, story).received
    assert (first.method, first.target, first.body) == ("POST", "/a?b=c", b'{"name": "\\u00e4"}')
    assert first.headers["content-type"] == "application/json"
    assert first.headers["x-own"] == "yes"
    agent = first.headers["user-agent"]
    assert agent.startswith(f"modelcellar/{modelcellar.__version__}; python/3.")
    assert "; httpx/" in agent
    assert "cookie" not in second.headers


def test_cookies_are_not_shown_to_anybody() -> None:
    async def story(server: Loopback, transport: HttpTransport) -> None:
        response = await transport.exchange(Call("GET", server.origin))
        assert "set-cookie" not in response.headers

    act(lambda _: Answer(headers={"Set-Cookie": "id=1"}), story)


def test_redirects_are_answers() -> None:
    async def story(server: Loopback, transport: HttpTransport) -> None:
        response = await transport.exchange(Call("GET", server.origin))
        assert (response.status, response.headers["location"]) == (302, "/elsewhere")

    assert len(act(lambda _: Answer(302, {"Location": "/elsewhere"}), story).received) == 1


@pytest.mark.parametrize("is_promised", [True, False])
def test_an_answer_that_is_too_long_is_not_read_to_its_end(is_promised: bool) -> None:
    async def story(server: Loopback, transport: HttpTransport) -> None:
        error = await failure(transport, Call("GET", server.origin, max_bytes=100_000))
        assert error.reason is Reason.REFUSED
        assert "100,000 bytes" in error.cause

    packed = gzip.compress(bytes(300_000))
    unpacked = Answer(body=bytes(300_000))
    bomb = Answer(headers={"Content-Encoding": "gzip"}, body=packed)
    act(lambda _: unpacked if is_promised else bomb, story)


def test_the_longest_answer_that_is_taken() -> None:
    async def story(server: Loopback, transport: HttpTransport) -> None:
        response = await transport.exchange(Call("GET", server.origin, max_bytes=300_000))
        assert len(response.body) == 300_000
        response = await transport.exchange(Call("HEAD", server.origin, max_bytes=10))
        assert response.headers["content-length"] == "300000"

    act(lambda _: Answer(body=bytes(300_000)), story)


def test_an_answer_that_breaks_off() -> None:
    async def story(server: Loopback, transport: HttpTransport) -> None:
        error = await failure(transport, Call("GET", server.origin))
        assert error.reason is Reason.FAILED

    act(lambda _: Answer(body=bytes(1000), cut_to=10), story)


def test_an_answer_that_drips_ends_with_the_time_limit() -> None:
    async def story(server: Loopback, transport: HttpTransport) -> None:
        began = time.perf_counter()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await transport.exchange(Call("GET", server.origin))
        assert time.perf_counter() - began < 2
        # The connection is not used again with half an answer in it.
        assert (await transport.exchange(Call("HEAD", server.origin))).status == 200

    act(lambda _: Answer(body=bytes(1000), drip_s=0.05), story)


def test_a_connection_that_is_reset() -> None:
    async def main() -> None:
        async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            handle = writer.get_extra_info("socket")
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

        server = await asyncio.start_server(reset, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport = HttpTransport()
        error = await failure(transport, Call("GET", f"http://127.0.0.1:{port}/"))
        assert error.reason is Reason.FAILED
        await transport.aclose()
        server.close()

    asyncio.run(main())


def test_what_is_no_http() -> None:
    async def main() -> None:
        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(babble, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        transport = HttpTransport()
        error = await failure(transport, Call("GET", f"http://127.0.0.1:{port}/"))
        assert error.reason is Reason.FAILED
        await transport.aclose()
        server.close()

    asyncio.run(main())


def test_a_port_where_nobody_listens() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        transport = HttpTransport()
        error = await failure(transport, Call("GET", f"http://127.0.0.1:{port}/"))
        assert (error.reason, error.cause) == (Reason.UNREACHABLE, "it refuses connections")
        await transport.aclose()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://127.0.0.1:1/", {"x-own": "two\r\nlines"}),
        ("http://127.0.0.1:1/", {"x-own": "snow\u2603"}),
        ("http://127.0.0.1:1/", {"bad name": "x"}),
        ("gopher://127.0.0.1/", {}),
        ("", {}),
    ],
)
def test_what_cannot_be_sent(url: str, headers: dict[str, str]) -> None:
    async def story(server: Loopback, transport: HttpTransport) -> None:
        address = server.origin if headers else url
        error = await failure(transport, Call("GET", address, headers))
        assert error.reason is Reason.UNSENDABLE
        assert "two" not in error.cause

    act(lambda _: Answer(), story)


def test_an_error_that_passes_through_the_library() -> None:
    async def story(_: Loopback, transport: HttpTransport) -> None:
        error = await failure(transport, Call("GET", "http://127.0.0.1:99999/"))
        assert error.reason is Reason.FAILED

    act(lambda _: Answer(), story)


def test_a_certificate_that_nobody_trusts(tmp_path: Path) -> None:
    server_tls, _ = certificate(tmp_path)

    async def main() -> None:
        async with serve(lambda _: Answer(), host="localhost", tls=server_tls) as server:
            transport = HttpTransport()
            error = await failure(transport, Call("GET", server.origin))
            assert error.reason is Reason.DISTRUSTED
            await transport.aclose()

    asyncio.run(main())


def test_http2_where_the_host_speaks_it(tmp_path: Path) -> None:
    server_tls, client_tls = certificate(tmp_path)
    received: list[dict[str, str]] = []

    async def main() -> None:
        async with serve_http2(server_tls, received) as port:
            transport = HttpTransport(trust=client_tls)
            call = Call("GET", f"https://localhost:{port}/x")
            answers = await asyncio.gather(*(transport.exchange(call) for _ in range(5)))
            assert {answer.body for answer in answers} == {b"two"}
            await transport.aclose()

    asyncio.run(main())
    assert [one[":path"] for one in received] == ["/x"] * 5


def test_tls_with_a_host_that_speaks_http1_only(tmp_path: Path) -> None:
    server_tls, client_tls = certificate(tmp_path)
    assert isinstance(client_tls, ssl.SSLContext)

    async def main() -> None:
        async with serve(lambda _: Answer(body=b"one"), host="localhost", tls=server_tls) as server:
            transport = HttpTransport(trust=client_tls)
            assert (await transport.exchange(Call("GET", server.origin))).body == b"one"
            await transport.aclose()

    asyncio.run(main())


def chained(*errors: BaseException) -> BaseException:
    """The first error, caused by the second, and so on."""
    for outer, inner in itertools.pairwise(errors):
        outer.__cause__ = inner
    return errors[0]


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ([httpx.ConnectError("x"), socket.gaierror(-2, "x")], Reason.UNREACHABLE),
        ([httpx.ConnectError("x"), OSError(errno.ENETUNREACH, "x")], Reason.UNREACHABLE),
        ([httpx.ConnectError("x"), OSError(errno.EHOSTUNREACH, "x")], Reason.UNREACHABLE),
        (
            [
                httpx.ConnectError("x"),
                OSError("all failed"),
                ExceptionGroup("x", [OSError(101, "")]),
            ],
            Reason.UNREACHABLE,
        ),
        ([httpx.ConnectError("x"), ConnectionRefusedError(111, "x")], Reason.UNREACHABLE),
        ([httpx.ConnectTimeout("x")], Reason.UNREACHABLE),
        ([httpx.ProxyError("x")], Reason.UNREACHABLE),
        ([httpx.ConnectError("x"), ssl.SSLError(1, "x")], Reason.FAILED),
        ([httpx.ConnectError("x"), ssl.SSLCertVerificationError(1, "x")], Reason.DISTRUSTED),
        ([httpx.ReadError("x"), ConnectionResetError(104, "x")], Reason.FAILED),
        ([httpx.RemoteProtocolError("x")], Reason.FAILED),
        ([httpx.ReadTimeout("x")], Reason.FAILED),
        ([httpx.DecodingError("x")], Reason.FAILED),
        ([httpx.LocalProtocolError("x")], Reason.UNSENDABLE),
        ([httpx.UnsupportedProtocol("x")], Reason.UNSENDABLE),
        ([httpx.InvalidURL("x")], Reason.UNSENDABLE),
        ([httpx.StreamClosed()], Reason.FAILED),
        ([OSError(5, "x")], Reason.FAILED),
    ],
)
def test_every_error_of_the_library_has_a_meaning(
    errors: list[BaseException], reason: Reason
) -> None:
    error = chained(*errors)
    assert isinstance(error, Exception)
    assert failure_of(error).reason is reason


def test_an_error_that_causes_itself_ends() -> None:
    first, second = httpx.ReadError("x"), OSError(5, "x")
    first.__cause__, second.__cause__ = second, first
    assert failure_of(first).reason is Reason.FAILED
