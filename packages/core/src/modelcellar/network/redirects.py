"""Where a redirect leads, and what may come along; pure rules."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urldefrag, urljoin, urlsplit

from modelcellar.errors import AnswerRefusedError
from modelcellar.network.http import Request, Response, display_url, is_loopback, origin_of
from modelcellar.network.secret import Secret

__all__ = ["MOST_REDIRECTS", "follow", "is_redirect", "leads_on", "with_secrets"]

MOST_REDIRECTS = 10
CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def is_redirect(response: Response) -> bool:
    """Whether the answer says to ask elsewhere."""
    return response.status in _REDIRECTS and "location" in response.headers


def leads_on(request: Request, response: Response) -> bool:
    """Whether the answer says to ask elsewhere, and that is wanted."""
    return request.follow_redirects and is_redirect(response)


def with_secrets(request: Request) -> Request:
    """The request with lower-case header names and every credential as a :class:`Secret`."""
    headers: dict[str, str | Secret] = {}
    for name, value in request.headers.items():
        is_bare = name.lower() in CREDENTIALS and isinstance(value, str)
        headers[name.lower()] = Secret(str(value)) if is_bare else value
    return replace(request, method=request.method.upper(), headers=headers)


def follow(request: Request, response: Response) -> Request:
    """The request that a redirect asks for.

    Only https is followed, and plain http from this machine to itself: no host may send us to
    what runs beside us. Credentials stay with the origin they were for, for good: they do not come
    back when a later redirect leads there again.

    Raises:
        AnswerRefusedError: it leads somewhere where we do not go.
    """
    here = origin_of(request.url)
    try:
        target = urldefrag(urljoin(request.url, response.headers["location"])).url
        there = origin_of(target)
        has_user = "@" in urlsplit(target).netloc
    except ValueError:
        raise _refused(here, "to what is no address") from None
    if has_user:
        raise _refused(here, "to an address with a password in it")
    if there.startswith("http:") and not (is_loopback(there) and is_loopback(here)):
        raise _refused(here, f"to {display_url(target)}, which is not encrypted")
    headers = _without_secrets(request.headers) if there != here else request.headers
    method, json = request.method, request.json
    # RFC 9110, 15.4: 303 always asks for a GET, and what every browser makes of 301 and 302.
    if (response.status == 303 and method != "HEAD") or (
        response.status in (301, 302) and method == "POST"
    ):
        method, json = "GET", None
    return replace(request, method=method, url=target, headers=headers, json=json)


def _without_secrets(headers: Mapping[str, str | Secret]) -> Mapping[str, str | Secret]:
    return {name: value for name, value in headers.items() if not isinstance(value, Secret)}


def _refused(origin: str, where: str) -> AnswerRefusedError:
    return AnswerRefusedError(
        f"{origin} redirects {where}: not followed",
        "If you did not set this up, something between you and the host did.",
        origin=origin,
    )
