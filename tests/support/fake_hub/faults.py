"""The things that go wrong with connections, statuses, redirects, headers and content."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tests.support.fake_hub.chaos import Fault
from tests.support.fake_hub.clock import FakeClock
from tests.support.fake_hub.messages import (
    Ending,
    Framing,
    Request,
    Response,
    html,
    text,
)
from tests.support.fake_hub.ranges import part_of

ERROR_PAGE = "<html><head><title>{0} error</title></head><body><h1>{0}</h1></body></html>\n"
PORTAL_PAGE = "<!DOCTYPE html><html><head><title>Sign in to Wi-Fi</title></head></html>\n"
# What the Hub's edge says; saved as a model by clients that do not look at the status.
TOO_MANY_TEXT = (
    "We had to rate limit your IP ({ip}). To continue using our service, log in to your account "
    "and make sure you pass a HF_TOKEN with your request.\n"
)


@dataclass(frozen=True, slots=True)
class Cut(Fault):
    """The connection ends after so many bytes of the body; a FIN, or with ``reset`` an RST."""

    after_bytes: int = 0
    reset: bool = False

    def after(self, request: Request, response: Response) -> Response:
        del request
        ending = Ending.RST if self.reset else Ending.FIN
        delivery = replace(response.delivery, cut_after=self.after_bytes, ending=ending)
        return replace(response, delivery=delivery)


@dataclass(frozen=True, slots=True)
class NoAnswer(Fault):
    """The request is read, and the connection ends before one byte is sent."""

    reset: bool = True

    def after(self, request: Request, response: Response) -> Response:
        del request
        ending = Ending.RST if self.reset else Ending.FIN
        delivery = replace(response.delivery, before_headers=True, ending=ending)
        return replace(response, delivery=delivery)


@dataclass(frozen=True, slots=True)
class Stall(Fault):
    """Nothing comes for a while after so many bytes of the body, then the rest does.

    With ``after_bytes=None`` even the headers come late.
    """

    seconds: float
    after_bytes: int | None = 0

    def after(self, request: Request, response: Response) -> Response:
        del request
        place = -1 if self.after_bytes is None else self.after_bytes
        delivery = replace(response.delivery, stall_after=place, stall_s=self.seconds)
        return replace(response, delivery=delivery)


@dataclass(frozen=True, slots=True)
class Drip(Fault):
    """A few bytes at a time, so slowly that no time limit for one read is ever reached."""

    piece_bytes: int
    pause_s: float

    def after(self, request: Request, response: Response) -> Response:
        del request
        delivery = replace(
            response.delivery, drip_bytes=self.piece_bytes, drip_pause_s=self.pause_s
        )
        return replace(response, delivery=delivery)


@dataclass(frozen=True, slots=True)
class Status(Fault):
    """An error of the edge, with a web page, instead of the answer."""

    status: int
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def after(self, request: Request, response: Response) -> Response:
        del request, response
        page = ERROR_PAGE.format(self.status) if self.body is None else self.body
        return html(page, self.status).with_headers(self.headers)


@dataclass(frozen=True, slots=True)
class TooMany(Fault):
    """429. Which of its forms, the headers say; without any it is the bare one of an edge."""

    headers: Mapping[str, str] = field(default_factory=dict)

    def after(self, request: Request, response: Response) -> Response:
        del response
        return text(TOO_MANY_TEXT.format(ip=request.client), 429, headers=self.headers)

    @classmethod
    def quota(cls, wait_s: int, *, bucket: str = "api", left: int = 0) -> "TooMany":
        """The Hub's own, with what is left of the quota and the seconds until it is whole."""
        policy = f'"fixed window";"{bucket}";q=500;w=300'
        return cls({"RateLimit": f'"{bucket}";r={left};t={wait_s}', "RateLimit-Policy": policy})

    @classmethod
    def retry_after(cls, wait_s: int, *, left: int | None = None) -> "TooMany":
        """An edge's, with seconds; ``left`` adds that the quota is not used up."""
        headers = {} if left is None else cls.quota(120, left=left).headers
        return cls({**headers, "Retry-After": str(wait_s)})

    @classmethod
    def retry_at(cls, clock: FakeClock, wait_s: float) -> "TooMany":
        """An edge's, with a date."""
        return cls({"Retry-After": clock.http_date(wait_s)})


@dataclass(frozen=True, slots=True)
class Redirect(Fault):
    """The answer is somewhere else: ``location`` may be absolute, relative or another scheme."""

    location: str
    status: int = 302

    def after(self, request: Request, response: Response) -> Response:
        del request, response
        found = f"Found. Redirecting to {self.location}"
        return text(found, self.status, headers={"Location": self.location})


@dataclass(frozen=True, slots=True)
class RedirectChain(Fault):
    """So many redirects, each to the same path, before the answer; ``hops=None`` is a loop.

    Give its rule ``times=None``: every hop is a request of its own.
    """

    hops: int | None = None
    status: int = 307

    def before(self, request: Request) -> Request:
        target, _, _ = request.target.partition("hop=")
        return replace(request, target=target.rstrip("?&"))

    def after(self, request: Request, response: Response) -> Response:
        hop = int(request.value("hop", "0"))
        if self.hops is not None and hop >= self.hops:
            return response
        target, _, _ = request.target.partition("hop=")
        target = target.rstrip("?&")
        location = f"{target}{'&' if '?' in target else '?'}hop={hop + 1}"
        return Redirect(location, self.status).after(request, response)


@dataclass(frozen=True, slots=True)
class Without(Fault):
    """A header is missing. Without ``Content-Length`` the body ends where the connection does."""

    name: str

    def after(self, request: Request, response: Response) -> Response:
        del request
        if self.name.lower() == "content-length":
            response = replace(response, framing=Framing.CLOSE)
        return response.without(self.name)


@dataclass(frozen=True, slots=True)
class Header(Fault):
    """A header with another value."""

    name: str
    value: str

    def after(self, request: Request, response: Response) -> Response:
        del request
        return response.with_headers({self.name: self.value})


@dataclass(frozen=True, slots=True)
class WeakEtag(Fault):
    """``W/"..."`` in every header that holds an entity tag."""

    def after(self, request: Request, response: Response) -> Response:
        del request
        tags = {name: response.header(name) for name in ("ETag", "X-Linked-ETag")}
        return response.with_headers({name: f"W/{tag}" for name, tag in tags.items() if tag})


@dataclass(frozen=True, slots=True)
class Chunked(Fault):
    """The body in chunks, its length announced nowhere."""

    def after(self, request: Request, response: Response) -> Response:
        del request
        return replace(response.without("Content-Length"), framing=Framing.CHUNKED)


@dataclass(frozen=True, slots=True)
class FlippedByte(Fault):
    """One byte of the whole content has another value, wherever an answer has that byte."""

    at: int = 0

    def after(self, request: Request, response: Response) -> Response:
        del request
        place = self.at - response.start
        if not 0 <= place < len(response.body):
            return response
        changed = bytearray(response.body)
        changed[place] ^= 0xFF
        return replace(response, body=bytes(changed))


@dataclass(frozen=True, slots=True)
class OtherContent(Fault):
    """Every byte is another one, the same ones each time; the size is right."""

    def after(self, request: Request, response: Response) -> Response:
        del request
        return replace(response, body=bytes(response.body).translate(_INVERTED))


_INVERTED = bytes(0xFF - value for value in range(256))


@dataclass(frozen=True, slots=True)
class Replaced(Fault):
    """Other content altogether, of any size, in ranges as well; with ``etag`` under its own."""

    content: bytes
    etag: str | None = None

    def after(self, request: Request, response: Response) -> Response:
        headers = response.without("Content-Length", "Content-Range").headers
        if self.etag is not None:
            headers = {**headers, "ETag": f'"{self.etag}"'}
        return part_of(request, self.content, headers)


@dataclass(frozen=True, slots=True)
class Portal(Fault):
    """The sign-in page of a hotel, with status 200."""

    def after(self, request: Request, response: Response) -> Response:
        del request, response
        return html(PORTAL_PAGE)


@dataclass(frozen=True, slots=True)
class Empty(Fault):
    """The status and the headers are right, and the body has no bytes."""

    def after(self, request: Request, response: Response) -> Response:
        del request
        return response.with_body(b"")


@dataclass(frozen=True, slots=True)
class Longer(Fault):
    """More bytes than ``Content-Length`` says, then the end of the connection."""

    surplus: bytes = b"more than was said"

    def after(self, request: Request, response: Response) -> Response:
        del request
        return replace(response, delivery=replace(response.delivery, surplus=self.surplus))


@dataclass(frozen=True, slots=True)
class Do(Fault):
    """Something happens: a commit, a new rule, time passing. Before the answer is made, or after.

    With ``late`` the answer is what it would have been, and only what comes next is different.
    """

    action: Callable[[], object]
    late: bool = False

    def before(self, request: Request) -> Request:
        if not self.late:
            self.action()
        return request

    def after(self, request: Request, response: Response) -> Response:
        del request
        if self.late:
            self.action()
        return response
