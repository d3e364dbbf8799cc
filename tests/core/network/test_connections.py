"""Which connections are used again, and how they are opened through a proxy."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from modelcellar.download_records import Patience
from modelcellar.errors import HostUnavailableError
from modelcellar.network.connections import MOST_IDLE, Connections
from modelcellar.network.exchanges import ExchangeError, Reason
from modelcellar.network.http import Request
from modelcellar.network.manager import NetworkManager
from modelcellar.network.pulling import Puller
from tests.support.loopback import Answer, Loopback, certificate, serve

BODY = bytes(range(256)) * 4096
ENVIRONMENT = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@dataclass
class Proxy:
    """A proxy that lets CONNECT through, or answers with another status."""

    status: int = 200
    port: int = 0
    asked: list[str] = field(default_factory=list)
    served: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served.add(asyncio.ensure_future(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 {self.status} Whatever\r\n\r\n".encode())
        if self.status == 200:
            port = int(self.asked[-1].split()[1].rpartition(":")[2])
            there, back = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(copy(reader, back), copy(there, writer))
        writer.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def proxy(status: int = 200) -> AsyncIterator[Proxy]:
    one = Proxy(status)
    server = await asyncio.start_server(one.accept, "127.0.0.1", 0)
    one.port = server.sockets[0].getsockname()[1]
    try:
        yield one
    finally:
        server.close()
        await asyncio.gather(*one.served)


def act(
    folder: Path, story: Callable[[NetworkManager, Loopback, Proxy], Awaitable[None]], status: int
) -> None:
    server_tls, client_tls = certificate(folder)

    async def main() -> None:
        async with (
            serve(lambda _: Answer(body=BODY), host="localhost", tls=server_tls) as server,
            proxy(status) as between,
            NetworkManager(puller=Puller(trust=client_tls)) as manager,
        ):
            await story(manager, server, between)

    asyncio.run(main())


async def pulled(manager: NetworkManager, origin: str) -> bytes:
    got = bytearray()
    await manager.pull(Request("GET", f"{origin}/x"), lambda _: got.extend, patience=Patience())
    return bytes(got)


def test_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(manager: NetworkManager, server: Loopback, between: Proxy) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:s%40me@127.0.0.1:{between.port}")
        for _ in range(2):
            assert await pulled(manager, server.origin) == BODY
        (asked,) = between.asked
        assert asked.startswith(f"CONNECT localhost:{server.port} HTTP/1.")
        pair = base64.b64encode(b"me:s@me").decode()
        assert f"Proxy-Authorization: Basic {pair}\r\n" in asked
        assert all("proxy-authorization" not in one.headers for one in server.received)

    act(tmp_path, story, 200)


def test_hosts_that_no_proxy_is_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(manager: NetworkManager, server: Loopback, between: Proxy) -> None:
        monkeypatch.setenv("ALL_PROXY", f"127.0.0.1:{between.port}")
        monkeypatch.setenv("NO_PROXY", "example.com,localhost")
        assert await pulled(manager, server.origin) == BODY
        assert not between.asked
        monkeypatch.setenv("NO_PROXY", "example.com")
        assert await pulled(manager, f"https://127.0.0.1:{server.port}") == BODY
        assert len(between.asked) == 1

    act(tmp_path, story, 200)


def test_what_is_on_this_machine_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async def main() -> None:
        async with serve(lambda _: Answer(body=BODY)) as server, NetworkManager() as manager:
            assert await pulled(manager, server.origin) == BODY

    asyncio.run(main())


def test_a_proxy_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(manager: NetworkManager, server: Loopback, between: Proxy) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{between.port}")
        with pytest.raises(HostUnavailableError) as caught:
            await pulled(manager, server.origin)
        assert caught.value.cause == "the proxy did not let us through"

    act(tmp_path, story, 407)


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1", "https://127.0.0.1:1", "http://"])
def test_proxies_of_other_kinds(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(ExchangeError) as caught:
        Connections().make(httpx.URL("https://example.com/"), 1.0)
    assert caught.value.reason is Reason.UNREACHABLE
    assert "127.0.0.1" not in caught.value.cause


def test_connections_are_used_again_last_one_first() -> None:
    async def main() -> None:
        async with serve(lambda _: Answer()) as server:
            connections = Connections()
            opened = [connections.make(httpx.URL(server.origin), 1.0) for _ in range(MOST_IDLE + 2)]
            for one in opened:
                await asyncio.to_thread(one.connect)
                connections.give_back(server.origin, one)
            while len(server.writers) < MOST_IDLE:
                await asyncio.sleep(0.001)
            assert [one.sock is None for one in opened[:3]] == [True, True, False]
            assert connections.take("http://127.0.0.1:1") is None
            assert connections.take(server.origin) is opened[-1]
            assert connections.take(server.origin) is opened[-2]
            connections.close()
            assert connections.take(server.origin) is None
            connections.give_back(server.origin, opened[-1])
            opened[-2].close()
            assert all(one.sock is None for one in opened)
            while server.writers:
                await asyncio.sleep(0.001)

    asyncio.run(main())


def test_a_connection_over_which_something_came_unasked_is_closed() -> None:
    async def main() -> None:
        async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
            is_over.set()

        is_over = asyncio.Event()

        server = await asyncio.start_server(chatter, "127.0.0.1", 0)
        origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        connections = Connections()
        one = connections.make(httpx.URL(origin), 1.0)
        await asyncio.to_thread(one.connect)
        await asyncio.to_thread(one.sock.recv, 1)
        connections.give_back(origin, one)
        assert connections.take(origin) is None
        assert one.sock is None
        await is_over.wait()
        server.close()

    asyncio.run(main())
