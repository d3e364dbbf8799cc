"""The Hub's rate limits: three buckets, windows of five minutes, one count for each client."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor

from tests.support.fake_hub.clock import FakeClock

__all__ = ["Allowance", "RateLimits", "bucket_of"]

WINDOW_S = 300
# Source: the table of the Hub's documentation, September 2025.
QUOTAS: Mapping[str, Mapping[str, int]] = {
    "anonymous": {"api": 500, "resolvers": 3000, "pages": 100},
    "free": {"api": 1000, "resolvers": 5000, "pages": 200},
    "pro": {"api": 2500, "resolvers": 12000, "pages": 400},
    "team": {"api": 3000, "resolvers": 20000, "pages": 400},
}
_ON_REPOSITORIES = frozenset({"resolve", "raw"})


def bucket_of(segments: tuple[str, ...]) -> str:
    """``api``, ``resolvers`` or ``pages``."""
    if segments[:2] == ("api", "resolve-cache") or _ON_REPOSITORIES.intersection(segments[1:3]):
        return "resolvers"
    return "api" if segments[0] == "api" else "pages"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a client has left after this request; ``is_over`` when it should not have come."""

    bucket: str
    quota: int
    left: int
    reset_s: int
    is_over: bool

    def headers(self) -> dict[str, str]:
        return {
            "RateLimit": f'"{self.bucket}";r={self.left};t={self.reset_s}',
            "RateLimit-Policy": f'"fixed window";"{self.bucket}";q={self.quota};w={WINDOW_S}',
        }


class RateLimits:
    """Counts requests by bucket, client and window; safe in many threads.

    ``quotas`` maps plans to buckets to requests in a window, and may be changed at any time.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.quotas = {plan: dict(quotas) for plan, quotas in QUOTAS.items()}
        self._clock = clock
        self._lock = threading.Lock()
        self._used: dict[tuple[str, str, int], int] = {}

    def count(self, bucket: str, client: str, plan: str) -> Allowance:
        """Count a request of ``client``, which is a token or an address."""
        now = self._clock.now()
        window = floor(now / WINDOW_S)
        quota = self.quotas[plan][bucket]
        key = (bucket, client, window)
        with self._lock:
            used = self._used[key] = self._used.get(key, 0) + 1
        reset_s = ceil((window + 1) * WINDOW_S - now)
        return Allowance(bucket, quota, max(0, quota - used), reset_s, used > quota)
