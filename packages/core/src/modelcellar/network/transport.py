"""One exchange with a host over HTTP; the only module that knows which library does it."""

import errno
import json
import logging
import platform
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from modelcellar._version import __version__
from modelcellar.network.http import Response
from modelcellar.network.secret import Secret
from modelcellar.records import JsonValue

if TYPE_CHECKING:
    import httpx

__all__ = ["Call", "ExchangeError", "HttpTransport", "Reason", "Transport"]

# They write whole headers, and with them tokens and signed addresses, into the log.
TALKATIVE = (
    *(f"httpcore.{name}" for name in ("connection", "http11", "http2", "proxy", "socks")),
    *("httpx", "hpack.hpack", "hpack.table"),
)
_LOG = logging.getLogger(__name__)
_IS_OURS = ContextVar("_IS_OURS", default=False)
_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}


class Reason(StrEnum):
    """Why there is no answer. ``unreachable``: nobody was spoken to, so it may be our own line.

    ``failed``: the host broke off or did not speak HTTP. ``distrusted``: its certificate is not
    good. ``refused``: we do not take what it sent. ``unsendable``: we cannot send that.
    """

    UNREACHABLE = "unreachable"
    FAILED = "failed"
    DISTRUSTED = "distrusted"
    REFUSED = "refused"
    UNSENDABLE = "unsendable"


class ExchangeError(Exception):
    """There was no answer. ``cause`` says why in words that hold nothing of what was sent."""

    def __init__(self, reason: Reason, cause: str) -> None:
        super().__init__(cause)
        self.reason = reason
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it is sent; redirects are answers here. Connecting takes ``connect_s``."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str | Secret] = field(default_factory=dict, repr=False)
    json: JsonValue = field(default=None, repr=False)
    max_bytes: int = 32 << 20
    connect_s: float = 5.0


class Transport(Protocol):
    """Sends calls. Time limits are the caller's: it cancels."""

    async def exchange(self, call: Call) -> Response:
        """Send the call and read the whole answer.

        Raises:
            ExchangeError: there is none.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class HttpTransport:
    """HTTP/2 where the host speaks it, else HTTP/1.1, over connections that are kept open.

    ``trust`` is which certificates are good; by default those of httpx, or ``SSL_CERT_FILE``.
    """

    def __init__(self, *, trust: ssl.SSLContext | None = None) -> None:
        self._trust = trust
        self._client: httpx.AsyncClient | None = None
        self._agent = ""

    async def exchange(self, call: Call) -> Response:
        """Send the call and read the whole answer; see :class:`Transport`."""
        import httpx
        from h2.exceptions import H2Error

        mark = _IS_OURS.set(True)
        try:
            return await self._exchange(call)
        except ExchangeError:
            raise
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            failure = failure_of(error)
        except (ExceptionGroup, H2Error, KeyError, RuntimeError) as error:
            # These pass through httpx 0.28: of anyio when it connects, and of races with a host
            # that closes an HTTP/2 connection (encode/httpcore issues 730 and 1054).
            _LOG.debug("an error that the library should have caught: %s", type(error).__name__)
            failure = ExchangeError(Reason.FAILED, "the connection broke")
        finally:
            _IS_OURS.reset(mark)
        # Raised out here, because the library's error carries the request with all its headers.
        raise failure

    async def aclose(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _exchange(self, call: Call) -> Response:
        import httpx

        client = self._client or self._open()
        headers = {"user-agent": self._agent}
        for name, value in call.headers.items():
            headers[name.lower()] = value.reveal() if isinstance(value, Secret) else value
        content = None
        if call.json is not None:
            content = json.dumps(call.json).encode()
            headers.setdefault("content-type", "application/json")
        limits = httpx.Timeout(None, connect=call.connect_s)
        async with client.stream(
            call.method, call.url, headers=headers, content=content, timeout=limits
        ) as answer:
            body = await _read(answer, call)
        found: dict[str, str] = {}
        for name, value in answer.headers.multi_items():
            if name != "set-cookie":
                found[name] = f"{found[name]}, {value}" if name in found else value
        return Response(answer.status_code, call.url, found, body)

    def _open(self) -> "httpx.AsyncClient":
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        import httpx

        for name in TALKATIVE:
            logger = logging.getLogger(name)
            if not any(isinstance(one, _Quiet) for one in logger.filters):
                logger.addFilter(_Quiet())
        self._agent = (
            f"modelcellar/{__version__}; python/{platform.python_version()}"
            f"; httpx/{httpx.__version__}"
        )
        self._client = httpx.AsyncClient(
            http2=True,
            verify=True if self._trust is None else self._trust,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            # Plain http is for this machine only, and no proxy needs to see what passes there.
            mounts={"http://": None},
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
        )
        return self._client


class _Quiet(logging.Filter):
    """Of what is logged during our exchanges, lets warnings pass and nothing below."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or not _IS_OURS.get()


async def _read(answer: "httpx.Response", call: Call) -> bytes:
    """The body, in pieces, so that one without end does not fill the memory."""
    if call.method == "HEAD":
        return b""
    promised = answer.headers.get("content-length", "")
    too_long = promised.isascii() and promised.isdigit() and int(promised[:18]) > call.max_bytes
    pieces, size = [], 0
    if not too_long:
        async for piece in answer.aiter_bytes():
            size += len(piece)
            too_long = size > call.max_bytes
            if too_long:
                break
            pieces.append(piece)
    if too_long:
        raise ExchangeError(Reason.REFUSED, f"the answer is longer than {call.max_bytes:,} bytes")
    return b"".join(pieces)


def failure_of(error: Exception) -> ExchangeError:
    """The library's error in our words, without its text, which may quote what was sent."""
    import httpx

    for inner in _chain(error):
        if isinstance(inner, ssl.SSLCertVerificationError):
            return ExchangeError(Reason.DISTRUSTED, "its certificate is not trusted")
        if isinstance(inner, socket.gaierror):
            return ExchangeError(Reason.UNREACHABLE, "its name was not found")
        if isinstance(inner, OSError) and inner.errno in _NO_ROUTE:
            return ExchangeError(Reason.UNREACHABLE, "there is no route to it")
        if isinstance(inner, ConnectionRefusedError):
            return ExchangeError(Reason.UNREACHABLE, "it refuses connections")
    for kind, reason, cause in (
        (httpx.ConnectTimeout, Reason.UNREACHABLE, "connecting took too long"),
        (httpx.TimeoutException, Reason.FAILED, "it took too long"),
        (httpx.ProxyError, Reason.UNREACHABLE, "the proxy did not let us through"),
        (httpx.ConnectError, Reason.FAILED, "no connection could be made"),
        (httpx.UnsupportedProtocol, Reason.UNSENDABLE, "the address is not one of the web"),
        (httpx.LocalProtocolError, Reason.UNSENDABLE, "a header or the method is not allowed"),
        (httpx.RemoteProtocolError, Reason.FAILED, "it broke off, or answered with something else"),
        (httpx.DecodingError, Reason.FAILED, "its answer could not be unpacked"),
        (httpx.TransportError, Reason.FAILED, "the connection broke"),
        (httpx.HTTPError, Reason.FAILED, "it answered in a way that is not understood"),
        (httpx.StreamError, Reason.FAILED, "the connection broke"),
        (OSError, Reason.FAILED, "the connection broke"),
    ):
        if isinstance(error, kind):
            return ExchangeError(reason, cause)
    return ExchangeError(Reason.UNSENDABLE, "the address or a header is not allowed")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it came from, and so on; of several connections tried, each."""
    waiting, seen = [error], 0
    while waiting and seen < 64:
        one = waiting.pop()
        seen += 1
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        inner = one.__cause__ or one.__context__
        if inner is not None:
            waiting.append(inner)
