"""Sizes, counts, spans of time and days as people type them: ``4GB``, ``8B``, ``30d``."""

import re
from datetime import UTC, datetime, timedelta

__all__ = ["count_of", "day_of", "size_bytes_of", "span_of"]

_NUMBER = r"(\d{1,15}(?:\.\d{1,9})?|\.\d{1,9})"
_SIZE = re.compile(rf"{_NUMBER}(b|[kmgt]b?|[kmgt]ib)?", re.IGNORECASE | re.ASCII)
_COUNT = re.compile(rf"{_NUMBER}([kmbt])?", re.IGNORECASE | re.ASCII)
_SPAN = re.compile(r"(\d{1,6})([hdwmy])", re.IGNORECASE | re.ASCII)
_DAY = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2}))?", re.ASCII)

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_HOURS = {"h": 1, "d": 24, "w": 7 * 24, "m": 30 * 24, "y": 365 * 24}
_MOST = (1 << 63) - 1
"""What SQLite's integers hold."""


def size_bytes_of(text: str) -> int | None:
    """Bytes: KB, MB, GB and TB (also K, M, G, T) are powers of 1000, KiB and so on of 1024."""
    found = _SIZE.fullmatch(text)
    if found is None:
        return None
    unit = (found[2] or "").lower()
    base: int = 1024 if unit.endswith("ib") else 1000
    return min(_MOST, round(float(found[1]) * float(base) ** _POWERS[unit.rstrip("b").rstrip("i")]))


def count_of(text: str) -> int | None:
    """A number of parameters: ``8B`` is 8,000,000,000, ``350M`` is 350,000,000."""
    found = _COUNT.fullmatch(text)
    if found is None:
        return None
    return min(_MOST, round(float(found[1]) * _COUNTS[(found[2] or "").lower()]))


def span_of(text: str) -> timedelta | None:
    """A span of hours, days, weeks, months of 30 days or years of 365: ``12h``, ``30d``."""
    found = _SPAN.fullmatch(text)
    return None if found is None else timedelta(hours=int(found[1]) * _HOURS[found[2].lower()])


def day_of(text: str) -> tuple[datetime, datetime] | None:
    """The beginning and the end in UTC of a day or a month: ``2026-01-31``, ``2026-01``."""
    found = _DAY.fullmatch(text)
    if found is None:
        return None
    year, month, day = int(found[1]), int(found[2]), int(found[3] or 1)
    try:
        start = datetime(year, month, day, tzinfo=UTC)
        if found[3]:
            return start, start + timedelta(days=1)
        return start, datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
