"""What hosts say about their quotas in the headers of answers, read without trusting it.

``Retry-After`` is RFC 9110, section 10.2.3. ``RateLimit`` and ``RateLimit-Policy`` are those of the
IETF's draft on rate limit headers, in the form that the Hugging Face Hub sends with every answer:
``RateLimit: "api";r=499;t=295`` and ``RateLimit-Policy: "fixed window";"api";q=500;w=300``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["Quota", "parse_quotas", "refused_for_s", "retry_after_s"]

LONGEST_S = 86_400.0
_LIMIT = re.compile(r'"([\w.-]{1,64})"\s*;\s*r=(\d{1,9})\s*;\s*t=(\d{1,6})', re.ASCII)
_POLICY = re.compile(r'"([\w.-]{1,64})"\s*;\s*q=(\d{1,9})\s*;\s*w=(\d{1,6})', re.ASCII)


@dataclass(frozen=True, slots=True)
class Quota:
    """One of a host's quotas: ``left`` of ``limit`` calls until ``reset_s`` seconds from now.

    ``limit`` and ``window_s`` are ``None`` where the host did not say.
    """

    bucket: str
    left: int
    reset_s: float
    limit: int | None = None
    window_s: float | None = None


def parse_quotas(headers: Mapping[str, str]) -> tuple[Quota, ...]:
    """The quotas in the headers of an answer (names in lower case); none if there are none."""
    text = headers.get("ratelimit")
    if not text:
        return ()
    policies = {
        name: (int(limit), float(window))
        for name, limit, window in _POLICY.findall(headers.get("ratelimit-policy", "")[:1000])
    }
    return tuple(
        Quota(name, int(left), float(reset), *policies.get(name, (None, None)))
        for name, left, reset in _LIMIT.findall(text[:1000])
    )


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """How many seconds to wait by ``Retry-After``, a number or a date; ``None`` if it is neither.

    ``now`` is in seconds since 1970. At most a day, at least nothing.
    """
    text = headers.get("retry-after", "").strip()
    if not text or len(text) > 64:
        return None
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return min(float(text), LONGEST_S)
    try:
        wanted = parsedate_to_datetime(text)
        if wanted.tzinfo is None:  # the old form of C's asctime(), which is in UTC as well
            wanted = wanted.replace(tzinfo=UTC)
        return min(max(0.0, wanted.timestamp() - now), LONGEST_S)
    except (ValueError, TypeError, OverflowError):
        return None


def refused_for_s(headers: Mapping[str, str], now: float) -> float | None:
    """How many seconds a refusal is for: by ``Retry-After``, or until a spent quota is whole again.

    ``None`` if the host did not say; ``now`` is in seconds since 1970.
    """
    seconds = retry_after_s(headers, now)
    spent = [quota.reset_s + 1 for quota in parse_quotas(headers) if quota.left == 0]
    return max(spent) if seconds is None and spent else seconds
