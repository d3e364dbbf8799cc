"""How what a search found is shown: the hits marked, the counts of all of it."""

from collections.abc import Iterator, Sequence
from typing import Any

from modelcellar.reports import Facet, Highlight, SearchReport
from modelcellar_cli.commands.list import COLUMNS, model_row
from modelcellar_cli.output import emit_table, model_to_json, show_text
from modelcellar_cli.tables import Column, Marked

__all__ = ["emit_found", "facet_lines", "report_to_json"]

MAX_VALUES = 10
"""Of a field's counts that people are shown."""

FOUND_IN = Column("FOUND IN", cut_order=1)
NAME = 1
"""Its place among ``COLUMNS``."""


def report_to_json(report: SearchReport, *, facets: bool) -> dict[str, Any]:
    """The document of ``cellar search --json``."""
    models = zip(report.models, report.highlights, strict=True)
    document: dict[str, Any] = {
        "query": report.query,
        "total": report.total,
        "models": [
            {**model_to_json(model), "highlights": [_to_json(one) for one in found]}
            for model, found in models
        ],
        "took_ms": report.took_ms,
        "notes": list(report.notes),
        "did_you_mean": report.did_you_mean,
    }
    if facets:
        counts: dict[str, list[dict[str, Any]]] = {"type": [], "base": [], "format": []}
        for facet in report.facets:
            counts[facet.field].append({"value": facet.value, "count": facet.count})
        document["facets"] = counts
    return document


def emit_found(report: SearchReport) -> None:
    """The table of ``cellar list`` with the hits marked; where one is in no name, a column more."""
    rows = [model_row(model) for model in report.models]
    elsewhere: list[str] = []
    for row, found in zip(rows, report.highlights, strict=True):
        in_name = next((one for one in found if one.field == "name"), None)
        if in_name is not None:
            row[NAME] = _marked("", in_name)
        first = next(iter(found), None)
        is_elsewhere = first is not None and in_name is None
        elsewhere.append(_marked(f"{first.field}: ", first) if first and is_elsewhere else "")
    if any(elsewhere):
        wider = [[*row, text] for row, text in zip(rows, elsewhere, strict=True)]
        emit_table((*COLUMNS, FOUND_IN), wider)
    else:
        emit_table(COLUMNS, rows)


def facet_lines(facets: Sequence[Facet]) -> Iterator[str]:
    """A line for each field: ``type    lora 12, checkpoint 3``."""
    fields = list(dict.fromkeys(facet.field for facet in facets))
    for name in fields:
        counts = [facet for facet in facets if facet.field == name]
        shown = ", ".join(f"{show_text(one.value)} {one.count:,}" for one in counts[:MAX_VALUES])
        more = len(counts) - MAX_VALUES
        yield f"{name:8}{shown}{f' and {more:,} more' if more > 0 else ''}"


def _marked(before: str, found: Highlight) -> Marked:
    """A highlight as it may be shown: what is unsafe is replaced, and the marks moved along."""
    shown, spans, done = before, [], 0
    for start, end in found.spans:
        shown += show_text(found.text[done:start])
        hit = show_text(found.text[start:end])
        spans.append((len(shown), len(shown) + len(hit)))
        shown, done = shown + hit, end
    return Marked(shown + show_text(found.text[done:]), tuple(spans))


def _to_json(found: Highlight) -> dict[str, Any]:
    return {"field": found.field, "text": found.text, "spans": [list(span) for span in found.spans]}
