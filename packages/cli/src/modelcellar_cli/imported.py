"""What came into the library, as a table, as lines and as data."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelcellar.records import FileFormat, ModelType
from modelcellar.reports import ImportStatus
from modelcellar_cli.boundary import ExitCode, exit_code_of
from modelcellar_cli.findings import TITLE_WIDTH, security_lines
from modelcellar_cli.output import (
    counted,
    emit_lines,
    emit_table,
    error_to_json,
    human_size,
    path_fields,
    show_text,
)
from modelcellar_cli.tables import Column

if TYPE_CHECKING:
    from modelcellar.records import ErrorInfo
    from modelcellar.reports import ImportResult

__all__ = [
    "TAKEN",
    "TYPES",
    "counts",
    "exit_code_for_results",
    "problem_lines",
    "results_to_json",
    "show_results",
]

TYPES = [kind.value for kind in ModelType]
TAKEN = {ImportStatus.IMPORTED, ImportStatus.DUPLICATE}
WOULD = "would import"
WARNED = {"unknown_imports", "dangerous_imports", "unreadable"}
SHOWN_FILES = 20
"""Files of one model that a dry run names; a pipeline may have hundreds."""
COLUMNS = (
    Column("SOURCE", cut_order=1),
    Column("WHAT IT IS", cut_order=1),
    Column("SIZE", right=True),
    Column(
        "STATUS",
        colours={
            "imported": "green",
            "would": "green",
            "duplicate": "cyan",
            "refused": "yellow",
            "failed": "red",
        },
    ),
    Column("MODEL", cut_order=2),
)


def exit_code_for_results(
    results: "Sequence[ImportResult]", errors: "Sequence[ErrorInfo]"
) -> ExitCode:
    """0 without errors, 3 when some came in or were there before; else what all errors say."""
    if not errors:
        return ExitCode.DONE
    if any(result.status in TAKEN for result in results):
        return ExitCode.PARTLY_DONE
    codes = {exit_code_of(error.code) for error in errors}
    return codes.pop() if len(codes) == 1 else ExitCode.FAILED


def results_to_json(results: "Sequence[ImportResult]") -> list[dict[str, Any]]:
    """What became of each source, as data."""
    return [
        {
            **path_fields("source", result.source),
            "status": result.status.value,
            "model_id": result.model_id,
            "error": error_to_json(result.error),
            "files": [path_fields("path", name) for name in result.files],
            "summary": result.summary,
            "type": _type(result),
            "verdict": result.security.verdict,
            "same_tensors": list(result.same_tensors),
        }
        for result in results
    ]


def show_results(results: "Sequence[ImportResult]", *, dry_run: bool = False) -> None:
    """The table of what came in, and below it what did not and what one should know."""
    if results:
        emit_table(COLUMNS, list(_rows(results, dry_run)))
        emit_lines([""])
    lines = []
    for result in results:
        if result.error is not None:
            lines += problem_lines(result.status.value, result.source, result.error)
    lines += [note for result in results for note in _notes(result)]
    if lines:
        emit_lines([*lines, ""])


def problem_lines(status: str, source: str, error: "ErrorInfo") -> list[str]:
    """What did not come in, why, and what to do next."""
    lines = [f"{status} {show_text(source)}", f"  why:  {show_text(error.message)}"]
    return [*lines, f"  next: {show_text(error.hint)}"] if error.hint else lines


def counts(results: "Sequence[ImportResult]", *, dry_run: bool = False, skipped: int = 0) -> str:
    """How many came in, were there before, were refused, failed; empty when there is nothing."""
    by_status = [result.status for result in results]
    words = [
        (ImportStatus.IMPORTED, WOULD if dry_run else "imported"),
        (ImportStatus.DUPLICATE, "duplicate"),
        (ImportStatus.REFUSED, "refused"),
        (ImportStatus.FAILED, "failed"),
    ]
    parts = []
    for status, word in words:
        number = by_status.count(status)
        if number and status is ImportStatus.DUPLICATE:
            parts.append(counted(number, word))
        elif number:
            parts.append(f"{word} {number:,}" if dry_run else f"{number:,} {word}")
    if skipped:
        parts.append(f"{counted(skipped, 'other file')} left alone")
    return ", ".join(parts)


def _rows(results: "Sequence[ImportResult]", dry_run: bool) -> Iterator[list[str]]:
    """A row for each source; in a dry run also one for each file that belongs to it."""
    for result in results:
        yield _row(result, dry_run)
        if dry_run and len(result.files) > 1:
            for name in result.files[:SHOWN_FILES]:
                yield [f"  + {show_text(name)}", "", "", "", ""]
            if len(result.files) > SHOWN_FILES:
                yield [f"  + {len(result.files) - SHOWN_FILES:,} more files", "", "", "", ""]


def _notes(result: "ImportResult") -> Iterator[str]:
    """What a person should know although the import went well."""
    where = show_text(Path(result.source).name or result.source)
    if result.security.verdict in WARNED and result.status in TAKEN:
        what, *more = security_lines(result.security)
        named = ", ".join(text.strip() for text in more)
        yield f"note {where}: {what[TITLE_WIDTH:]}{': ' if named else ''}{named}"
    if result.same_tensors:
        yield f"note {where}: the same weights under another header as {result.same_tensors[0]}"


def _type(result: "ImportResult") -> str:
    found = result.findings.get("type")
    return str(found.value) if found is not None else ModelType.UNKNOWN.value


def _row(result: "ImportResult", dry_run: bool) -> list[str]:
    status = WOULD if dry_run and result.status is ImportStatus.IMPORTED else result.status.value
    name = Path(result.source).name or result.source
    what = "-" if result.size_bytes is None else _what(result.format, result.summary)
    size = "-" if result.size_bytes is None else human_size(result.size_bytes)
    return [show_text(name), what, size, status, show_text(result.model_id or "-")]


def _what(format_: FileFormat, summary: str) -> str:
    said = format_.value.replace("_", "") in summary.lower().replace(" ", "")
    return show_text(summary if said else f"{format_.value}, {summary}".removesuffix(", "))
