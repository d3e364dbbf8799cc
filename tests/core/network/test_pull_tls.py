"""Transfers over TLS, where the socket hands out one record at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from modelcellar.errors import HostUnavailableError
from modelcellar.network.http import Request
from modelcellar.network.manager import NetworkManager
from modelcellar.network.pulling import Puller
from tests.core.network.pulls import BIG, PATIENCE, Got, assert_no_thread_is_left, broken
from tests.support.loopback import Answer, Handler, Loopback, certificate, serve


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
