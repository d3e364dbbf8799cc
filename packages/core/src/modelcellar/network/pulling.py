"""Transfers in threads of their own, awaited: none goes on after whoever awaits it has gone."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from modelcellar.download_records import Patience
from modelcellar.errors import TransferBrokenError
from modelcellar.network.bulk import ENDED_BY_US, BulkExchange, BulkTransport, Receive
from modelcellar.network.exchanges import Call, ExchangeError, Reason
from modelcellar.network.executor import DaemonExecutor
from modelcellar.network.http import Response

__all__ = ["Pull", "Puller"]

T = TypeVar("T")


def ended_by_us() -> TransferBrokenError:
    """What is raised where all transfers are ended."""
    return TransferBrokenError(f"a transfer broke: {ENDED_BY_US}", cause=ENDED_BY_US)


class Puller:
    """Begins transfers, and ends them all when it is closed."""

    def __init__(self, *, trust: ssl.SSLContext | None = None) -> None:
        self._bulk = BulkTransport(trust=trust)
        self._executor = DaemonExecutor()
        self._pulls: set[Pull] = set()
        self._is_closed = False

    def begin(self, timeout_s: float) -> "Pull":
        """One transfer; ``timeout_s`` is the longest silence before the headers."""
        return Pull(self, timeout_s)

    def start(self, pull: "Pull", call: Call, timeout_s: float) -> BulkExchange:
        """The exchange of a transfer that begins now.

        Raises:
            TransferBrokenError: no more transfers begin.
        """
        if self._is_closed:
            raise ended_by_us()
        self._pulls.add(pull)
        return self._bulk.begin(call, timeout_s=timeout_s)

    def forget(self, pull: "Pull") -> None:
        """A transfer is over."""
        self._pulls.discard(pull)

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Let ``work`` be done in a thread of its own."""
        return self._executor.submit(work)

    async def aclose(self) -> None:
        """End every transfer, wait for the threads that read a body, close all connections."""
        self._is_closed = True
        self._bulk.close()
        await asyncio.gather(*(pull.end() for pull in list(self._pulls)))


class Pull:
    """One transfer: :meth:`open`, then :meth:`read` or :meth:`skip`."""

    def __init__(self, puller: Puller, timeout_s: float) -> None:
        self._puller = puller
        self._timeout_s = timeout_s
        self._exchange: BulkExchange | None = None
        self._reading: asyncio.Future[None] | None = None
        self._is_open = False

    async def open(self, call: Call) -> Response:
        """Send the request and await the headers. When cancelled, the thread is left to itself:
        nothing ends a look-up of a name, but what it finds out is not heard any more.

        Raises:
            ExchangeError: there is no answer.
            TransferBrokenError: all transfers were ended meanwhile.
        """
        self._exchange = exchange = self._puller.start(self, call, self._timeout_s)
        work = self._puller.submit(exchange.open)
        opening = asyncio.wrap_future(work)
        is_open = False
        try:
            await asyncio.wait({opening}, timeout=call.connect_s)
            if not (opening.done() or exchange.is_connected):
                raise ExchangeError(Reason.UNREACHABLE, "connecting took too long")
            await asyncio.wait({opening})
            if exchange.is_aborted:
                raise ended_by_us()
            response = opening.result()
            self._is_open = is_open = True
            return response
        finally:
            if not is_open:
                self._puller.forget(self)
                exchange.abort()
                if not opening.cancel():
                    opening.exception()  # looked at, so that nobody complains
                work.add_done_callback(lambda _: exchange.close())

    async def read(self, receive: Receive, response: Response, patience: Patience) -> None:
        """Hand the body to what ``receive`` says; when this is over, so is the thread.

        Raises:
            ExchangeError: the body broke.
        """
        exchange = self._opened()
        await self._see_through(lambda: exchange.read(receive, response, patience))

    async def skip(self) -> None:
        """Do without the body."""
        await self._see_through(self._opened().skip)

    async def end(self) -> None:
        """End it where it is, and wait until nobody reads any more."""
        self._puller.forget(self)
        if self._exchange is None:
            return
        reading = self._reading
        if reading is None or not reading.done():
            self._exchange.abort()
        while reading is not None and not reading.done():
            # Whoever cancels twice waits as well: the thread still holds what it writes to.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({reading})
        if reading is not None and not reading.cancelled():
            reading.exception()  # or asyncio tells of it, where nobody was left to be told
        if reading is None and self._is_open:
            self._exchange.close()

    @property
    def is_ended_by_us(self) -> bool:
        """Whether it was ended on this side."""
        return self._exchange is not None and self._exchange.is_aborted

    @property
    def came_bytes(self) -> int:
        """How much of the body has come."""
        return 0 if self._exchange is None else self._exchange.came_bytes

    def _opened(self) -> BulkExchange:
        if self._exchange is None:
            raise RuntimeError("a transfer is opened before it is read")
        return self._exchange

    async def _see_through(self, work: Callable[[], None]) -> None:
        """Await ``work`` in a thread; whatever it raises is raised as it is."""
        running = self._puller.submit(work)
        self._reading = asyncio.wrap_future(running)
        try:
            await asyncio.wait({self._reading})
        finally:
            await self.end()
            self._reading.exception()  # looked at, so that nobody complains
        running.result()  # asyncio would raise a copy of a time-out
