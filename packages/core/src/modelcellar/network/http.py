"""What is asked of the network and what it answers, as frozen values; no HTTP library in sight."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from modelcellar.config import is_loopback_host
from modelcellar.network.secret import Secret
from modelcellar.records import JsonValue

__all__ = ["Request", "Response", "display_url", "is_loopback", "origin_of"]


@dataclass(frozen=True, slots=True)
class Request:
    """One call.

    ``idempotent`` is whether it may be sent again after a failure; a POST that only asks may be.
    ``bucket`` is which of the host's quotas it counts against (the Hub: ``api``, ``resolvers``,
    ``pages``). ``timeout_s`` is for one attempt, until the whole answer is there; ``deadline_s``
    for all attempts with the waits between. An answer of more than ``max_bytes`` is refused.

    A header that is a :class:`Secret`, and every ``Authorization`` and ``Cookie``, goes only to the
    origin of ``url``: a redirect to another one is followed without it.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str | Secret] = field(default_factory=dict, repr=False)
    json: JsonValue = None
    idempotent: bool = True
    bucket: str = ""
    timeout_s: float = 10.0
    deadline_s: float = 60.0
    max_bytes: int = 32 << 20
    follow_redirects: bool = True


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. ``headers`` have lower-case names; ``url`` is the last one of redirects."""

    status: int
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    def json(self) -> JsonValue:
        """The body as JSON.

        Raises:
            ValueError: it is none, as when a captive portal answers with a page of its own.
        """
        return json.loads(self.body)


def origin_of(url: str) -> str:
    """``scheme://host[:port]`` of ``url``, lower-case, without the scheme's own port.

    Raises:
        ValueError: not an absolute http or https URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an absolute http address: {display_url(url)!r}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def is_loopback(origin: str) -> bool:
    """Whether the origin is on this very machine."""
    return is_loopback_host(urlsplit(origin).hostname or "")


def display_url(url: str) -> str:
    """The address without user, password, query and fragment, which may all hold secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(not an address)"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"[:500]
