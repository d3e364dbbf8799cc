"""Connections that speak HTTP/1.1 to one host each: opened in a thread, kept for the next call.

They are those of the standard library. It copies nothing on the way from the socket to whoever
reads, which saves half of the time that httpx takes for a big body, and the socket is at hand.
"""

import select
import socket
import ssl
import threading
import time
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from modelcellar.network.dialing import dial
from modelcellar.network.exchanges import ExchangeError, Reason

if TYPE_CHECKING:
    from http.client import HTTPConnection

    import httpx

__all__ = ["Connections"]

MOST_IDLE = 32
IDLE_S = 15.0
"""Servers close what is idle for longer, and a request must not meet the end of its connection."""


class Connections:
    """Opens connections and keeps those that can be used again; for many threads at once.

    ``trust`` is which certificates are good, a context that nobody else uses; by default as for
    all other calls. A proxy is used as the environment says, for https only.
    """

    def __init__(self, *, trust: ssl.SSLContext | None = None) -> None:
        self._trust = trust
        self._is_prepared = False
        self._lock = threading.Lock()
        self._idle: list[tuple[str, HTTPConnection, float]] = []
        self._is_closed = False

    def take(self, origin: str) -> "HTTPConnection | None":
        """The connection to ``origin`` that was used last, if one is idle and still open."""
        oldest = time.monotonic() - IDLE_S
        with self._lock:
            stale = [one for _, one, since in self._idle if since < oldest or _has_news(one)]
            self._idle = [entry for entry in self._idle if entry[1] not in stale]
            places = [at for at, entry in enumerate(self._idle) if entry[0] == origin]
            found = self._idle.pop(places[-1])[1] if places else None
        for one in stale:
            one.close()
        return found

    def give_back(self, origin: str, connection: "HTTPConnection") -> None:
        """Keep a connection whose last answer was read to its end."""
        surplus = [connection]
        with self._lock:
            if not self._is_closed:
                self._idle.append((origin, connection, time.monotonic()))
                surplus = [one for _, one, _ in self._idle[:-MOST_IDLE]]
                self._idle = self._idle[-MOST_IDLE:]
        for one in surplus:
            one.close()

    def make(self, url: "httpx.URL", timeout_s: float) -> "HTTPConnection":
        """A connection that is not yet open; ``timeout_s`` is for each step of opening it.

        Raises:
            ExchangeError: the proxy is of a kind that is not known here.
        """
        from http.client import HTTPConnection, HTTPSConnection

        host = url.raw_host.decode("ascii")
        # Plain http is for this machine only, and no proxy needs to see what passes there.
        if url.scheme == "http":
            return _dialled(HTTPConnection(host, url.port or 80, timeout=timeout_s))
        port, trust = url.port or 443, self._context()
        proxy = _proxy_for(host)
        if not proxy:
            return _dialled(HTTPSConnection(host, port, timeout=timeout_s, context=trust))
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.scheme != "http" or not parts.hostname:
            cause = "bytes come through a proxy of the kind http:// only, and another one is set"
            raise ExchangeError(Reason.UNREACHABLE, cause)
        connection = HTTPSConnection(
            parts.hostname, parts.port or 80, timeout=timeout_s, context=trust
        )
        connection.set_tunnel(host, port, _proxy_headers(parts.username, parts.password))
        return _dialled(connection)

    def close(self) -> None:
        """Close what is idle, and from now on what is given back."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for _, one, _ in idle:
            one.close()

    def _context(self) -> ssl.SSLContext:
        import httpx

        with self._lock:
            if self._trust is None:
                self._trust = httpx.create_ssl_context()
            if not self._is_prepared:
                self._trust.set_alpn_protocols(["http/1.1"])
                self._is_prepared = True
            return self._trust


def _dialled(connection: "HTTPConnection") -> "HTTPConnection":
    """One that is not held up by an address that does not answer; the standard library tries one
    after the other, and has no public way to change that."""
    connection._create_connection = dial  # type: ignore[attr-defined]
    return connection


def _has_news(connection: "HTTPConnection") -> bool:
    """Whether something came that nobody asked for, which mostly is the end."""
    handle: socket.socket | None = connection.sock
    if handle is None or handle.fileno() < 0:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([handle], [], [], 0)[0])


def _proxy_for(host: str) -> str:
    """The address of the proxy for https to ``host``; empty if there is none."""
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all") or ""
    return "" if not proxy or proxy_bypass(host) else proxy


def _proxy_headers(user: str | None, password: str | None) -> dict[str, str]:
    if not user:
        return {}
    pair = f"{unquote(user)}:{unquote(password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
