"""What goes over the wire: a request as it was read, an answer as it will be sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

__all__ = ["Delivery", "Ending", "Framing", "Request", "Response", "html", "json_answer", "text"]

NO_BODY = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``headers`` have lower-case names; ``body`` is complete."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    client: str = "127.0.0.1"

    @property
    def raw_path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def path(self) -> str:
        return unquote(self.raw_path)

    @property
    def segments(self) -> tuple[str, ...]:
        """The decoded parts of the path; ``refs%2Fpr%2F1`` stays one part, as the Hub reads it."""
        return tuple(unquote(part) for part in self.raw_path.strip("/").split("/"))

    @property
    def raw_query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        return tuple(parse_qsl(self.raw_query, keep_blank_values=True))

    def values(self, name: str) -> tuple[str, ...]:
        """All values of a parameter; ``name[]=a`` means the same as ``name=a``."""
        return tuple(value for key, value in self.query if key in {name, f"{name}[]"})

    def value(self, name: str, default: str = "") -> str:
        return next(iter(self.values(name)), default)

    def flag(self, name: str) -> bool:
        """A boolean in any letter case: clients on requests send ``True``, on httpx ``true``."""
        return is_true(self.value(name))

    def header(self, name: str) -> str | None:
        return self.headers.get(name.lower())

    def accepts_gzip(self) -> bool:
        return "gzip" in (self.header("accept-encoding") or "")

    def without_header(self, name: str) -> "Request":
        kept = {key: value for key, value in self.headers.items() if key != name.lower()}
        return replace(self, headers=kept)


def is_true(text: str) -> bool:
    return text.lower() in {"true", "1"}


class Framing(StrEnum):
    """How the client can tell where a body ends."""

    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


class Ending(StrEnum):
    """What happens to the connection when ``Delivery.cut_after`` bytes of the body were sent."""

    FIN = "fin"
    RST = "rst"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an answer is sent; plainly by default.

    ``cut_after`` and ``stall_after`` count bytes of the body. A cut ``before_headers`` sends
    nothing at all. ``surplus`` are bytes sent after the body that no header announces.
    """

    cut_after: int | None = None
    ending: Ending = Ending.FIN
    before_headers: bool = False
    stall_after: int | None = None
    stall_s: float = 0.0
    drip_bytes: int = 0
    drip_pause_s: float = 0.0
    surplus: bytes = b""


PLAIN = Delivery()


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. ``start`` is where in the whole content ``body`` begins."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | memoryview = b""
    start: int = 0
    framing: Framing = Framing.LENGTH
    delivery: Delivery = PLAIN

    def header(self, name: str) -> str | None:
        found = (value for key, value in self.headers.items() if key.lower() == name.lower())
        return next(found, None)

    def without(self, *names: str) -> "Response":
        unwanted = {name.lower() for name in names}
        kept = {key: value for key, value in self.headers.items() if key.lower() not in unwanted}
        return replace(self, headers=kept)

    def with_headers(self, headers: Mapping[str, str]) -> "Response":
        return replace(self, headers={**self.without(*headers).headers, **headers})

    def with_body(self, body: bytes | memoryview) -> "Response":
        """Other bytes, and whatever length was written down for the old ones forgotten."""
        return replace(self.without("Content-Length"), body=body)

    def head(self) -> bytes:
        """Status line and headers, as they are sent."""
        try:
            reason = HTTPStatus(self.status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {reason}"]
        lines += [f"{key}: {value}" for key, value in self.headers.items()]
        if self.framing is Framing.CHUNKED:
            lines.append("Transfer-Encoding: chunked")
        elif self.framing is Framing.CLOSE:
            lines.append("Connection: close")
        elif self.status not in NO_BODY and self.header("Content-Length") is None:
            lines.append(f"Content-Length: {len(self.body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def json_answer(
    content: object, status: int = 200, *, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer in JSON, written as compactly as the Hub writes it."""
    body = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    kind = {"Content-Type": "application/json; charset=utf-8"}
    return Response(status, {**kind, **(headers or {})}, body)


def text(content: str, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in plain text."""
    kind = {"Content-Type": "text/plain; charset=utf-8"}
    return Response(status, {**kind, **(headers or {})}, content.encode())


def html(content: str, status: int = 200) -> Response:
    """A web page, as proxies, edges and captive portals send."""
    return Response(status, {"Content-Type": "text/html; charset=utf-8"}, content.encode())
