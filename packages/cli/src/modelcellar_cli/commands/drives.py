"""``cellar drives``: what the storage under paths is, and what else there is to know of it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelcellar_cli.boundary import ExitCode, describe, report
from modelcellar_cli.findings import line
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import (
    emit_json,
    emit_lines,
    emit_table,
    errors_to_json,
    path_fields,
    show_text,
)
from modelcellar_cli.tables import Column

if TYPE_CHECKING:
    from modelcellar.config import Settings
    from modelcellar.records import Drive, ErrorInfo, PlaceFinding

    Shown = tuple[Drive, tuple[PlaceFinding, ...]]

COLUMNS = (
    Column("PATH", cut_order=1),
    Column("KIND", colours={"unknown": "yellow"}),
    Column("HOW SURE"),
    Column("DEVICES", cut_order=1),
    Column("AT ONCE", right=True),
    Column("WHY", cut_order=2),
)


@click.command("drives", cls=CellarCommand)
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path(path_type=Path))
@click.pass_obj
def command(options: Options, paths: tuple[Path, ...]) -> int:
    """Tell what the storage under each PATH is, and why we think so.

    Without PATH: the library's folder and the current folder. What tells nothing about itself is
    measured, which takes a tenth of a second and a file of 64 MiB in that folder. Below stand
    problems of the place, as one to write to (a folder) or to read from (a file). Needs no library.

    If the answer is wrong, set MODELCELLAR_DRIVE, for example to "/mnt/models=hdd;sda=ssd". With
    -q prints only the kinds, one a line: ssd, hdd or unknown.

    Exit codes: 0 all done, 3 some could not be reached, 1 none could.
    """
    from modelcellar.config import load_settings

    settings, _ = load_settings(flags=options.flags())
    shown: list[Shown] = []
    failures: list[tuple[str, ErrorInfo]] = []
    for path in paths or (settings.library, Path.cwd()):
        try:
            shown.append(_look(path, settings, may_be_missing=not paths))
        except OSError as error:
            failure = describe(error)
            report(failure, as_json=options.json)
            failures.append((str(path), failure.info))
    if options.json:
        drives = [_to_json(*one) for one in shown]
        emit_json({"drives": drives, "errors": errors_to_json(failures)})
    elif options.quiet:
        emit_lines(drive.kind.value for drive, _ in shown)
    elif len(shown) == 1:
        _show_one(*shown[0])
    elif shown:
        _show_all(shown)
    if not failures:
        return ExitCode.DONE
    return ExitCode.PARTLY_DONE if shown else ExitCode.FAILED


def _look(path: Path, settings: "Settings", *, may_be_missing: bool) -> "Shown":
    from modelcellar.io.drives import get_drive
    from modelcellar.io.surroundings import nearest_existing
    from modelcellar.io.validator import place_of_source, validate_mapping_target

    # A library that is not made yet will lie on the disk of the folder above it.
    there = nearest_existing(path) if may_be_missing else path
    drive = replace(get_drive(there, overrides=settings.drive), path=str(path))
    if there == path and not path.is_dir():
        return drive, place_of_source(path)
    return drive, validate_mapping_target(path)


def _show_one(drive: "Drive", findings: "tuple[PlaceFinding, ...]") -> None:
    at_once = f"{drive.concurrency} file{'s' if drive.concurrency > 1 else ''}"
    pairs = [
        ("path", drive.path),
        ("kind", f"{drive.kind} ({drive.confidence})"),
        ("why", drive.reason),
        ("devices", ", ".join(drive.devices)),
        ("file system", drive.file_system),
        ("at once", at_once),
    ]
    emit_lines(line(title, value) for title, value in pairs if value)
    for found in findings:
        emit_lines(["", line(found.level, found.message)])
        emit_lines([line("", found.hint)] if found.hint else [])


def _show_all(shown: "list[Shown]") -> None:
    rows = [
        [
            show_text(drive.path),
            drive.kind.value,
            drive.confidence.value,
            show_text(", ".join(drive.devices)) or "-",
            str(drive.concurrency),
            show_text(drive.reason),
        ]
        for drive, _ in shown
    ]
    emit_table(COLUMNS, rows)
    paths: dict[PlaceFinding, list[str]] = {}
    for drive, findings in shown:
        for found in findings:
            paths.setdefault(found, []).append(show_text(drive.path))
    emit_lines(_finding_lines(paths))


def _finding_lines(paths: "dict[PlaceFinding, list[str]]") -> Iterator[str]:
    """Each finding once, with all the paths that it is about."""
    for found, about in paths.items():
        yield ""
        yield f"{found.level} {', '.join(about)}"
        yield f"  why:  {show_text(found.message)}"
        if found.hint:
            yield f"  next: {show_text(found.hint)}"


def _to_json(drive: "Drive", findings: "tuple[PlaceFinding, ...]") -> dict[str, Any]:
    return {
        **path_fields("path", drive.path),
        "kind": drive.kind.value,
        "confidence": drive.confidence.value,
        "devices": list(drive.devices),
        "reason": drive.reason,
        "concurrency": drive.concurrency,
        "file_system": drive.file_system,
        "network": drive.network,
        "removable": drive.removable,
        "findings": [
            {
                "level": found.level.value,
                "code": found.code,
                "message": found.message,
                "hint": found.hint,
            }
            for found in findings
        ],
    }
