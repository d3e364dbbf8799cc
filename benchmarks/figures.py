"""Medians with their confidence intervals; the bootstrap gives the same answer each time."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

SEED = 20240229
RESAMPLES = 2000
CONFIDENCE = 0.95
# Differences below this are not spoken of as faster or slower, whatever the interval says.
CLAIM_MARGIN = 1.03


@dataclass(frozen=True, slots=True)
class Figure:
    """A median and the ends of its 95 % confidence interval, in the unit of the values."""

    median: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


def figure(values: Sequence[float], *, seed: int = SEED) -> Figure:
    """The median of ``values`` with a percentile bootstrap interval (Efron 1979).

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values to take a median of")
    chance = random.Random(seed)
    medians = sorted(
        statistics.median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES)
    )
    tail = (1 - CONFIDENCE) / 2
    low, high = medians[int(RESAMPLES * tail)], medians[int(RESAMPLES * (1 - tail)) - 1]
    return Figure(statistics.median(values), low, high, len(values))


def verdict(ratio: Figure) -> str:
    """``faster``, ``slower`` or ``level``, of seconds divided by an opponent's seconds."""
    if ratio.high < 1 / CLAIM_MARGIN:
        return "faster"
    if ratio.low > CLAIM_MARGIN:
        return "slower"
    return "level"
