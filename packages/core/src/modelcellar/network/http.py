"""What is asked of the network and what it answers, as frozen values; no HTTP library in sight."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelcellar.records import JsonValue

__all__ = ["Request", "Response", "origin_of"]


@dataclass(frozen=True, slots=True)
class Request:
    """One call.

    ``idempotent`` is whether it may be sent again after a failure; a POST that only asks may be.
    ``bucket`` is which of the host's quotas it counts against (the Hub: ``api``, ``resolvers``,
    ``pages``). ``timeout_s`` is for one attempt, until the whole answer is there; ``deadline_s``
    for all attempts with the waits between. An answer of more than ``max_bytes`` is refused.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
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
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

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
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an absolute http address: {url!r}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
