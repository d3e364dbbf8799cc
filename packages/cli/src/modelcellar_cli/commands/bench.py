"""``cellar bench``: how fast a drive copies and digests, beside plain reads and writes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.findings import line
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import emit_json, emit_lines, emit_table, human_size, show_text
from modelcellar_cli.progress import ProgressTalk
from modelcellar_cli.tables import Column

if TYPE_CHECKING:
    from modelcellar.reports import BenchReport

COLUMNS = (
    Column("WHAT"),
    Column("PER SECOND", right=True),
    Column("SECONDS", right=True),
    Column("FROM", right=True),
    Column("TO", right=True),
)


@click.command("bench", cls=CellarCommand)
@click.argument("folder", default=".", metavar="[DIR]", type=click.Path(path_type=Path))
@click.option(
    "--size",
    default="1GiB",
    metavar="SIZE",
    help="How much to work on; three times as much must be free. Default: 1GiB.",
)
@click.pass_obj
def command(options: Options, folder: Path, size: str) -> int:
    """Measure how fast the drive under DIR copies and digests, beside plain reads and writes.

    Writes files of random bytes into a folder of its own in DIR, by default the current folder,
    and removes them again. Each case runs three times; the table shows the median, and the fastest
    and the slowest run. Needs no library.

    Exit codes: 0 done, 1 failed, 8 not enough space.
    """
    from modelcellar.config import load_settings, parse_size
    from modelcellar.io.manager import IoManager
    from modelcellar.io.throughput import measure

    settings, _ = load_settings(flags=options.flags())
    with ProgressTalk(options) as talk:
        report = measure(
            folder, IoManager(settings.drive), size_bytes=parse_size(size), on_progress=talk
        )
    if options.json:
        emit_json(report_to_json(report))
    elif options.quiet:
        emit_lines(f"{case.seconds:.3f}" for case in report.cases)
    else:
        _show(report)
    return ExitCode.DONE


def report_to_json(report: "BenchReport") -> dict[str, Any]:
    """The whole report as data."""
    drive = report.drive
    return {
        "drive": {
            "path": report.path,
            "kind": drive.kind.value,
            "confidence": drive.confidence.value,
            "devices": list(drive.devices),
            "reason": drive.reason,
            "concurrency": drive.concurrency,
        },
        "cases": [
            {
                "name": case.name,
                "size_bytes": case.size_bytes,
                "seconds": case.seconds,
                "rounds": list(case.rounds),
                "bytes_per_second": case.size_bytes / case.seconds,
            }
            for case in report.cases
        ],
        "bottleneck": report.bottleneck,
        "sha256_backend": report.sha256_backend,
    }


def _show(report: "BenchReport") -> None:
    drive = report.drive
    pairs = [
        ("drive", f"{drive.kind} ({drive.confidence}): {drive.reason}"),
        ("SHA-256", report.sha256_backend),
    ]
    emit_lines([*(line(title, show_text(value)) for title, value in pairs), ""])
    rows = [
        [
            case.name,
            f"{human_size(round(case.size_bytes / case.seconds))}/s",
            *(f"{seconds:.2f}" for seconds in (case.seconds, min(case.rounds), max(case.rounds))),
        ]
        for case in report.cases
    ]
    emit_table(COLUMNS, rows)
    emit_lines(["", f"The slowest part of one copy: {report.bottleneck}."])
