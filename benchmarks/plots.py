"""Bar charts as SVG, readable on light and on dark pages, without a plotting library."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, LABELS_WIDTH, VALUES_WIDTH = 820, 260, 150
ROW_HEIGHT, BAR_HEIGHT, MARGIN = 24, 14, 16
TITLE_HEIGHT, SUBTITLE_HEIGHT, PANEL_GAP = 30, 26, 14
CHART_WIDTH = WIDTH - LABELS_WIDTH - VALUES_WIDTH - MARGIN

STYLE = """
.page { fill: #ffffff } text { fill: #1f2328; font: 13px system-ui, sans-serif }
.title { font-size: 15px; font-weight: 600 } .quiet { fill: #59636e; font-size: 12px }
.ours { fill: #0969da } .peer { fill: #afb8c1 } .mark { stroke: #1f2328; stroke-width: 1.5 }
.line { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 4 3 } .bold { font-weight: 600 }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } text { fill: #e6edf3 } .quiet { fill: #9198a1 }
.ours { fill: #4493f8 } .peer { fill: #565e67 } .mark { stroke: #e6edf3 } .line { stroke: #ff7b72 }
}"""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar with the ends of its confidence interval."""

    label: str
    value: float
    low: float
    high: float
    ours: bool
    text: str
    """What stands behind the bar."""


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars under one heading."""

    heading: str
    bars: Sequence[Bar]


def bar_chart(
    title: str, panels: Sequence[Panel], *, reference: float, reference_text: str, longest: float
) -> str:
    """The chart as a whole SVG document.

    Args:
        reference: where the dashed line stands, in the unit of the bars.
        reference_text: what the line means.
        longest: bars are cut off there, and end open.
    """
    everything = [bar for panel in panels for bar in panel.bars]
    end = min(longest, max([reference * 1.1, *(bar.high for bar in everything)]))
    parts: list[str] = []
    top = MARGIN + TITLE_HEIGHT
    for panel in panels:
        parts += _panel(panel, top, end, reference)
        top += SUBTITLE_HEIGHT + ROW_HEIGHT * len(panel.bars) + PANEL_GAP
    height = top + MARGIN
    legend = f"{reference_text}. Whiskers: 95 % confidence interval of the median."
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
            f' width="{WIDTH}" height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
            _text(MARGIN, MARGIN + 12, title, "title"),
            *parts,
            _text(MARGIN, height - MARGIN, legend, "quiet"),
            "</svg>\n",
        ]
    )


def _panel(panel: Panel, top: int, end: float, reference: float) -> list[str]:
    parts = [_text(MARGIN, top + 12, panel.heading, "quiet")]
    first = top + SUBTITLE_HEIGHT - 4
    for place, bar in enumerate(panel.bars):
        parts += _bar(bar, first + place * ROW_HEIGHT, end)
    line = LABELS_WIDTH + _across(reference, end)
    below = first + ROW_HEIGHT * len(panel.bars)
    parts.append(f'<line class="line" x1="{line}" y1="{first - 4}" x2="{line}" y2="{below}"/>')
    return parts


def _bar(bar: Bar, top: int, end: float) -> list[str]:
    middle = top + BAR_HEIGHT / 2
    kind = "ours" if bar.ours else "peer"
    length = _across(bar.value, end)
    parts = [
        _text(LABELS_WIDTH - 8, top + 11, bar.label, "bold" if bar.ours else "", anchor="end"),
        f'<rect class="{kind}" x="{LABELS_WIDTH}" y="{top}" width="{length}"'
        f' height="{BAR_HEIGHT}"/>',
    ]
    if bar.value > end:  # an open end instead of an interval that would lie outside
        edge = LABELS_WIDTH + CHART_WIDTH
        for shift in (10, 5):
            x = edge - shift
            parts.append(f'<path class="page" d="M{x} {top}h3l-3 {BAR_HEIGHT}h-3z"/>')
    else:
        low, high = (LABELS_WIDTH + _across(value, end) for value in (bar.low, bar.high))
        parts.append(f'<line class="mark" x1="{low}" y1="{middle}" x2="{high}" y2="{middle}"/>')
        parts += [
            f'<line class="mark" x1="{x}" y1="{middle - 4}" x2="{x}" y2="{middle + 4}"/>'
            for x in (low, high)
        ]
    text = _text(WIDTH - MARGIN, top + 11, bar.text, "bold" if bar.ours else "", anchor="end")
    return [*parts, text]


def _across(value: float, end: float) -> float:
    """How far to the right a value lies, in pixels from the start of the bars."""
    return round(min(value, end) / end * CHART_WIDTH, 1)


def _text(x: float, y: float, text: str, kind: str, *, anchor: str = "start") -> str:
    of_kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}"{of_kind} text-anchor="{anchor}">{escape(text)}</text>'
