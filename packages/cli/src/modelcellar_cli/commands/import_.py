"""``cellar import``: take model files and folders into the library."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from modelcellar.records import ModelType
from modelcellar.reports import ImportMode, ImportReport, ImportStatus
from modelcellar_cli.imported import (
    TYPES,
    counts,
    exit_code_for_results,
    results_to_json,
    show_results,
)
from modelcellar_cli.options import CellarCommand, Options, one_of
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    human_size,
    model_to_json,
    path_fields,
    show_text,
    talk,
)
from modelcellar_cli.progress import ProgressTalk
from modelcellar_cli.session import library_to_import_into, talk_of_place

if TYPE_CHECKING:
    from modelcellar.reports import ImportResult


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
    errors = [result.error for result in report.results if result.error is not None]
    return exit_code_for_results(report.results, errors)


def report_to_json(report: ImportReport) -> dict[str, Any]:
    """The whole report as data."""
    return {
        "results": results_to_json(report.results),
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
    show_results(report.results, dry_run=report.dry_run)
    said = counts(report.results, dry_run=report.dry_run, skipped=len(report.skipped))
    emit_lines([said or "Found nothing to import.", _totals(report)])
    if report.dry_run:
        talk(options, "Nothing was changed. Run it without --dry-run to do it.")
    elif any(result.status is ImportStatus.IMPORTED for result in report.results):
        talk(options, "Take it back: cellar undo    Find a model: cellar search WORDS")


def _totals(report: ImportReport) -> str:
    read, written = human_size(report.bytes_read), human_size(report.bytes_written)
    if report.bytes_cloned:
        written += f", {human_size(report.bytes_cloned)} shared with the originals"
    text = f"{read} read, {written} written, {report.seconds:.1f} s"
    if not report.bytes_read or report.seconds <= 0:
        return text
    return f"{text}, {human_size(round(report.bytes_read / report.seconds))}/s"
