"""``cellar import``: take model files and folders into the library."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from modelcellar.records import FileFormat, ModelType
from modelcellar.reports import ImportMode, ImportReport, ImportStatus
from modelcellar_cli.boundary import LIBRARY_BUSY, NO_SPACE, ExitCode
from modelcellar_cli.findings import TITLE_WIDTH, security_lines
from modelcellar_cli.options import CellarCommand, Options, one_of
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    emit_table,
    error_to_json,
    human_size,
    model_to_json,
    path_fields,
    show_text,
    talk,
)
from modelcellar_cli.progress import ProgressTalk
from modelcellar_cli.session import library_to_import_into, talk_of_place
from modelcellar_cli.tables import Column

if TYPE_CHECKING:
    from modelcellar.reports import ImportResult

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


@click.command("import", cls=CellarCommand)
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@click.option(
    "--mode",
    type=click.Choice([mode.value for mode in ImportMode]),
    default=ImportMode.COPY.value,
    help="copy (the default) leaves the originals alone, and shares their data where the file "
    "system can do that; reflink does only that; move deletes each original after its copy is "
    "safely in the library.",
)
@click.option("--name", help="The model's name, when PATH is one model.")
@click.option("--type", "type_", type=click.Choice(TYPES), metavar="TYPE", help=one_of(TYPES))
@click.option("--as-one", is_flag=True, help="Each folder given is one model with all its files.")
@click.option(
    "--verify",
    type=click.Choice(["memory", "disk"]),
    default="memory",
    help="What a copy is checked by: memory (the default), its digests while it is written; disk, "
    "also by reading it back from the disk before it counts, which takes about as long again.",
)
@click.option(
    "--no-lookup",
    is_flag=True,
    help="Do not ask the Hub, Civitai and CivArchive where the files are from; otherwise their "
    "names and digests are sent there while they are copied.",
)
@click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
@click.pass_obj
def command(
    options: Options,
    paths: tuple[Path, ...],
    mode: str,
    name: str | None,
    type_: str | None,
    as_one: bool,
    verify: Literal["memory", "disk"],
    no_lookup: bool,
    dry_run: bool,
) -> int:
    """Take model files and folders into the library.

    Folders are searched for model files. What is already in is found by its digest and skipped, so
    an import that was cut short is finished by the same command. With -q prints the ids of the
    models that came in.

    Exit codes: 0 all in, 3 some refused or failed, 1 none came in, 7 none because another process
    held the library, 8 none for lack of space.
    """
    done: list[ImportResult] = []
    with library_to_import_into(options, dry_run=dry_run) as library:
        try:
            with ProgressTalk(options) as progress:
                report = library.import_paths(
                    paths,
                    mode=ImportMode(mode),
                    name=name,
                    model_type=ModelType(type_) if type_ else None,
                    as_one=as_one,
                    dry_run=dry_run,
                    verify=verify,
                    lookup=False if no_lookup else None,
                    progress=progress,
                    on_result=done.append,
                )
        except KeyboardInterrupt:
            kept = sum(result.status is ImportStatus.IMPORTED for result in done)
            talk(options, f"\nStopped. {counted(kept, 'model')} came in before and will stay.")
            raise
    _show(options, report)
    if dry_run:
        talk_of_place(options)
    return exit_code(report)


def exit_code(report: ImportReport) -> ExitCode:
    """0 all in or there before, 3 some of them, 1 none; 7 or 8 none for that reason alone."""
    errors = [result.error for result in report.results if result.error is not None]
    if not errors:
        return ExitCode.DONE
    if any(result.status in TAKEN for result in report.results):
        return ExitCode.PARTLY_DONE
    codes = {error.code for error in errors}
    if codes == {NO_SPACE}:
        return ExitCode.NO_SPACE
    return ExitCode.LIBRARY_BUSY if codes == {LIBRARY_BUSY} else ExitCode.FAILED


def report_to_json(report: ImportReport) -> dict[str, Any]:
    """The whole report as data."""
    return {
        "results": [
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
            for result in report.results
        ],
        "models": [model_to_json(model) for model in report.models],
        "skipped": [
            {**path_fields("source", one.source), "reason": one.reason} for one in report.skipped
        ],
        "bytes_read": report.bytes_read,
        "bytes_written": report.bytes_written,
        "bytes_cloned": report.bytes_cloned,
        "seconds": report.seconds,
        "dry_run": report.dry_run,
    }


def _show(options: Options, report: ImportReport) -> None:
    if options.json:
        emit_json(report_to_json(report))
    elif options.quiet:
        came_in = [one for one in report.results if one.status is ImportStatus.IMPORTED]
        emit_lines(show_text(one.model_id) for one in came_in if one.model_id)
    else:
        _show_to_people(options, report)


def _show_to_people(options: Options, report: ImportReport) -> None:
    if report.results:
        emit_table(COLUMNS, list(_rows(report)))
        emit_lines([""])
    problems = [(result, result.error) for result in report.results if result.error is not None]
    for result, error in problems:
        emit_lines([f"{result.status.value} {show_text(result.source)}"])
        emit_lines([f"  why:  {show_text(error.message)}"])
        if error.hint:
            emit_lines([f"  next: {show_text(error.hint)}"])
    notes = [note for result in report.results for note in _notes(result)]
    emit_lines(notes)
    if problems or notes:
        emit_lines([""])
    emit_lines([_counts(report), _totals(report)])
    if report.dry_run:
        talk(options, "Nothing was changed. Run it without --dry-run to do it.")
    elif any(result.status is ImportStatus.IMPORTED for result in report.results):
        talk(options, "Take it back: cellar undo    Find a model: cellar search WORDS")


def _rows(report: ImportReport) -> Iterator[list[str]]:
    """A row for each source; in a dry run also one for each file that belongs to it."""
    for result in report.results:
        yield _row(result, report.dry_run)
        if report.dry_run and len(result.files) > 1:
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


def _counts(report: ImportReport) -> str:
    by_status = [result.status for result in report.results]
    words = [
        (ImportStatus.IMPORTED, WOULD if report.dry_run else "imported"),
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
            parts.append(f"{word} {number:,}" if report.dry_run else f"{number:,} {word}")
    if report.skipped:
        parts.append(f"{counted(len(report.skipped), 'other file')} left alone")
    return ", ".join(parts) or "Found nothing to import."


def _totals(report: ImportReport) -> str:
    read, written = human_size(report.bytes_read), human_size(report.bytes_written)
    if report.bytes_cloned:
        written += f", {human_size(report.bytes_cloned)} shared with the originals"
    text = f"{read} read, {written} written, {report.seconds:.1f} s"
    if not report.bytes_read or report.seconds <= 0:
        return text
    return f"{text}, {human_size(round(report.bytes_read / report.seconds))}/s"
