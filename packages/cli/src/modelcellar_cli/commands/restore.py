"""``cellar restore``: bring what another machine has exported."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    emit_table,
    entry_to_json,
    human_size,
    path_fields,
    show_text,
    talk,
)
from modelcellar_cli.progress import ProgressTalk
from modelcellar_cli.session import library_to_import_into
from modelcellar_cli.tables import Column

if TYPE_CHECKING:
    from modelcellar.model_set import ModelSet
    from modelcellar.reports import RestoreReport, RestoreResult

COLUMNS = (
    Column("MODEL", cut_order=2),
    Column("STATUS", colours={"missing": "yellow", "failed": "red"}),
    Column("WHAT", cut_order=1),
)


@click.command("restore", cls=CellarCommand)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--from",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    metavar="DIR",
    help="Look for the files there, by their digests, and copy them in; several times.",
)
@click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
@click.pass_obj
def command(options: Options, file: Path, folders: tuple[Path, ...], dry_run: bool) -> int:
    """Bring the set that "cellar export" wrote into FILE.

    Models that are there get their tags, notes and origins back, but for what you have changed
    since. For those that are not, it says where to get them. No host is asked. With -q prints the
    content digests of what is missing.

    Exit codes: 0 all of the set is there, 3 something is missing.
    """
    from modelcellar.model_set import decode_set

    wanted = decode_set(file.read_bytes(), str(file))
    with (
        library_to_import_into(options, dry_run=dry_run) as library,
        ProgressTalk(options) as progress,
    ):
        report = library.restore(wanted, folders, dry_run=dry_run, progress=progress)
    missing = [one for one in report.results if one.status in ("missing", "failed")]
    if options.json:
        emit_json(_to_json(report))
    elif options.quiet:
        emit_lines(one.content_digest for one in missing)
    else:
        _show(options, report, wanted)
    return ExitCode.PARTLY_DONE if missing else ExitCode.DONE


def _to_json(report: "RestoreReport") -> dict[str, Any]:
    return {
        "models": [
            {
                "content_digest": one.content_digest,
                "name": one.name,
                "status": one.status.value,
                "model_id": one.model_id,
                "changed": list(one.changed),
                "kept": list(one.kept),
                "missing_files": [
                    {
                        **path_fields("path", file.path),
                        "sha256": file.known_digests.sha256,
                        "size_bytes": file.size_bytes,
                    }
                    for file in one.files
                ],
                "sources": list(one.sources),
                "problem": one.problem,
            }
            for one in report.results
        ],
        "entry": None if report.entry is None else entry_to_json(report.entry),
        "dry_run": report.dry_run,
    }


def _show(options: Options, report: "RestoreReport", wanted: "ModelSet") -> None:
    rows = [
        [show_text(one.name), one.status.value, show_text(_what(one))] for one in report.results
    ]
    emit_table(COLUMNS, rows)
    for one in report.results:
        emit_lines(_where(one))
    statuses = [one.status.value for one in report.results]
    words = [f"{statuses.count(word):,} {word}" for word in dict.fromkeys(statuses)]
    emit_lines(["", ", ".join(words) or "The set is empty."])
    if report.dry_run:
        talk(options, "Nothing was changed. Run it without --dry-run to do it.")
    elif report.entry is not None:
        talk(options, "Take it back: cellar undo")
    for app in wanted.apps:
        name, preset = (show_text(str(app.get(key))) for key in ("name", "preset"))
        talk(options, f"There it had links in {name}: cellar app add {name} DIR --preset {preset}")


def _what(one: "RestoreResult") -> str:
    parts = [one.problem] if one.problem else []
    if one.changed:
        parts.append(f"brought: {', '.join(one.changed)}")
    if one.kept:
        parts.append(f"changed here since, and kept: {', '.join(one.kept)}")
    if one.files:
        size = human_size(sum(file.size_bytes for file in one.files))
        parts.append(f"{counted(len(one.files), 'file')} missing, {size}")
    return "; ".join(parts) or "-"


def _where(one: "RestoreResult") -> Iterator[str]:
    if one.status != "missing":
        return
    yield ""
    yield f"missing {show_text(one.name)}"
    for source in one.sources or ("nobody knows; look for the SHA-256",):
        yield f"  from: {show_text(source)}"
    for file in one.files:
        yield f"  {show_text(file.path)}  sha256 {file.known_digests.sha256}"
