"""``cellar inspect``: what files are, by their bytes."""

from pathlib import Path
from typing import Any

import click

from modelcellar.records import ErrorInfo, Inspection
from modelcellar_cli.boundary import ExitCode, describe, report
from modelcellar_cli.findings import finding_lines, line, security_lines
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import (
    emit_json,
    emit_lines,
    emit_table,
    error_to_json,
    errors_to_json,
    findings_to_json,
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
TENSOR_COLUMNS = (Column("TENSOR", cut_order=1), Column("DTYPE"), Column("SHAPE"))


@click.command("inspect", cls=CellarCommand)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@click.option("--tensors", is_flag=True, help="Name, type and shape of every tensor as well.")
@click.option("-v", "--verbose", is_flag=True, help="Everything known, each with its evidence.")
@click.pass_obj
def command(options: Options, files: tuple[str, ...], tensors: bool, verbose: bool) -> int:
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
            size_bytes = Path(path).stat().st_size
            found.append((path, size_bytes, inspect_file(Path(path), with_tensors=tensors)))
        except OSError as error:
            failure = describe(error)
            report(failure, as_json=options.json)
            failures.append((path, failure.info))
    if options.json:
        shown = [inspection_to_json(*one) for one in found]
        if tensors:
            for document, (_, _, inspection) in zip(shown, found, strict=True):
                document["tensors"] = [one._asdict() for one in inspection.tensors]
        emit_json({"files": shown, "errors": errors_to_json(failures)})
    elif options.quiet:
        emit_lines(inspection.format.value for _, _, inspection in found)
    elif len(found) == 1 or verbose or tensors:
        for number, one in enumerate(found):
            emit_lines([""] if number else [])
            _show_one(*one, verbose=verbose, tensors=tensors)
    elif found:
        _show_all(found)
    if not failures:
        return ExitCode.DONE
    return ExitCode.PARTLY_DONE if found else ExitCode.FAILED


def inspection_to_json(path: str, size_bytes: int, inspection: Inspection) -> dict[str, Any]:
    """A MODEL of one file as far as its bytes tell, with the facts behind it."""
    format_ = inspection.format.value
    nothing = ("status", "provider", "repo_id", "revision", "path", "evidence")
    refusal = inspection.refusal
    known = {name: found.value for name, found in inspection.findings.items()}
    file = {**path_fields("path", path), "size_bytes": size_bytes, "blake3": None, "sha256": None}
    return {
        "id": None,
        "name": show_text(Path(path).name),
        "type": known.get("type", "unknown"),
        "format": format_,
        "base_model": known.get("base_model"),
        "family": known.get("family"),
        "summary": inspection.summary,
        "size_bytes": size_bytes,
        "files": [{**file, "format": format_}],
        "identity": {**dict.fromkeys(nothing), "status": "unknown"},
        "tags": list(known.get("tags", ())),
        "note": "",
        "security": {
            "verdict": inspection.security.verdict,
            "details": list(inspection.security.details),
        },
        "added_at": None,
        "verified_at": None,
        "damaged_at": None,
        "findings": findings_to_json(inspection.findings),
        "also": [other.value for other in inspection.also],
        "facts": dict(inspection.facts),
        "refusal": refusal
        and error_to_json(ErrorInfo(refusal.code, refusal.reason, refusal.remedy)),
    }


def _show_one(
    path: str, size_bytes: int, inspection: Inspection, *, verbose: bool, tensors: bool
) -> None:
    pairs = [
        ("file", path),
        ("format", inspection.format.value),
        ("size", human_size(size_bytes)),
        ("what it is", inspection.summary),
        ("ALSO", ", ".join(f"can be read as {other.value}" for other in inspection.also)),
    ]
    emit_lines(line(title, value) for title, value in pairs if value)
    emit_lines(finding_lines(inspection.findings, verbose=verbose))
    if inspection.refusal is None:
        emit_lines(security_lines(inspection.security))
    _show_refusal(path, inspection)
    if tensors and inspection.tensors:
        rows = [
            [show_text(one.name), one.dtype, " x ".join(map(str, one.shape)) or "scalar"]
            for one in inspection.tensors
        ]
        emit_lines([""])
        emit_table(TENSOR_COLUMNS, rows)


def _show_all(found: list[tuple[str, int, Inspection]]) -> None:
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
        _show_refusal(path, inspection)


def _show_refusal(path: str, inspection: Inspection) -> None:
    refusal = inspection.refusal
    if refusal is not None:
        emit_lines(["", f"refused {show_text(path)}", f"  why:  {show_text(refusal.reason)}"])
        emit_lines([f"  next: {show_text(refusal.remedy)}"])
