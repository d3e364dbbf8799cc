"""The ways in which servers get ranges wrong."""

import re
from dataclasses import dataclass, replace

from tests.support.fake_hub.chaos import Fault
from tests.support.fake_hub.messages import Request, Response
from tests.support.fake_hub.ranges import compressed

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII)
BOUNDARY = "next-part"


@dataclass(frozen=True, slots=True)
class RangeIgnored(Fault):
    """200 with everything, whatever was asked for."""

    def before(self, request: Request) -> Request:
        return request.without_header("range")


@dataclass(frozen=True, slots=True)
class RangeWrong(Fault):
    """A ``Content-Range`` that is off by so many bytes in its start or its total."""

    start_by: int = 0
    total_by: int = 0

    def after(self, request: Request, response: Response) -> Response:
        del request
        found = _CONTENT_RANGE.fullmatch(response.header("Content-Range") or "")
        if found is None:
            return response
        first, last, total = (int(number) for number in found.groups())
        shown = f"bytes {first + self.start_by}-{last + self.start_by}/{total + self.total_by}"
        return response.with_headers({"Content-Range": shown})


@dataclass(frozen=True, slots=True)
class RangeRefused(Fault):
    """416 for a range that exists."""

    def after(self, request: Request, response: Response) -> Response:
        del request
        found = _CONTENT_RANGE.fullmatch(response.header("Content-Range") or "")
        total = found[3] if found else str(len(response.body))
        refused = Response(416, response.without("Content-Length").headers)
        return refused.with_headers({"Content-Range": f"bytes */{total}"})


@dataclass(frozen=True, slots=True)
class RangeShort(Fault):
    """206 with fewer bytes than were asked for, and headers that say so."""

    size_bytes: int

    def after(self, request: Request, response: Response) -> Response:
        del request
        found = _CONTENT_RANGE.fullmatch(response.header("Content-Range") or "")
        if found is None:
            return response
        first, last, total = (int(number) for number in found.groups())
        last = min(last, first + self.size_bytes - 1)
        shorter = response.with_body(memoryview(response.body)[: last - first + 1])
        return shorter.with_headers({"Content-Range": f"bytes {first}-{last}/{total}"})


@dataclass(frozen=True, slots=True)
class RangeWithStatus200(Fault):
    """The right part and the right ``Content-Range`` under the wrong status.

    Source: modelscope_hub issue 50.
    """

    def after(self, request: Request, response: Response) -> Response:
        del request
        return replace(response, status=200) if response.status == 206 else response


@dataclass(frozen=True, slots=True)
class GzipAnyway(Fault):
    """Everything, compressed, although the request said ``identity``."""

    def before(self, request: Request) -> Request:
        return request.without_header("range")

    def after(self, request: Request, response: Response) -> Response:
        del request
        kept = response.without("Content-Length", "Content-Range").headers
        return compressed(response.body, kept)


@dataclass(frozen=True, slots=True)
class Multipart(Fault):
    """206 as ``multipart/byteranges``, which is meant for several ranges, for one."""

    def after(self, request: Request, response: Response) -> Response:
        del request
        content_range = response.header("Content-Range")
        if content_range is None:
            return response
        head = (
            f"--{BOUNDARY}\r\nContent-Type: application/octet-stream\r\n"
            f"Content-Range: {content_range}\r\n\r\n"
        )
        body = head.encode() + bytes(response.body) + f"\r\n--{BOUNDARY}--\r\n".encode()
        kind = {"Content-Type": f"multipart/byteranges; boundary={BOUNDARY}"}
        return response.with_body(body).without("Content-Range").with_headers(kind)
