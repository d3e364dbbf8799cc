"""Results of one run: a file of JSON for each contest, from which the report is made."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.contest import Outcome, Sample
from benchmarks.figures import Figure, figure, verdict

GIB = 1 << 30
MACHINE = "machine.json"
# How the time on a disk that seeks was found, in the order of the report.
MODEL, CLOCK = "model", "wall clock"


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one contest."""

    name: str
    ours: bool
    ratio: Figure
    """Seconds divided by those of F1 in the same round."""
    mb_per_s: float
    cpu_s_per_gib: float
    read_share: float
    """Bytes asked for by read calls, by bytes of the sources."""
    write_share: float
    disk_write_share: float
    peak_memory_bytes: int


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that must be reached, and whether it was."""

    text: str
    measured: str
    met: bool


@dataclass(frozen=True, slots=True)
class Result:
    """One contest, ready to be written and read again."""

    case: str
    title: str
    place: str
    file_system: str
    judged: bool
    """Whether the bars count at this place."""
    kept: int
    discarded: int
    scale: float
    rows: list[Row]
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    champion: str = ""
    """Which of ours is compared with the best opponent."""
    best_peer: str = ""
    """The fastest opponent that does the same as we do."""
    against_peer: Figure | None = None
    verdict: str = ""

    @property
    def conclusion(self) -> str:
        """Who was faster, in words; empty when there was nobody to compare with."""
        if self.against_peer is None:
            return ""
        than = "level with" if self.verdict == "level" else f"{self.verdict} than"
        return (
            f"{self.champion} is {than} the best opponent, {self.best_peer}: "
            f"{self.against_peer} of its time"
        )


@dataclass(frozen=True, slots=True)
class SeekRow:
    """One contender on one modelled disk."""

    name: str
    ours: bool
    disk: str
    efficiency: Figure
    """The time of moving the bytes of the job without a seek, by the time it takes; 1 is ideal."""
    seconds: float
    seeks_per_gib: float | None = None


@dataclass(frozen=True, slots=True)
class SeekResult:
    """One case on disks that seek, modelled or by the clock."""

    case: str
    title: str
    place: str
    rounds: int
    scale: float
    rows: list[SeekRow]
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def make_rows(
    outcome: Outcome, names: Iterable[tuple[str, bool]], first: str, total_bytes: int
) -> list[Row]:
    """A row for each contender that ran, the fastest first."""
    rows = []
    for name, ours in names:
        if not outcome.ratios(name, first):
            continue

        def median(of: Callable[[Sample], float], who: str = name) -> float:
            return figure(outcome.values(who, of)).median

        rows.append(
            Row(
                name,
                ours,
                outcome.ratio(name, first),
                total_bytes / 1e6 / median(lambda sample: sample.seconds),
                median(lambda sample: sample.cpu_s) * GIB / total_bytes,
                median(lambda sample: sample.read_call_bytes) / total_bytes,
                median(lambda sample: sample.write_call_bytes) / total_bytes,
                median(lambda sample: sample.disk_write_bytes) / total_bytes,
                int(max(outcome.values(name, lambda sample: sample.peak_memory_bytes))),
            )
        )
    return sorted(rows, key=lambda row: row.ratio.median)


def against_best_peer(
    outcome: Outcome, ours: str, peers: Iterable[str]
) -> tuple[str, Figure | None, str]:
    """The peer with the lowest median, our seconds by its seconds, and the verdict."""
    ran = [peer for peer in peers if outcome.ratios(ours, peer)]
    if not ran:
        return "", None, ""
    best = min(ran, key=lambda peer: figure(outcome.values(peer, lambda s: s.seconds)).median)
    ratio = outcome.ratio(ours, best)
    return best, ratio, verdict(ratio)


def save(folder: Path, result: Result | SeekResult) -> Path:
    """Write ``result`` under a name made of its case and place."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", f"{result.case} {result.place}".lower()).strip("-")
    path = folder / f"{name}.json"
    path.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
    return path


def load(folder: Path) -> tuple[list[Result], list[SeekResult]]:
    """All results of one run, in the order of their file names."""
    paths = [path for path in sorted(folder.glob("*.json")) if path.name != MACHINE]
    raw = [json.loads(path.read_bytes()) for path in paths]
    contests = [_result(one) for one in raw if "kept" in one]
    return contests, [_seek_result(one) for one in raw if "kept" not in one]


def save_machine(folder: Path, machine: dict[str, str]) -> None:
    """Note the machine of this run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MACHINE).write_text(json.dumps(machine, indent=1) + "\n", encoding="utf-8")


def load_machine(folder: Path) -> dict[str, str]:
    """The machine that :func:`save_machine` has noted."""
    found: dict[str, str] = json.loads((folder / MACHINE).read_bytes())
    return found


def _result(raw: dict[str, Any]) -> Result:
    rows = [Row(**{**row, "ratio": Figure(**row["ratio"])}) for row in raw["rows"]]
    bars = [Bar(**bar) for bar in raw["bars"]]
    peer = Figure(**raw["against_peer"]) if raw["against_peer"] else None
    return Result(**{**raw, "rows": rows, "bars": bars, "against_peer": peer})


def _seek_result(raw: dict[str, Any]) -> SeekResult:
    rows = [SeekRow(**{**row, "efficiency": Figure(**row["efficiency"])}) for row in raw["rows"]]
    return SeekResult(**{**raw, "rows": rows, "bars": [Bar(**bar) for bar in raw["bars"]]})
