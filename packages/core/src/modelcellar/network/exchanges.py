"""What one exchange with a host is made of, whichever library makes it."""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from modelcellar._version import __version__
from modelcellar.network.secret import Secret
from modelcellar.records import JsonValue

__all__ = ["Call", "ExchangeError", "Reason", "answer_headers", "header_texts", "user_agent"]


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


def user_agent(library: str = "") -> str:
    """Who we are, for the header of that name; ``library`` is what makes the exchange."""
    ours = f"modelcellar/{__version__}; python/{platform.python_version()}"
    return f"{ours}; {library}" if library else ours


def header_texts(call: Call, agent: str) -> dict[str, str]:
    """The headers as they are sent, secrets revealed, under lower-case names."""
    texts = {"user-agent": agent}
    for name, value in call.headers.items():
        texts[name.lower()] = value.reveal() if isinstance(value, Secret) else value
    return texts


def answer_headers(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers that came, under lower-case names, repeated ones joined; never a cookie."""
    found: dict[str, str] = {}
    for name, value in items:
        key = name.lower()
        if key != "set-cookie":
            found[key] = f"{found[key]}, {value}" if key in found else value
    return found
