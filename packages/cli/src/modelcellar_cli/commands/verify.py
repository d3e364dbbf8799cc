"""``cellar verify``: read models again and compare them with their digests."""

from typing import TYPE_CHECKING

import click

from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.durations import read_duration
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    emit_table,
    path_fields,
    show_text,
    talk,
)
from modelcellar_cli.progress import ProgressTalk
from modelcellar_cli.session import open_library
from modelcellar_cli.tables import Column

if TYPE_CHECKING:
    from modelcellar.reports import Damage, VerifyReport

COLUMNS = (
    Column("MODEL", cut_order=2),
    Column("FILE", cut_order=1),
    Column("STATUS", colours={"damaged": "red", "missing": "red"}),
    Column("EXPECTED", cut_order=1),
    Column("FOUND", cut_order=1),
)


@click.command("verify", cls=CellarCommand)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--quick", is_flag=True, help="Look at sizes and formats only.")
@click.option(
    "--max-duration",
    callback=read_duration,
    metavar="TIME",
    help="Stop after this time, as 90s, 30m or 2h; the next run goes on with the oldest.",
)
@click.pass_obj
def command(
    options: Options, models: tuple[str, ...], quick: bool, max_duration: float | None
) -> int:
    """Read models again and compare them with their digests: all of them, or those given.

    Those whose last check is longest ago come first. Adopted models get their digests when they are
    read for the first time. With -q prints the ids of models with damage.
    Exit codes: 0 all is well, 6 something is damaged or missing.
    """
    with open_library(options) as library, ProgressTalk(options) as progress:
        report = library.verify(models, quick=quick, max_duration_s=max_duration, progress=progress)
    return show_report(options, report)


def show_report(options: Options, report: "VerifyReport") -> int:
    """Print what a verification found, and return the exit code for it."""
    if options.json:
        emit_json(
            {
                "checked": report.checked,
                "ok": report.ok,
                "damaged": [_damage_to_json(one) for one in report.damaged],
                "missing": [_damage_to_json(one) for one in report.missing],
                "not_reached": report.not_reached,
                "first_read": list(report.first_read),
                "false_claims": [_damage_to_json(one) for one in report.false_claims],
                "twins": [list(pair) for pair in report.twins],
            }
        )
    elif options.quiet:
        bad = dict.fromkeys(one.model_id for one in (*report.damaged, *report.missing))
        emit_lines(map(show_text, bad))
    else:
        _show(options, report)
    good = not (report.damaged or report.missing)
    return ExitCode.DONE if good else ExitCode.VERIFICATION_FAILED


def _damage_to_json(one: "Damage") -> dict[str, str]:
    return {
        "model_id": one.model_id,
        **path_fields("path", one.path),
        "expected": one.expected,
        "actual": one.actual,
    }


def _show(options: Options, report: "VerifyReport") -> None:
    found = [
        *((one, "damaged") for one in report.damaged),
        *((one, "missing") for one in report.missing),
    ]
    if found:
        rows = [
            [one.model_id, one.path, status, one.expected or "-", one.actual or "-"]
            for one, status in found
        ]
        emit_table(COLUMNS, [[show_text(cell) for cell in row] for row in rows])
        emit_lines([""])
    left = f", {report.not_reached:,} not reached in the time given" if report.not_reached else ""
    emit_lines([f"{counted(report.checked, 'model')} checked, {report.ok:,} ok{left}"])
    if report.first_read:
        emit_lines([f"{counted(len(report.first_read), 'adopted model')} read for the first time"])
    for one in report.false_claims:
        place = show_text(f"{one.model_id}, {one.path}")
        emit_lines([f"note {place}: another tool says sha256 {one.expected}, it is {one.actual}"])
    for model_id, other in report.twins:
        emit_lines([f"note {show_text(model_id)} has the same content as {show_text(other)}"])
    if report.twins:
        talk(options, "Both are kept. To let one go: cellar remove MODEL")
    if any(one.is_unread for one, _ in found):
        talk(options, "What was never read whole cannot be mended. Take it in as it is now:")
        talk(options, "  cellar remove MODEL    and then: cellar adopt PATH")
    if any(not one.is_unread for one, _ in found):
        talk(
            options,
            "Get the file again from where it is from and import it: that mends the model.",
        )
