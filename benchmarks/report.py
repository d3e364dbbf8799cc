"""The tables of one run as Markdown, and the charts that go with them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from benchmarks import plots
from benchmarks.results import CLOCK, Bar, Result, Row, SeekResult, SeekRow

LONGEST_RATIO = 4.0
NOTHING = "Nothing was measured."

_Found = TypeVar("_Found", Result, SeekResult)


def slug(case: str) -> str:
    """The name of the chart of a case, without its ending."""
    return "speed-" + re.sub(r"[^a-z0-9]+", "-", case.lower()).strip("-")


def machine_table(machine: Mapping[str, str], contests: Sequence[Result]) -> str:
    """The machine, the programs and the places of one run."""
    places = {contest.place: contest.file_system for contest in contests}
    rows = [*machine.items(), *((f"place `{name}`", kind) for name, kind in places.items())]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def bars_table(contests: Sequence[Result], seeking: Sequence[SeekResult]) -> str:
    """Every bar with what was measured, the missed ones first."""
    judged: list[tuple[str, str, Bar]] = []
    results: list[Result | SeekResult] = [*contests, *seeking]
    for result in results:
        judged += [(result.title, result.place, bar) for bar in result.bars]
    if not judged:
        return NOTHING
    lines = ["| | bar | measured | contest | place |", "|---|---|---|---|---|"]
    for title, place, bar in sorted(judged, key=lambda one: one[2].met):
        met = "met" if bar.met else "**missed**"
        lines.append(f"| {met} | {bar.text} | {bar.measured} | {title} | {place} |")
    return "\n".join(lines)


def losses(contests: Sequence[Result], seeking: Sequence[SeekResult]) -> str:
    """Where an opponent that does the same was faster than we were."""
    lost = [
        f"- {one.title}, {one.place}: {one.conclusion}."
        for one in contests
        if one.verdict == "slower"
    ]
    for result in seeking:
        lost += _lost_seeking(result)
    return "\n".join(lost) or "In no contest of this run was an opponent that does the same faster."


def _lost_seeking(result: SeekResult) -> Iterator[str]:
    """On a modelled disk there is no noise: whoever is nearer to the ideal was faster."""
    for disk in dict.fromkeys(row.disk for row in result.rows):
        rows = [row for row in result.rows if row.disk == disk]
        ours = max((row.efficiency.median for row in rows if row.ours), default=1.0)
        for row in rows:
            if not row.ours and round(row.efficiency.median, 2) > round(ours, 2):
                yield (
                    f"- {result.title}, {disk}: {row.name} at {row.efficiency.median:.0%} of the "
                    f"ideal, modelcellar at {ours:.0%}."
                )


def contest_sections(contests: Sequence[Result]) -> str:
    """All contests, by case: the chart, then a table for each place."""
    parts = []
    for case, results in _by_case(contests):
        parts.append(f"### {results[0].title}")
        if any(one.judged for one in results):
            parts.append(f"![{results[0].title}: seconds as multiples of F1]({slug(case)}.svg)")
        parts += [_contest(one) for one in results]
    return "\n\n".join(parts) or NOTHING


def _contest(result: Result) -> str:
    head = (
        f"**{result.place}** ({result.file_system}): {result.kept} rounds counted, "
        f"{result.discarded} discarded as noisy."
    )
    lines = [head, "", *_TABLE_HEAD, *(_row(row) for row in result.rows)]
    if result.conclusion:
        lines += ["", f"{result.conclusion}."]
    lines += ["", *result.notes] if result.notes else []
    return "\n".join(lines)


_TABLE_HEAD = (
    "| contender | x F1 (95 % CI) | MB/s | CPU s/GiB | read | written | to disk | memory |",
    "|---|--:|--:|--:|--:|--:|--:|--:|",
)


def _row(row: Row) -> str:
    name = f"**{row.name}**" if row.ours else row.name
    return (
        f"| {name} | {row.ratio} | {row.mb_per_s:,.0f} | {row.cpu_s_per_gib:.2f} "
        f"| {row.read_share:.2f} | {row.write_share:.2f} | {row.disk_write_share:.2f} "
        f"| {row.peak_memory_bytes / 2**20:,.0f} MiB |"
    )


def seeking_sections(seeking: Sequence[SeekResult]) -> str:
    """The disks that seek: a chart for each case, then the figures for each set of parameters."""
    parts = []
    for case, results in _by_case(seeking):
        parts.append(f"### {results[0].title.partition(',')[0]}")
        parts.append(f"![{results[0].title}: share of the ideal speed]({slug(case)}.svg)")
        parts += [_seek_table(one) for one in results]
    return "\n\n".join(parts) or NOTHING


def _seek_table(result: SeekResult) -> str:
    how = "by the clock" if result.place == CLOCK else "modelled"
    lines = [
        f"{result.title}, {how}, {result.rounds} rounds:",
        "",
        "| contender | disk | of ideal | seconds | seeks/GiB |",
        "|---|---|--:|--:|--:|",
    ]
    for row in result.rows:
        name = f"**{row.name}**" if row.ours else row.name
        seeks = "" if row.seeks_per_gib is None else f"{row.seeks_per_gib:,.0f}"
        lines.append(
            f"| {name} | {row.disk} | {row.efficiency.median:.0%} | {row.seconds:.1f} | {seeks} |"
        )
    lines += ["", *result.notes] if result.notes else []
    return "\n".join(lines)


def charts(contests: Sequence[Result], seeking: Sequence[SeekResult]) -> dict[str, str]:
    """The SVG documents by file name."""
    drawn = {}
    for case, results in _by_case(contests):
        panels = [
            plots.Panel(f"{one.place} ({one.file_system})", [_ratio_bar(row) for row in one.rows])
            for one in results
            if one.judged
        ]
        if panels:
            drawn[f"{slug(case)}.svg"] = plots.bar_chart(
                results[0].title,
                panels,
                reference=1.0,
                reference_text="Shorter is faster. Dashed: SHA-256 alone, one thread (F1)",
                longest=LONGEST_RATIO,
            )
    for case, found in _by_case(seeking):
        drawn[f"{slug(case)}.svg"] = plots.bar_chart(
            found[0].title.partition(",")[0],
            [_seek_panel(one) for one in found],
            reference=1.0,
            reference_text="Longer is better. Dashed: the disk moves the data and never seeks",
            longest=1.1,
        )
    return drawn


def _seek_panel(result: SeekResult) -> plots.Panel:
    """The first set of parameters; the table has the others."""
    disk = result.rows[0].disk
    how = "by the clock" if result.place == CLOCK else "modelled"
    rows = [row for row in result.rows if row.disk == disk]
    return plots.Panel(f"{how}: {disk}", [_share_bar(row) for row in rows])


def _ratio_bar(row: Row) -> plots.Bar:
    ratio = row.ratio
    text = f"{ratio.median:.2f} x, {row.mb_per_s:,.0f} MB/s"
    return plots.Bar(row.name, ratio.median, ratio.low, ratio.high, row.ours, text)


def _share_bar(row: SeekRow) -> plots.Bar:
    share = row.efficiency
    text = f"{share.median:.0%} of ideal"
    return plots.Bar(row.name, share.median, share.low, share.high, row.ours, text)


def _by_case(results: Iterable[_Found]) -> list[tuple[str, list[_Found]]]:
    """Results of one case together, the cases and their places in order of name."""
    cases: dict[str, list[_Found]] = {}
    for result in results:
        cases.setdefault(result.case, []).append(result)
    return sorted(cases.items())
