"""Rounds of a contest: every contender once a round, in rotated order, noisy rounds thrown away.

Machines are noisy, shared ones most of all. So nothing is compared across rounds: a figure is a
ratio of two runs of the same round. A round in which the machine itself changed its speed (a fixed
piece of work, timed before and after, differs) or had to wait for others (steal time) is discarded,
and how many were is part of the result.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.figures import Figure, figure

MAX_SENTINEL_CHANGE = 0.04
MAX_STEAL = 0.01
# Noisy rounds are repeated until this many times the wanted number has been run.
MAX_REPEATS = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one contender, measured for it alone (its child processes included)."""

    seconds: float
    cpu_s: float
    read_call_bytes: int
    write_call_bytes: int
    disk_read_bytes: int
    disk_write_bytes: int
    peak_memory_bytes: int
    """Resident memory above what the process held before it began."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """How to see whether the machine was quiet during a round."""

    sentinel_s: Callable[[], float]
    """Does a fixed piece of work and returns its seconds."""
    steal: Callable[[], float]
    """The share of time taken away by the host since the last call, 0 to 1."""
    max_change: float = MAX_SENTINEL_CHANGE
    max_steal: float = MAX_STEAL


@dataclass(frozen=True, slots=True)
class Entry:
    """One contender in a contest; slow ones may sit out some rounds."""

    name: str
    run: Callable[[], Sample]
    every: int = 1
    """Takes part in each ``every``-th round."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The rounds that count, and how many did not."""

    rounds: list[dict[str, Sample]]
    discarded: int
    reasons: list[str] = field(default_factory=list)

    def ratios(self, name: str, to: str) -> list[float]:
        """Seconds of ``name`` divided by seconds of ``to``, in each round that had both."""
        return [
            samples[name].seconds / samples[to].seconds
            for samples in self.rounds
            if name in samples and to in samples
        ]

    def ratio(self, name: str, to: str) -> Figure:
        """The median of :meth:`ratios` with its interval."""
        return figure(self.ratios(name, to))

    def values(self, name: str, of: Callable[[Sample], float]) -> list[float]:
        """Something of each sample of ``name``."""
        return [of(samples[name]) for samples in self.rounds if name in samples]


def rotated(names: Sequence[str], round_number: int) -> list[str]:
    """The order of one round: a cyclic Latin square, every second pass over it backwards.

    So each contender stands equally often at each place, and before and after each neighbour.
    """
    count = len(names)
    if not count:
        return []
    start = round_number % count
    order = [*names[start:], *names[:start]]
    return order[::-1] if round_number // count % 2 else order


def run_contest(
    entries: Sequence[Entry],
    *,
    rounds: int,
    quiet: Quiet,
    on_round: Callable[[Mapping[str, Sample]], object] | None = None,
) -> Outcome:
    """Run until ``rounds`` rounds count, or ``MAX_REPEATS`` times as many have been run.

    Args:
        on_round: told of each round that counts.
    """
    runs = {entry.name: entry for entry in entries}
    kept: list[dict[str, Sample]] = []
    reasons: list[str] = []
    quiet.steal()
    for attempt in range(rounds * MAX_REPEATS):
        if len(kept) == rounds:
            break
        # Who takes part depends on the rounds that count, so that discarding starves nobody.
        present = [name for name, entry in runs.items() if len(kept) % entry.every == 0]
        before = quiet.sentinel_s()
        samples = {name: runs[name].run() for name in rotated(present, attempt)}
        noise = _noise(before, quiet.sentinel_s(), quiet.steal(), quiet)
        if noise:
            reasons.append(noise)
            continue
        kept.append(samples)
        if on_round is not None:
            on_round(samples)
    return Outcome(kept, len(reasons), reasons)


def _noise(before_s: float, after_s: float, steal: float, quiet: Quiet) -> str:
    """Why a round does not count; empty when it does."""
    change = abs(after_s - before_s) / min(after_s, before_s)
    if change > quiet.max_change:
        return f"speed changed by {change:.1%}"
    if steal > quiet.max_steal:
        return f"{steal:.1%} steal time"
    return ""
