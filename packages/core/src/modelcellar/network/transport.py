"""Calls over HTTP/2 or HTTP/1.1 whose whole answer is wanted, by httpx."""

import json
import logging
import ssl
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from modelcellar.network.exchanges import (
    Call,
    ExchangeError,
    Reason,
    answer_headers,
    header_texts,
    user_agent,
)
from modelcellar.network.failures import failure_of
from modelcellar.network.http import Response

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpTransport", "Transport"]

# They write whole headers, and with them tokens and signed addresses, into the log.
TALKATIVE = (
    *(f"httpcore.{name}" for name in ("connection", "http11", "http2", "proxy", "socks")),
    *("httpx", "hpack.hpack", "hpack.table"),
)
_LOG = logging.getLogger(__name__)
_IS_OURS = ContextVar("_IS_OURS", default=False)


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
        headers = header_texts(call, self._agent)
        content = None
        if call.json is not None:
            content = json.dumps(call.json).encode()
            headers.setdefault("content-type", "application/json")
        limits = httpx.Timeout(None, connect=call.connect_s)
        async with client.stream(
            call.method, call.url, headers=headers, content=content, timeout=limits
        ) as answer:
            body = await _read(answer, call)
        return Response(
            answer.status_code, call.url, answer_headers(answer.headers.multi_items()), body
        )

    def _open(self) -> "httpx.AsyncClient":
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        import httpx

        for name in TALKATIVE:
            logger = logging.getLogger(name)
            if not any(isinstance(one, _Quiet) for one in logger.filters):
                logger.addFilter(_Quiet())
        self._agent = user_agent(f"httpx/{httpx.__version__}")
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
