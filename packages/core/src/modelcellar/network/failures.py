"""The errors of HTTP libraries and of sockets, in our words."""

import errno
import socket
import ssl
from collections.abc import Iterator

from modelcellar.network.exchanges import ExchangeError, Reason

__all__ = ["failure_of"]

_NO_ROUTE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN}


def failure_of(error: Exception) -> ExchangeError:
    """The library's error in our words, without its text, which may quote what was sent."""
    import http.client

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
        (http.client.InvalidURL, Reason.UNSENDABLE, "the address or a header is not allowed"),
        (
            http.client.HTTPException,
            Reason.FAILED,
            "it broke off, or answered with something else",
        ),
        (TimeoutError, Reason.FAILED, "it took too long"),
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
