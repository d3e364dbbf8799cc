"""``cellar adopt``: take a collection into the library where it lies."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelcellar.link_records import LinkKind
from modelcellar.reports import ImportStatus
from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.durations import read_duration
from modelcellar_cli.options import CellarCommand, Options
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
from modelcellar_cli.session import library_to_import_into, open_library, talk_of_place
from modelcellar_cli.tables import Column

if TYPE_CHECKING:
    from modelcellar.reports import AdoptReport, AdoptResult

LINKS = [LinkKind.REFLINK.value, LinkKind.HARDLINK.value]
IN_WORDS = {ImportStatus.IMPORTED: "adopted", ImportStatus.DUPLICATE: "there already"}
SHOWN_ROWS = 50
"""A collection has thousands of models, and a table of all of them tells nobody anything."""
COLUMNS = (
    Column("SOURCE", cut_order=1),
    Column("WHAT IT IS", cut_order=1),
    Column("SIZE", right=True),
    Column("LINK"),
    Column("CLAIMED", cut_order=2),
    Column("MODEL", cut_order=2),
)


@click.command("adopt", cls=CellarCommand)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="DIR...")
@click.option(
    "--link",
    type=click.Choice(LINKS),
    help="reflink: a copy that shares its data with the original; hardlink: a second name of the "
    "same file. By default reflink where that works, else hardlink.",
)
@click.option(
    "--finish",
    is_flag=True,
    help="Read what was adopted and not read yet, and make its digests; small models first.",
)
@click.option(
    "--max-duration",
    callback=read_duration,
    metavar="TIME",
    help="With --finish: stop after this time, as 90s, 30m or 2h; the next run goes on.",
)
@click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
@click.pass_obj
def command(
    options: Options,
    paths: tuple[Path, ...],
    link: str | None,
    finish: bool,
    max_duration: float | None,
    dry_run: bool,
) -> int:
    """Take a collection of models into the library where it lies, without reading it all.

    Its files stay where they are and are linked into the library. What other tools wrote down about
    them is shown as claimed; digests are made later, by "cellar adopt --finish" or "cellar verify".
    Until then an adopted model counts as equal to no other. With -q prints the ids of the models.

    Exit codes: 0 all in, 3 some refused or failed, 1 none came in; with --finish as verify.
    """
    if finish == bool(paths):
        raise click.UsageError("Give folders to adopt, or --finish alone.")
    if finish:
        return _finish(options, max_duration)
    with library_to_import_into(options, dry_run=dry_run) as library, ProgressTalk(options) as told:
        kind = LinkKind(link) if link is not None else None
        report = library.adopt(paths, link=kind, dry_run=dry_run, progress=told)
    if options.json:
        emit_json(_report_to_json(report))
    elif options.quiet:
        emit_lines(show_text(model.id) for model in report.models)
    else:
        _show(options, report)
    if dry_run:
        talk_of_place(options)
    return _exit_code(report)


def _finish(options: Options, max_duration: float | None) -> int:
    from modelcellar_cli.commands.verify import show_report

    with open_library(options) as library, ProgressTalk(options) as told:
        report = library.verify(unread=True, max_duration_s=max_duration, progress=told)
    return show_report(options, report)


def _exit_code(report: "AdoptReport") -> ExitCode:
    if all(one.error is None for one in report.results):
        return ExitCode.DONE
    is_any_in = any(one.status in IN_WORDS for one in report.results)
    return ExitCode.PARTLY_DONE if is_any_in else ExitCode.FAILED


def _report_to_json(report: "AdoptReport") -> dict[str, Any]:
    return {
        "plan": {
            "actions": [_result_to_json(one) for one in report.results],
            "size_bytes": sum(one.size_bytes or 0 for one in report.results if one.link),
        },
        "models": [model_to_json(model) for model in report.models],
        "skipped": [
            {**path_fields("source", one.source), "reason": one.reason} for one in report.skipped
        ],
        "seconds": report.seconds,
        "dry_run": report.dry_run,
    }


def _result_to_json(one: "AdoptResult") -> dict[str, Any]:
    return {
        **path_fields("source", one.source),
        "action": "adopt" if one.status is ImportStatus.IMPORTED else one.status.value,
        "model_id": one.model_id,
        "link": one.link.value if one.link is not None else None,
        "files": [path_fields("path", name) for name in one.files],
        "size_bytes": one.size_bytes,
        "summary": one.summary,
        "claimed_digests": one.claims,
        "claimed_from": one.claimed_from or None,
        "error": error_to_json(one.error),
    }


def _show(options: Options, report: "AdoptReport") -> None:
    rows = [_row(one) for one in report.results if one.error is None]
    if rows:
        emit_table(COLUMNS, rows[:SHOWN_ROWS])
        if len(rows) > SHOWN_ROWS:
            emit_lines([f"... and {len(rows) - SHOWN_ROWS:,} more"])
        emit_lines([""])
    for one in report.results:
        if one.error is not None:
            emit_lines([f"{one.status.value} {show_text(one.source)}"])
            emit_lines([f"  why:  {show_text(one.error.message)}"])
            emit_lines([f"  next: {show_text(line)}" for line in one.error.hint.splitlines()])
    emit_lines([_counts(report)])
    if report.dry_run:
        talk(options, "Nothing was changed. Run it without --dry-run to do it.")
    elif report.models:
        talk(options, "Nothing was read but headers. Make the digests when there is time:")
        talk(options, "  cellar adopt --finish    Take it back: cellar undo")


def _row(one: "AdoptResult") -> list[str]:
    link = one.link.value if one.link is not None else IN_WORDS[one.status]
    size = "-" if one.size_bytes is None else human_size(one.size_bytes)
    claimed = one.claimed_from or (counted(one.claims, "digest") if one.claims else "-")
    name = show_text(Path(one.source).name or one.source)
    cells = [name, show_text(one.summary), size, link, show_text(claimed)]
    return [*cells, show_text(one.model_id or "-")]


def _counts(report: "AdoptReport") -> str:
    verb = "would adopt" if report.dry_run else "adopted"
    came_in = [one for one in report.results if one.status is ImportStatus.IMPORTED]
    size_bytes = sum(one.size_bytes or 0 for one in came_in)
    parts = [f"{verb} {counted(len(came_in), 'model')}, {human_size(size_bytes)}"]
    for status, word in (
        (ImportStatus.DUPLICATE, "there already"),
        (ImportStatus.REFUSED, "refused"),
        (ImportStatus.FAILED, "failed"),
    ):
        number = sum(one.status is status for one in report.results)
        if number:
            parts.append(f"{number:,} {word}")
    if report.skipped:
        parts.append(f"{counted(len(report.skipped), 'other file')} left alone")
    return f"{', '.join(parts)}, in {report.seconds:.1f} s"
