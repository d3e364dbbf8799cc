"""Exchanges whose body may have any size: blocking, each in a thread of its caller's."""

import contextlib
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from modelcellar.download_records import Patience
from modelcellar.network.connections import Connections
from modelcellar.network.exchanges import (
    Call,
    ExchangeError,
    Reason,
    answer_headers,
    header_texts,
    user_agent,
)
from modelcellar.network.failures import failure_of
from modelcellar.network.http import Response, origin_of

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

    import httpx

__all__ = ["ENDED_BY_US", "BulkExchange", "BulkTransport", "Pace", "Receive", "Sink"]

Sink = Callable[[bytes], object]
"""Is given each piece of the raw body. It may block, and what it raises ends the transfer."""

Receive = Callable[[Response], Sink | None]
"""Is given status and headers, and says where the body goes; ``None``: it is not wanted."""

PIECE_BYTES = 256 << 10
"""Measured for 1 GiB: 0.13 s of CPU; 64 KiB at a time take 0.2 s, and 1 MiB 0.3 s, since memory of
that size comes from the kernel anew each time."""
SMALL_BYTES = 64 << 10
DRAIN_S = 1.0
"""A body that nobody wants is read if it is small and comes at once, to keep the connection."""
ENDED_BY_US = "it was ended by us"
_LOG = logging.getLogger(__name__)


class BulkTransport:
    """Begins exchanges, over HTTP/1.1; see :class:`Connections` for ``trust``."""

    def __init__(self, *, trust: ssl.SSLContext | None = None) -> None:
        self._connections = Connections(trust=trust)

    def begin(self, call: Call, *, timeout_s: float) -> "BulkExchange":
        """One exchange, for which nothing is sent yet; see there for ``timeout_s``."""
        return BulkExchange(call, self._connections, timeout_s=timeout_s)

    def close(self) -> None:
        """Close what is idle, and what is in use as soon as it is not."""
        self._connections.close()


class BulkExchange:
    """One request and its answer: :meth:`open`, then :meth:`read` or :meth:`skip`, in a thread.

    ``timeout_s`` is the longest silence before the headers, ``came_bytes`` what has come of the
    body. Only :meth:`abort` may be called from another thread, at any time.
    """

    def __init__(self, call: Call, connections: Connections, *, timeout_s: float) -> None:
        self.is_connected = False
        self.is_aborted = False
        self.came_bytes = 0
        self._call = call
        self._connections = connections
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._answer: HTTPResponse | None = None

    def open(self) -> Response:
        """Connect if need be, send the request and read status and headers.

        Raises:
            ExchangeError: there is no answer.
        """
        from http.client import HTTPException

        import httpx

        try:
            return self._open()
        except ExchangeError as error:
            failure = error
        except (OSError, HTTPException, httpx.InvalidURL, ValueError, OverflowError) as error:
            failure = self._failure(error)
        self.close()
        # Raised out here: the inner error may quote what was sent.
        raise failure

    def read(self, receive: Receive, response: Response, patience: Patience) -> None:
        """Hand the body to what ``receive`` says, and keep the connection if that is possible.

        Raises:
            ExchangeError: the body ended early, stalled or came too slowly.
        """
        try:
            sink = receive(response)
            if sink is None:
                self.skip()
                return
            for piece in self._pieces(patience):
                sink(piece)
            self._release()
        finally:
            self.close()

    def skip(self) -> None:
        """Do without the body. The connection is kept if the body is small and comes at once."""
        answer, handle = self._answer, self._socket
        if answer is None or handle is None:
            return
        from http.client import HTTPException

        try:
            if answer.length is not None and answer.length <= SMALL_BYTES:
                handle.settimeout(DRAIN_S)
                answer.read()
                self._release()
        except (OSError, HTTPException, ValueError):
            pass
        finally:
            self.close()

    def abort(self) -> None:
        """Let whatever the thread waits for end now; from any thread."""
        with self._lock:
            self.is_aborted = True
            handle = self._socket or (self._connection and self._connection.sock)
            if handle:
                # Not the method of an SSLSocket, which would pull TLS from under its reader.
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(handle, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection, unless it was given back."""
        with self._lock:
            connection, self._connection = self._connection, None
            answer, self._answer = self._answer, None
            self._socket = None
            if answer is not None:
                answer.close()
            if connection is not None:
                connection.close()

    # --- inside ---

    def _open(self) -> Response:
        import httpx

        url = httpx.URL(self._call.url)
        kept = self._connections.take(origin_of(self._call.url))
        if kept is not None:
            self._hold(kept)
            try:
                return self._ask(kept, url)
            except ConnectionError:
                # Its host closed it in this very moment, which says nothing of this request.
                kept.close()
                self.is_connected = False
        connection = self._connections.make(url, self._call.connect_s)
        self._hold(connection)
        connection.connect()
        self._hold(connection)
        return self._ask(connection, url)

    def _ask(self, connection: "HTTPConnection", url: "httpx.URL") -> Response:
        """Send the request over an open connection; ``ConnectionError``: it was none any more."""
        self.is_connected = True
        handle: socket.socket = connection.sock
        handle.settimeout(self._timeout_s)
        connection.putrequest(
            self._call.method,
            url.raw_path.decode("ascii"),
            skip_host=True,
            skip_accept_encoding=True,
        )
        connection.putheader("host", url.netloc.decode("ascii"))
        headers = {"accept": "*/*", "accept-encoding": "identity"}
        for name, value in (headers | header_texts(self._call, user_agent())).items():
            connection.putheader(name, value)
        connection.endheaders()
        self._answer = answer = connection.getresponse()
        if answer.status < 200:
            raise ExchangeError(Reason.FAILED, "it answered with something else")
        return Response(answer.status, self._call.url, answer_headers(answer.getheaders()))

    def _hold(self, connection: "HTTPConnection") -> None:
        with self._lock:
            self._connection, self._socket = connection, connection.sock
            if not self.is_aborted:
                return
        raise ExchangeError(Reason.FAILED, ENDED_BY_US)

    def _failure(self, error: Exception) -> ExchangeError:
        if isinstance(error, OSError) and str(error).startswith("Tunnel connection failed"):
            return ExchangeError(Reason.UNREACHABLE, "the proxy did not let us through")
        if isinstance(error, TimeoutError) and not self.is_connected:
            return ExchangeError(Reason.UNREACHABLE, "connecting took too long")
        return failure_of(error)

    def _pieces(self, patience: Patience) -> Iterator[bytes]:
        """The body, piece by piece, until its end or that of our patience."""
        answer, handle = self._answer, self._socket
        assert answer is not None
        assert handle is not None
        handle.settimeout(patience.silence_s)
        pace = Pace(patience)
        while answer.length != 0:  # None is not known: such a body ends with an empty piece
            began = time.monotonic()
            piece = self._piece(answer, patience)
            is_too_slow = pace.note(len(piece), time.monotonic() - began)
            if not piece:
                break
            self.came_bytes += len(piece)
            yield piece
            if is_too_slow and answer.length != 0:
                floor = f"{patience.floor_bytes_per_s:,.0f} bytes a second"
                raise ExchangeError(Reason.FAILED, f"it came more slowly than {floor}")
        if answer.length:
            raise ExchangeError(Reason.FAILED, f"it ended {answer.length:,} bytes early")

    def _piece(self, answer: "HTTPResponse", patience: Patience) -> bytes:
        from http.client import HTTPException, IncompleteRead

        cause = "the connection broke"
        try:
            piece = answer.read1(PIECE_BYTES)
            if isinstance(self._socket, ssl.SSLSocket) and answer.length:
                piece = _with_more(piece, answer, self._socket)
            if not self.is_aborted:
                return piece
            cause = ENDED_BY_US
        except TimeoutError:
            cause = f"nothing came for {patience.silence_s:.3g} s"
        except IncompleteRead:
            cause = "it ended early"
        except (OSError, HTTPException, ValueError) as error:
            _LOG.debug("a body broke: %s", type(error).__name__)
        raise ExchangeError(Reason.FAILED, cause)

    def _release(self) -> None:
        """Give the connection back if it can carry another request."""
        with self._lock:
            connection, answer = self._connection, self._answer
            if answer is None or answer.will_close or self.is_aborted:
                return
            answer.close()
            self._connection = self._answer = self._socket = None
        if connection is not None:
            self._connections.give_back(origin_of(self._call.url), connection)


def _with_more(first: bytes, answer: "HTTPResponse", handle: ssl.SSLSocket) -> bytes:
    """The piece and what is there already behind it: TLS hands out 16 KiB at a time."""
    from http.client import HTTPException

    pieces, size = [first], len(first)
    patience_s = handle.gettimeout()
    handle.settimeout(0)
    # Nothing more for now; or the end, which the next reading finds as well.
    with contextlib.suppress(OSError, HTTPException):
        while size < PIECE_BYTES and (piece := answer.read1(PIECE_BYTES - size)):
            pieces.append(piece)
            size += len(piece)
    handle.settimeout(patience_s)
    return b"".join(pieces)


class Pace:
    """Whether bytes come fast enough, by the time that was spent waiting for them."""

    def __init__(self, patience: Patience) -> None:
        self._floor_bytes = patience.floor_bytes_per_s * patience.window_s
        self._window_s = patience.window_s
        self._waited_s = 0.0
        self._came = 0

    def note(self, size_bytes: int, waited_s: float) -> bool:
        """Count bytes that took ``waited_s`` to come; whether a window ended with too few."""
        self._waited_s += waited_s
        self._came += size_bytes
        if self._waited_s < self._window_s:
            return False
        is_too_slow = self._came * self._window_s < self._floor_bytes * self._waited_s
        self._waited_s, self._came = 0.0, 0
        return is_too_slow
