"""Requests read from a socket, and answers sent to it with everything that may go wrong."""

import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise

from tests.support.fake_hub.messages import (
    NO_BODY,
    PLAIN,
    Delivery,
    Ending,
    Framing,
    Request,
    Response,
)

__all__ = ["BadRequestError", "Reader", "reset", "send"]

PIECE_BYTES = 1 << 20
# Up to here, head and body go out together.
SMALL_BYTES = 64 * 1024
# How often something is sent where the rate is limited.
PACE_S = 0.01
MAX_HEAD_BYTES = 64 * 1024
TLS_HANDSHAKE = b"\x16\x03"


class BadRequestError(Exception):
    """What came is not HTTP/1.1 as this server knows it."""


class Reader:
    """The requests of one connection, one after the other."""

    def __init__(self, connection: socket.socket, client: str) -> None:
        self._connection = connection
        self._client = client
        self._buffer = bytearray()

    def next(self) -> Request | None:
        """The next request with its whole body; ``None`` when the client has gone.

        Raises:
            BadRequestError: nothing more can be read from this connection.
        """
        end = self._find(b"\r\n\r\n")
        if end < 0:
            return None
        lines = self._take(end + 4)[:-4].decode("latin-1").split("\r\n")
        first = lines[0].split(" ")
        if len(first) != 3 or not first[2].startswith("HTTP/1."):
            raise BadRequestError(lines[0])
        headers = {"connection": "close"} if first[2] == "HTTP/1.0" else {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise BadRequestError(line)
            headers[name.lower()] = value.strip()
        body = self._body(headers)
        if body is None:
            return None
        return Request(first[0], first[1], headers, body, self._client)

    def _body(self, headers: dict[str, str]) -> bytes | None:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        text = headers.get("content-length", "0")
        if not text.isascii() or not text.isdigit():
            raise BadRequestError(f"Content-Length: {text}")
        size = int(text)
        return self._take(size) if self._fill(size) else None

    def _chunks(self) -> bytes | None:
        parts = []
        while (end := self._find(b"\r\n")) >= 0:
            size = int(self._take(end + 2).split(b";")[0], 16)
            if not self._fill(size + 2):
                return None
            parts.append(self._take(size + 2)[:-2])
            if size == 0:
                return b"".join(parts)
        return None

    def _find(self, mark: bytes) -> int:
        """Where ``mark`` is, read up to there; -1 when the client has gone before."""
        while (place := self._buffer.find(mark)) < 0:
            if self._buffer.startswith(TLS_HANDSHAKE):
                raise BadRequestError("a greeting of TLS")
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise BadRequestError("a line without an end")
            if not self._read():
                return -1
        return place

    def _fill(self, size: int) -> bool:
        while len(self._buffer) < size:
            if not self._read():
                return False
        return True

    def _read(self) -> bool:
        try:
            data = self._connection.recv(256 * 1024)
        except OSError:
            return False
        self._buffer += data
        return bool(data)

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


def send(
    connection: socket.socket,
    request: Request,
    response: Response,
    *,
    stopping: threading.Event,
    note: Callable[[int, bool], None],
    rate_bytes_per_s: float | None = None,
) -> bool:
    """Send an answer as its delivery says; whether the connection can be used again.

    ``note`` is told the bytes of the body that are out, before they are, so that a client that
    has them all finds them counted; and whether that is all of the body. Headers are free of the
    limit of the rate.

    Raises:
        OSError: the client has gone.
    """
    has_body = request.method != "HEAD" and response.status not in NO_BODY
    body = memoryview(response.body if has_body else b"")
    delivery = response.delivery
    if delivery.before_headers:
        return _end(connection, delivery)
    if delivery.stall_after == -1:
        stopping.wait(delivery.stall_s)
    head = response.head()
    is_plain = delivery is PLAIN and response.framing is Framing.LENGTH
    if is_plain and len(body) <= SMALL_BYTES and rate_bytes_per_s is None:
        note(len(body), True)
        connection.sendall(head + body)
        return True
    # Without this, a body of no bytes that is cut would count as one that was sent.
    note(0, delivery.cut_after is None and not body)
    connection.sendall(head)
    limit = len(body) if delivery.cut_after is None else min(delivery.cut_after, len(body))
    began = time.monotonic()
    for start, end in _pieces(limit, delivery, rate_bytes_per_s):
        if start == delivery.stall_after:
            stopping.wait(delivery.stall_s)
        note(end, end == len(body))
        connection.sendall(_framed(body[start:end], response.framing))
        if rate_bytes_per_s is not None:
            stopping.wait(began + end / rate_bytes_per_s - time.monotonic())
        if delivery.drip_pause_s and end < limit and stopping.wait(delivery.drip_pause_s):
            raise ConnectionAbortedError
    if limit == delivery.stall_after:
        stopping.wait(delivery.stall_s)
    if delivery.cut_after is not None and has_body:
        return _end(connection, delivery)
    if response.framing is Framing.CHUNKED and has_body:
        connection.sendall(b"0\r\n\r\n")
    if delivery.surplus and has_body:
        connection.sendall(delivery.surplus)
        return False
    return response.framing is not Framing.CLOSE


def _pieces(size: int, delivery: Delivery, rate_bytes_per_s: float | None) -> list[tuple[int, int]]:
    """Where to cut ``size`` bytes so that every place where something happens is a border."""
    step = delivery.drip_bytes or PIECE_BYTES
    if rate_bytes_per_s is not None:
        step = min(step, max(1, int(rate_bytes_per_s * PACE_S)))
    borders = set(range(0, size, step)) | {size}
    if delivery.stall_after is not None and 0 <= delivery.stall_after < size:
        borders.add(delivery.stall_after)
    ordered = sorted(borders | {0})
    return list(pairwise(ordered))


def _framed(piece: memoryview, framing: Framing) -> bytes | memoryview:
    if framing is not Framing.CHUNKED:
        return piece
    return f"{len(piece):x}\r\n".encode() + bytes(piece) + b"\r\n"


def _end(connection: socket.socket, delivery: Delivery) -> bool:
    if delivery.ending is Ending.RST:
        _wait_until_sent(connection)
        reset(connection)
    return False


def reset(connection: socket.socket) -> None:
    """Let closing the connection send an RST, which throws away what is still on its way."""
    # On Windows the two numbers are short ones.
    layout = "hh" if sys.platform == "win32" else "ii"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(layout, 1, 0))


def _wait_until_sent(connection: socket.socket) -> None:
    """Wait until the other side's kernel has all bytes, so that an RST does not eat them."""
    if sys.platform != "linux":
        time.sleep(0.05)
        return
    import fcntl
    import termios

    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        left = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        if not any(left):
            return
        time.sleep(0.001)
