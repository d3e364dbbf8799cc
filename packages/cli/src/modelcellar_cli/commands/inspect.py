"""``cellar inspect``: what files are, by their bytes."""

from pathlib import Path
from typing import Any

import click

from modelcellar.records import ErrorInfo, Inspection
from modelcellar_cli.boundary import ExitCode, describe, report
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import (
    emit_json,
    emit_lines,
    emit_table,
    error_to_json,
    errors_to_json,
    human_size,
    path_fields,
    show_text,
)
from modelcellar_cli.tables import Column

COLUMNS = (
    Column("FILE", cut_order=1),
    Column("FORMAT"),
    Column("SIZE", right=True),
    Column("WHAT IT IS", cut_order=1),
)


@click.command("inspect", cls=CellarCommand)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.pass_obj
def command(options: Options, files: tuple[str, ...]) -> int:
    """Tell what files are, by their bytes and never by their names. Needs no library.

    Only the structure is read, and nothing in it is ever run. A file that an import would refuse
    is told with the reason and the remedy. With -q prints only the formats, one a line.

    Exit codes: 0 all done, 3 some could not be read, 1 none could.
    """
    from modelcellar import inspect_file

    found: list[tuple[str, int, Inspection]] = []
    failures: list[tuple[str, ErrorInfo]] = []
    for path in files:
        try:
            found.append((path, Path(path).stat().st_size, inspect_file(Path(path))))
        except OSError as error:
            failure = describe(error)
            report(failure, as_json=options.json)
            failures.append((path, failure.info))
    if options.json:
        shown = [inspection_to_json(*one) for one in found]
        emit_json({"files": shown, "errors": errors_to_json(failures)})
    elif options.quiet:
        emit_lines(inspection.format.value for _, _, inspection in found)
    elif found:
        _show(found)
    if not failures:
        return ExitCode.DONE
    return ExitCode.PARTLY_DONE if found else ExitCode.FAILED


def inspection_to_json(path: str, size_bytes: int, inspection: Inspection) -> dict[str, Any]:
    """A MODEL of one file as far as its bytes tell, with the facts behind it."""
    place = path_fields("path", path)
    format_ = inspection.format.value
    nothing = ("status", "provider", "repo_id", "revision", "path", "evidence")
    refusal = inspection.refusal
    return {
        "id": None,
        "name": show_text(Path(path).name),
        "type": "unknown",
        "format": format_,
        "base_model": None,
        "family": None,
        "summary": inspection.summary,
        "size_bytes": size_bytes,
        "files": [
            {**place, "size_bytes": size_bytes, "blake3": None, "sha256": None, "format": format_}
        ],
        "identity": {**dict.fromkeys(nothing), "status": "unknown"},
        "tags": [],
        "note": "",
        "security": {"verdict": "not_checked", "details": []},
        "added_at": None,
        "verified_at": None,
        "damaged_at": None,
        "facts": dict(inspection.facts),
        "refusal": refusal
        and error_to_json(ErrorInfo(refusal.code, refusal.reason, refusal.remedy)),
    }


def _show(found: list[tuple[str, int, Inspection]]) -> None:
    rows = [
        [
            show_text(path),
            inspection.format.value,
            human_size(size_bytes),
            "would be refused" if inspection.refusal else show_text(inspection.summary) or "-",
        ]
        for path, size_bytes, inspection in found
    ]
    emit_table(COLUMNS, rows)
    for path, _, inspection in found:
        if inspection.refusal is not None:
            refusal = inspection.refusal
            emit_lines(["", f"refused {show_text(path)}", f"  why:  {show_text(refusal.reason)}"])
            emit_lines([f"  next: {show_text(refusal.remedy)}"])
