"""One site on the loopback: a port, and a thread for every connection to it."""

import contextlib
import socket
import threading
from typing import Protocol

from tests.support.fake_hub.chaos import Chaos
from tests.support.fake_hub.clock import FakeClock
from tests.support.fake_hub.messages import Request, Response, text
from tests.support.fake_hub.request_log import RequestLog
from tests.support.fake_hub.settings import Settings
from tests.support.fake_hub.wire import BadRequestError, Reader, send

__all__ = ["Listener", "Site"]

ADDRESS = "127.0.0.1"
JOIN_TIMEOUT_S = 5.0


class Site(Protocol):
    """What answers the requests of one host."""

    name: str

    def label(self, request: Request) -> str:
        """What a request is about, for the log and for chaos."""

    def answer(self, request: Request) -> Response:
        """The answer when nothing goes wrong; called from many threads."""


class Listener:
    """Serves a site over HTTP/1.1 from construction to :meth:`close`.

    ``host`` is the name in the URL. Sites that must be other hosts to a client get other names of
    the loopback, because clients compare names and some of them ignore ports.
    """

    def __init__(
        self,
        site: Site,
        host: str,
        *,
        log: RequestLog,
        chaos: Chaos,
        clock: FakeClock,
        settings: Settings,
    ) -> None:
        self._site = site
        self._settings = settings
        self._log = log
        self._chaos = chaos
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._connections = 0
        self._port = 0
        self.open_door()
        self.url = f"http://{host}:{self._port}"

    def open_door(self) -> None:
        """Listen; the second time, on the same port as the first."""
        self._stopping = threading.Event()
        self._listening = socket.create_server((ADDRESS, self._port), backlog=512)
        self._port = self._listening.getsockname()[1]
        self._accepting = threading.Thread(
            target=self._accept, name=f"fake {self._site.name}", daemon=True
        )
        self._accepting.start()

    def close_door(self) -> None:
        """Refuse connections and end those that are open."""
        self._stopping.set()
        # Closing a socket does not wake the thread that waits on it; a visitor does.
        with socket.create_connection((ADDRESS, self._port), timeout=JOIN_TIMEOUT_S):
            self._accepting.join(JOIN_TIMEOUT_S)
        self._listening.close()
        with self._lock:
            threads = list(self._open.values())
            for connection in self._open:
                _shut_down(connection)
        for thread in threads:
            thread.join(JOIN_TIMEOUT_S)

    def close(self) -> None:
        """Stop for good."""
        if not self._stopping.is_set():
            self.close_door()

    def _accept(self) -> None:
        while True:
            connection, address = self._listening.accept()
            if self._stopping.is_set():
                connection.close()
                return
            with self._lock:
                self._connections += 1
                thread = threading.Thread(
                    target=self._serve,
                    args=(connection, address[0], self._connections),
                    daemon=True,
                )
                self._open[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket, client: str, number: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = Reader(connection, client)
        try:
            # The other side believes itself connected; on a long way it would not be yet.
            self._stopping.wait(self._settings.round_trip_s)
            while (request := reader.next()) is not None and self._exchange(
                connection, request, number
            ):
                pass
        except BadRequestError as error:
            with contextlib.suppress(OSError):
                connection.sendall(_bad_request(str(error)))
        except OSError:
            # The client has hung up, or the site is being closed.
            pass
        finally:
            with self._lock:
                del self._open[connection]
            connection.close()

    def _exchange(self, connection: socket.socket, request: Request, number: int) -> bool:
        """One request and its answer; whether the connection can be used again."""
        label = self._site.label(request)
        entry = self._log.begin(
            self._site.name, request, label=label, at=self._clock.now(), connection=number
        )
        response = self._chaos.answer(self._site.name, request, label, self._site.answer)
        self._stopping.wait(self._settings.round_trip_s)

        def note(sent_bytes: int, is_complete: bool) -> None:
            self._log.progress(
                entry, status=response.status, sent_bytes=sent_bytes, is_complete=is_complete
            )

        keep = send(
            connection,
            request,
            response,
            stopping=self._stopping,
            note=note,
            rate_bytes_per_s=self._settings.rate_bytes_per_s,
        )
        return keep and request.header("connection") != "close"


def _bad_request(message: str) -> bytes:
    answer = text(message, 400).with_headers({"Connection": "close"})
    return answer.head() + bytes(answer.body)


def _shut_down(connection: socket.socket) -> None:
    # The client may have been faster.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
