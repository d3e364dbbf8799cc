"""Answers to requests for a part of some content (RFC 9110, section 14)."""

import gzip
import re
from collections.abc import Mapping

from tests.support.fake_hub.messages import Framing, Request, Response

__all__ = ["compressed", "etags", "is_compressible", "matches", "part_of"]

_ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)


def part_of(
    request: Request,
    content: bytes | memoryview,
    headers: Mapping[str, str],
    *,
    heed_if_range: bool = True,
) -> Response:
    """The whole content with 200, the part asked for with 206, or 416 if it has no such part.

    What is not one plain range is answered with everything, as the RFC allows.
    """
    total = len(content)
    headers = {**headers, "Accept-Ranges": "bytes"}
    if_range = request.header("if-range")
    is_same = if_range is None or not heed_if_range or if_range == headers.get("ETag")
    found = _ONE_RANGE.fullmatch(request.header("range") or "")
    if found is None or not is_same or found[0] == "bytes=-":
        return Response(200, headers, content)
    if found[1]:
        first, last = int(found[1]), min(int(found[2] or total), total - 1)
        if found[2] and int(found[2]) < first:
            return Response(200, headers, content)
    else:
        first, last = max(0, total - int(found[2])), total - 1
    if first >= total or first > last:
        return Response(416, {**headers, "Content-Range": f"bytes */{total}"})
    headers["Content-Range"] = f"bytes {first}-{last}/{total}"
    return Response(206, headers, memoryview(content)[first : last + 1], start=first)


def is_compressible(content_type: str) -> bool:
    """Whether an edge compresses content of this type on the way."""
    return content_type.startswith(("application/json", "text/"))


def compressed(content: bytes | memoryview, headers: Mapping[str, str]) -> Response:
    """All of it, compressed on the fly: no length is known, and a range means nothing."""
    headers = {**headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    # A compressed body is another representation, so its ETag can only be a weak one.
    if "ETag" in headers:
        headers["ETag"] = f"W/{headers['ETag'].removeprefix('W/')}"
    return Response(200, headers, gzip.compress(content, 1, mtime=0), framing=Framing.CHUNKED)


def etags(header: str | None) -> tuple[str, ...]:
    """The entity tags of an ``If-None-Match``, without quotes and the mark of weakness."""
    return tuple(part.strip().removeprefix("W/").strip('"') for part in (header or "").split(","))


def matches(request: Request, etag: str) -> bool:
    """Whether the client says that it has what ``etag`` names."""
    asked = request.header("if-none-match")
    return asked is not None and (asked.strip() == "*" or etag in etags(asked))
