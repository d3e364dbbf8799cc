"""Whether an answer holds the bytes that were asked for; pure rules (RFC 9110, section 14)."""

import re
from dataclasses import dataclass
from enum import StrEnum

from modelcellar.network.http import Response

__all__ = ["Kind", "Verdict", "judge"]

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)", re.ASCII)
_IDENTITY = ("", "identity")


class Kind(StrEnum):
    """What an answer is. ``part``: from where it was asked for. ``whole``: everything from byte 0.

    ``wrong``: neither, but the next try may be right. ``refused``: the host gives no bytes.
    """

    PART = "part"
    WHOLE = "whole"
    WRONG = "wrong"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer is, and of one that is wrong why, in words."""

    kind: Kind
    cause: str = ""


def judge(response: Response, start: int, size_bytes: int) -> Verdict:
    """What the answer to a request for the bytes from ``start`` of ``size_bytes`` is."""
    headers = response.headers
    if response.status not in (200, 206):
        is_range = response.status == 416
        cause = f"it answers {response.status}"
        return Verdict(Kind.WRONG if is_range else Kind.REFUSED, cause)
    coding = headers.get("content-encoding", "").strip().lower()
    if coding not in _IDENTITY:
        return Verdict(Kind.WRONG, f"it sends the bytes packed ({coding[:20]})")
    if response.status == 206:
        return _judge_part(headers.get("content-range", ""), start, size_bytes)
    told = headers.get("content-length")
    if told is not None and told.strip() != str(size_bytes):
        return Verdict(Kind.WRONG, f"it sends {told[:20]} bytes instead of {size_bytes:,}")
    if told is None and headers.get("content-type", "").startswith("text/html"):
        return Verdict(Kind.WRONG, "it sends a page instead of the file")
    return Verdict(Kind.WHOLE)


def _judge_part(text: str, start: int, size_bytes: int) -> Verdict:
    found = _CONTENT_RANGE.fullmatch(text.strip())
    if found is None:
        return Verdict(Kind.WRONG, "it does not say which bytes it sends")
    first, last, total = found.groups()
    if int(first) != start or int(last) < start:
        return Verdict(Kind.WRONG, f"it sends other bytes than those from {start:,} on")
    if total != "*" and int(total) != size_bytes:
        return Verdict(Kind.WRONG, f"it has {int(total):,} bytes there instead of {size_bytes:,}")
    return Verdict(Kind.PART)
