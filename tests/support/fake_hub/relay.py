"""A long way to a host: a relay of TCP connections that delays both directions.

Run as ``python -m tests.support.fake_hub.relay HOST:PORT... --delay-ms 40``; prints the port that
leads to each of them as a list of JSON, and ends with its standard input.

Each direction is modelled as TCP sends: what is not yet acknowledged is limited, to ten segments at
first (RFC 6928), to more with every acknowledgement (slow start, RFC 5681), to ``window_bytes``
at last. An acknowledgement comes a round trip after its bytes were taken; nothing is ever lost.
Opening a connection takes a round trip before the first byte is on its way.
"""

import argparse
import asyncio
import json
import socket
import sys
import threading
from collections import deque
from dataclasses import dataclass

__all__ = ["Route"]

INITIAL_WINDOW_BYTES = 10 * 1460
WINDOW_BYTES = 4 << 20
KEPT_BYTES = 1 << 20
"""What may wait for a receiver that does not read."""


@dataclass(frozen=True, slots=True)
class Route:
    """How long the way is, one way, and how much may be on it at a time."""

    delay_s: float
    window_bytes: int = WINDOW_BYTES


class _End(asyncio.Protocol):
    """One end of a relayed connection: takes bytes, and delivers them at the other end later."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._loop = asyncio.get_running_loop()
        self._window_bytes = min(INITIAL_WINDOW_BYTES, route.window_bytes)
        self._unacknowledged_bytes = 0
        # What is on its way, with its hour of arrival; nothing at all stands for the end.
        self._under_way: deque[tuple[float, bytes | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._may_deliver = asyncio.Event()
        self._may_deliver.set()
        self._transport: asyncio.Transport | None = None
        self.leaves_at = 0.0
        """Nothing leaves before the connection is open."""
        self.other: _End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.set_write_buffer_limits(KEPT_BYTES)

    def data_received(self, data: bytes) -> None:
        leaves_at = max(self._loop.time(), self.leaves_at)
        self._send(leaves_at, data)
        self._unacknowledged_bytes += len(data)
        back_at = leaves_at + 2 * self._route.delay_s
        self._loop.call_at(back_at, self._acknowledged, len(data))
        self._go_on_or_wait()

    def eof_received(self) -> bool:
        self._send(max(self._loop.time(), self.leaves_at), None)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self.other is None:
            return
        if error is None:
            self._send(max(self._loop.time(), self.leaves_at), None)
        else:
            self._loop.call_later(self._route.delay_s, self.other.abort)

    def pause_writing(self) -> None:
        self._may_deliver.clear()

    def resume_writing(self) -> None:
        self._may_deliver.set()
        if self.other is not None:
            self.other.arrive()

    def abort(self) -> None:
        """The other side is gone, and not in an orderly way."""
        if self._transport is not None:
            self._transport.abort()

    def arrive(self) -> None:
        """Deliver what has arrived, as far as the other end takes it."""
        self._timer = None
        other = self.other
        assert other is not None
        while self._under_way and other._may_deliver.is_set():
            at, data = self._under_way[0]
            if at > self._loop.time():
                self._timer = self._loop.call_at(at, self.arrive)
                return
            self._under_way.popleft()
            other.deliver(data)

    def deliver(self, data: bytes | None) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if data is not None:
            self._transport.write(data)
        elif self._transport.can_write_eof():
            self._transport.write_eof()

    def _send(self, leaves_at: float, data: bytes | None) -> None:
        self._under_way.append((leaves_at + self._route.delay_s, data))
        if self._timer is None and self.other is not None:
            self._timer = self._loop.call_at(self._under_way[0][0], self.arrive)

    def _acknowledged(self, size: int) -> None:
        self._unacknowledged_bytes -= size
        self._window_bytes = min(self._window_bytes + size, self._route.window_bytes)
        self._go_on_or_wait()

    def _go_on_or_wait(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._unacknowledged_bytes < self._window_bytes:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()


async def _open(route: Route, host: str, port: int) -> int:
    """Listen for connections to be relayed; the port where."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def connect(near: _End) -> None:
        far = _End(route)
        far.other = near
        try:
            await loop.create_connection(lambda: far, host, port)
        except OSError:
            near.abort()
            return
        near.other = far
        near.arrive()

    def accept() -> _End:
        near = _End(route)
        near.leaves_at = loop.time() + 2 * route.delay_s
        task = loop.create_task(connect(near))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return near

    server = await loop.create_server(accept, "127.0.0.1", 0, backlog=512)
    return int(server.sockets[0].getsockname()[1])


async def _run(route: Route, targets: list[tuple[str, int]]) -> None:
    ports = [await _open(route, host, port) for host, port in targets]
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def watch() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch, daemon=True).start()
    await ended.wait()


def main() -> None:
    """Relay until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="+", metavar="HOST:PORT")
    parser.add_argument("--delay-ms", type=float, required=True, help="one way")
    parser.add_argument("--window-kib", type=int, default=WINDOW_BYTES >> 10)
    chosen = parser.parse_args()
    targets = [(host, int(port)) for host, _, port in (t.partition(":") for t in chosen.targets)]
    asyncio.run(_run(Route(chosen.delay_ms / 1000, chosen.window_kib << 10), targets))


if __name__ == "__main__":
    main()
