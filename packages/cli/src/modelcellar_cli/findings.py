"""What is known about a model, as plain lines."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from modelcellar_cli.output import counted, show_text

if TYPE_CHECKING:
    from modelcellar.records import Finding, Security

__all__ = ["TITLE_WIDTH", "finding_lines", "line", "security_lines"]

TITLE_WIDTH = 12
SHOWN_TAGS = 10
SHOWN_TEXT = 300
TITLES: Mapping[str, str] = {
    "not_a_model": "not a model",
    "type": "type",
    "kind": "kind",
    "family": "family",
    "base_model": "base model",
    "rank": "rank",
    "alpha": "alpha",
    "precision": "precision",
    "quantization": "quantized",
    "parameter_count": "parameters",
    "context_length": "context",
    "resolution": "resolution",
    "trigger_words": "triggers",
    "tag_frequency": "seen often",
    "title": "title",
    "author": "author",
    "date": "date",
    "licence": "licence",
    "description": "says",
    "runs_own_code": "own code",
    "header_hash": "header hash",
}
"""Field -> what a person calls it, in the order of showing. Other fields are shown with ``-v``."""


def line(title: str, value: object) -> str:
    """One line with a title in front, its value fit for a terminal."""
    return f"{f'{show_text(title)} ':<{TITLE_WIDTH}}{show_text(str(value))}"


def finding_lines(findings: "Mapping[str, Finding]", *, verbose: bool) -> list[str]:
    """A line for each field that is known; with ``verbose`` all of them, each with its evidence."""
    lines = []
    others = [name for name in findings if name not in TITLES] if verbose else []
    for name in (*TITLES, *others):
        finding = findings.get(name)
        if finding is None or (text := _text(name, finding.value)) == "":
            continue
        lines.append(line(TITLES.get(name, name.replace("_", " ")), text))
        if verbose:
            lines.append(line("", f"  {finding.sure.value}: {finding.evidence}"))
    return lines


def security_lines(security: "Security") -> Iterator[str]:
    """What loading the model would run, and nothing where it holds no pickle."""
    words = {
        "tensors_only": "pickle that names nothing but tensors",
        "known_classes": "pickle that names known classes of data",
        "unknown_imports": "PICKLE THAT NAMES UNKNOWN CODE, which loading it would run",
        "dangerous_imports": "PICKLE THAT NAMES DANGEROUS CODE, which loading it would run",
        "unreadable": "PICKLE THAT COULD NOT BE READ TO ITS END; loading it may run any code",
    }
    if security.verdict == "no_pickle":
        return
    yield line("security", words.get(security.verdict, security.verdict.replace("_", " ")))
    for detail in security.details:
        yield line("", f"  {detail}")


def _text(name: str, value: object) -> str:
    if name == "tag_frequency" and isinstance(value, Mapping):
        shown = [f"{tag} ({count})" for tag, count in list(value.items())[:SHOWN_TAGS]]
        return ", ".join(shown) + _more(len(value) - SHOWN_TAGS, "tag")
    if isinstance(value, list | tuple):
        shown = [str(item) for item in value[:SHOWN_TAGS]]
        return ", ".join(shown) + _more(len(value) - SHOWN_TAGS, "word")
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return f"{value:,}"
    text = "" if value is None else str(value)
    return text if len(text) <= SHOWN_TEXT else text[:SHOWN_TEXT] + "…"


def _more(count: int, noun: str) -> str:
    return f" and {counted(count, f'more {noun}')}" if count > 0 else ""
