"""``cellar download``: bring models from the Hub, Civitai or an address into the library."""

import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from modelcellar.download_records import DownloadReport, FetchedFile, FileState
from modelcellar.network.http import display_url
from modelcellar.records import ModelType
from modelcellar.reports import ImportStatus
from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.imported import (
    TAKEN,
    TYPES,
    counts,
    exit_code_for_results,
    problem_lines,
    results_to_json,
    show_results,
)
from modelcellar_cli.options import CellarCommand, Options, one_of
from modelcellar_cli.origins import talk_of_wait
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
    from modelcellar.library import ModelLibrary
    from modelcellar.records import ErrorInfo
    from modelcellar.reports import Progress

MOST_CONNECTIONS = 32
COLUMNS = (
    Column("PATH", cut_order=1),
    Column("SIZE", right=True),
    Column(
        "WHERE",
        colours={"library": "cyan", "your": "cyan", "staged": "green", "partial:": "yellow"},
    ),
)
WHERE = {
    FileState.LIBRARY: "library",
    FileState.CACHE: "your HF cache",
    FileState.STAGED: "staged",
    FileState.MISSING: "to fetch",
}


@click.command("download", cls=CellarCommand)
@click.argument("target")
@click.argument("patterns", nargs=-1, metavar="[GLOB]...")
@click.option("--revision", metavar="REVISION", help="A branch, a tag or a commit of the Hub.")
@click.option("--include", multiple=True, metavar="GLOB", help="As GLOB; may be repeated.")
@click.option(
    "--exclude", multiple=True, metavar="GLOB", help="Leave these files out; may be repeated."
)
@click.option(
    "--sha256", metavar="DIGEST", help="What an https address must turn out to be, 64 digits."
)
@click.option("--name", help="The model's name, when what is downloaded is one model.")
@click.option("--type", "type_", type=click.Choice(TYPES), metavar="TYPE", help=one_of(TYPES))
@click.option(
    "--connections",
    type=click.IntRange(0, MOST_CONNECTIONS),
    default=0,
    metavar="N",
    help="So many at once (the default, 0: as many as help the drive and the host).",
)
@click.option("--dry-run", is_flag=True, help="List the files and where each is; fetch nothing.")
@click.option(
    "--discard",
    is_flag=True,
    help="Throw away what unfinished downloads of TARGET have left; fetch nothing.",
)
@click.pass_obj
def command(
    options: Options,
    target: str,
    patterns: tuple[str, ...],
    revision: str | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    sha256: str | None,
    name: str | None,
    type_: str | None,
    connections: int,
    dry_run: bool,
    discard: bool,
) -> int:
    """Bring models from the Hub, Civitai or an address into the library.

    TARGET is a repository (owner/name, owner/name:Q4_K_M for one quantisation), a link to a
    repository, a folder or a file of the Hub, a link of Civitai or civitai:VERSION, or any https
    address together with --sha256. GLOB chooses among its files: 'unet/*', '*.json', a path.

    Everything is checked against the digests that are published for it before it counts. What the
    library, your Hugging Face cache or an earlier run has is not fetched again, so a download that
    was cut short is finished by the same command. With -q prints the ids of the models.

    Exit codes: 0 all in, 3 some of it, 4 the host wants you to sign in, 5 there is nothing by that
    name, 6 what came is not what was published, 8 no space, 9 the host could not be asked.
    """
    if discard:
        return _discard(options, target)
    told: list[str] = []

    def tell(note: str) -> None:
        told.append(note)
        talk(options, f"note: {show_text(note)}")

    with library_to_import_into(options, dry_run=dry_run) as library:
        progress = ProgressTalk(options)
        try:
            with progress:
                report = library.download(
                    target,
                    patterns,
                    revision=revision,
                    include=include,
                    exclude=exclude,
                    sha256=sha256,
                    name=name,
                    model_type=ModelType(type_) if type_ else None,
                    connections=connections,
                    dry_run=dry_run,
                    progress=progress,
                    on_wait=talk_of_wait(options),
                    on_note=tell,
                )
        except KeyboardInterrupt:
            talk(options, _stopped(progress.last))
            raise
        _show(options, report, library)
    for note in report.notes:
        if note not in told:
            tell(note)
    if dry_run:
        talk_of_place(options)
    return exit_code_for_results(report.results, _errors(report))


def report_to_json(report: DownloadReport) -> dict[str, Any]:
    """The whole report as data."""
    return {
        "target": report.target,
        "provider": report.provider,
        "repo_id": report.repo_id,
        "revision": report.revision,
        "files": [
            {
                **path_fields("path", one.path),
                "size_bytes": one.size_bytes,
                "state": one.state.value,
                "sha256": one.sha256,
                "held_bytes": one.held_bytes,
                "fetched_bytes": one.fetched_bytes,
                "error": error_to_json(one.error),
            }
            for one in report.files
        ],
        "results": results_to_json(report.results),
        "models": [model_to_json(model) for model in report.models],
        "notes": list(report.notes),
        "bytes_fetched": report.bytes_fetched,
        "bytes_reused": report.bytes_reused,
        "bytes_total": report.bytes_total,
        "seconds": report.seconds,
        "dry_run": report.dry_run,
    }


def _errors(report: DownloadReport) -> "list[ErrorInfo]":
    found = [one.error for one in report.files] + [one.error for one in report.results]
    return [error for error in found if error is not None]


def _stopped(last: "Progress | None") -> str:
    if last is None or not last.bytes_done or not last.bytes_total:
        return "\nStopped. Run the same command to go on."
    here = f"{human_size(last.bytes_done)} of {human_size(last.bytes_total)}"
    return f"\nStopped. {here} are here and will be used: run the same command to go on."


def _show(options: Options, report: DownloadReport, library: "ModelLibrary") -> None:
    if options.json:
        emit_json(report_to_json(report))
    elif options.quiet:
        ids = (one.model_id for one in report.results if one.status in TAKEN)
        emit_lines(show_text(one) for one in dict.fromkeys(ids) if one)
    elif report.dry_run:
        _show_plan(options, report, library)
    else:
        _show_results(options, report)


def _show_results(options: Options, report: DownloadReport) -> None:
    show_results(report.results)
    for file in report.files:
        if file.error is not None:
            emit_lines([*problem_lines("failed", file.path, file.error), ""])
    emit_lines([line for line in (counts(report.results), _totals(report)) if line])
    if any(result.status is ImportStatus.IMPORTED for result in report.results):
        talk(options, "Take it back: cellar undo    Find a model: cellar search WORDS")
    if any(result.status is ImportStatus.REFUSED for result in report.results):
        command = shlex.join(["cellar", "download", report.target, "--discard"])
        talk(options, f"What was refused is kept. To give it up: {show_text(command)}")
    if any(file.error is not None for file in report.files):
        talk(options, "What has come is kept: run the same command to go on.")


def _totals(report: DownloadReport) -> str:
    parts = [f"{human_size(report.bytes_fetched)} fetched"]
    if report.bytes_reused:
        parts.append(f"{human_size(report.bytes_reused)} reused")
    parts.append(f"{report.seconds:.1f} s")
    if report.bytes_fetched and report.seconds > 0:
        parts.append(f"{human_size(round(report.bytes_fetched / report.seconds))}/s")
    return ", ".join(parts)


def _show_plan(options: Options, report: DownloadReport, library: "ModelLibrary") -> None:
    from modelcellar.io.surroundings import file_system_of

    if report.files:
        emit_table(COLUMNS, [_row(file) for file in report.files])
        emit_lines([""])
    missing = sum(_missing_bytes(file) for file in report.files)
    parts = [counted(len(report.files), "file")]
    if here := report.bytes_total - missing:
        parts.append(f"{human_size(here)} here")
    parts.append(f"{human_size(missing)} to fetch")
    free = file_system_of(library.path, find_mount=False).free_bytes
    if free is not None:
        parts.append(f"{human_size(free)} free on the library's disk")
    emit_lines([", ".join(parts)])
    unknown = sum(file.size_bytes is None for file in report.files)
    if unknown:
        talk(options, f"How large {counted(unknown, 'file')} will be is known when they come.")
    talk(options, "Nothing was fetched. Run it without --dry-run to do it.")


def _row(file: FetchedFile) -> list[str]:
    size = "-" if file.size_bytes is None else human_size(file.size_bytes)
    where = WHERE.get(file.state) or f"partial: {human_size(file.held_bytes)} of {size}"
    return [show_text(file.path), size, where]


def _missing_bytes(file: FetchedFile) -> int:
    is_missing = file.state in (FileState.MISSING, FileState.PARTIAL)
    return (file.size_bytes or 0) - file.held_bytes if is_missing else 0


def _discard(options: Options, target: str) -> ExitCode:
    with open_library(options) as library:
        found = library.discard_downloads(target)
    if options.json:
        emit_json({"target": target, "discarded": list(map(asdict, found))})
    elif options.quiet:
        emit_lines(show_text(one.target) for one in found)
    for one in found:
        what = f"{counted(one.files, 'file')}, {human_size(one.held_bytes)}"
        talk(options, f"discarded what was here of {show_text(one.target)}: {what}")
    if not found:
        shown = show_text(display_url(target) if "://" in target else target)
        talk(options, f"nothing unfinished is here of {shown}")
        talk(options, "  What there is: cellar status")
    return ExitCode.DONE if found else ExitCode.NOT_FOUND
