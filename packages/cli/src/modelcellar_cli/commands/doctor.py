"""``cellar doctor``: what is wrong with the library, and what to do about it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    emit_table,
    error_to_json,
    show_text,
    talk,
)
from modelcellar_cli.tables import Column

if TYPE_CHECKING:
    from modelcellar.doctor.findings import Finding, Repair

COLUMNS = (
    Column("CHECK"),
    Column("STATUS", colours={"error": "red", "warning": "yellow", "ok": "green"}),
    Column("WHAT WAS FOUND", cut_order=1),
)


@click.command("doctor", cls=CellarCommand)
@click.option("--fix", is_flag=True, help="Do what is safe; no model is ever deleted.")
@click.option("--network", is_flag=True, help="Also ask the hosts for a sign of life.")
@click.option("-v", "--verbose", is_flag=True, help="Show all that a finding is about.")
@click.pass_obj
def command(options: Options, fix: bool, network: bool, verbose: bool) -> int:
    """Tell what is wrong with the library, and what to do about it.

    It works on a library that does not open, and changes nothing without --fix. Whole files are
    read by "cellar verify" only. With -q prints the checks that found something.

    Exit codes: 0 nothing is wrong, or only warnings; 1 an error was found and is still there.
    """
    from modelcellar.config import load_settings
    from modelcellar.doctor.examination import examine, mend
    from modelcellar.doctor.findings import Status

    settings, _ = load_settings(flags=options.flags())
    findings = examine(settings.library, settings, ask_hosts=network)
    repairs: Sequence[Repair] = ()
    if fix and (repairs := mend(findings)):
        findings = examine(settings.library, settings, ask_hosts=network)
    bad = [one for one in findings if one.status in (Status.WARNING, Status.ERROR)]
    if options.json:
        emit_json({"checks": list(map(_to_json, findings)), "fixed": list(map(_done, repairs))})
    elif options.quiet:
        emit_lines(dict.fromkeys(one.id for one in bad))
    else:
        _show(options, findings, repairs, verbose=verbose)
    has_errors = any(one.status is Status.ERROR for one in findings)
    return ExitCode.FAILED if has_errors else ExitCode.DONE


def _to_json(finding: "Finding") -> dict[str, Any]:
    return {
        "id": finding.id,
        "status": finding.status.value,
        "summary": finding.summary,
        "fix": finding.fix,
        "can_fix": finding.mend is not None,
        "items": list(finding.items),
    }


def _done(repair: "Repair") -> dict[str, Any]:
    return {"id": repair.id, "done": repair.done, "error": error_to_json(repair.error)}


def _show(
    options: Options,
    findings: "Sequence[Finding]",
    repairs: "Sequence[Repair]",
    *,
    verbose: bool,
) -> None:
    for repair in repairs:
        said = f"could not: {repair.error.message}" if repair.error else repair.done
        emit_lines([f"fixed {repair.id}: {show_text(said)}"])
    if repairs:
        emit_lines([""])
    emit_table(COLUMNS, [[one.id, one.status.value, show_text(one.summary)] for one in findings])
    for one in findings:
        if one.fix:
            emit_lines(["", f"{one.id}: {show_text(one.summary)}"])
            emit_lines(f"  {show_text(item)}" for item in (one.items if verbose else ()))
            emit_lines([f"  next: {show_text(one.fix)}"])
    by_status = [one.status.value for one in findings]
    errors, warnings = by_status.count("error"), by_status.count("warning")
    emit_lines(["", f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"])
    if any(one.mend is not None for one in findings):
        talk(options, "What is safe is done by: cellar doctor --fix")
