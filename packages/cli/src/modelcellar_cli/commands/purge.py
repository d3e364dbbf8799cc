"""``cellar purge``: delete the library's trash for good."""

import sys

import click

from modelcellar_cli.durations import read_duration
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import counted, emit_json, emit_lines, human_size, show_text
from modelcellar_cli.session import open_library


@click.command("purge", cls=CellarCommand)
@click.option(
    "--older-than",
    callback=read_duration,
    metavar="TIME",
    help="Only what was removed longer ago than this, as 12h or 30d.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted; change nothing.")
@click.pass_obj
def command(options: Options, older_than: float | None, yes: bool, dry_run: bool) -> None:
    """Delete the library's trash for good and get its space back.

    This cannot be undone, so it asks first; without a terminal it needs --yes. With -q prints the
    ids of the models.
    """
    with open_library(options) as library:
        report = library.purge(older_than_s=older_than or 0.0, dry_run=True)
        what = f"{counted(len(report.model_ids), 'model')}, {human_size(report.size_bytes)}"
        if report.model_ids and not dry_run:
            _ask(what, yes)
            report = library.purge(older_than_s=older_than or 0.0)
    if options.json:
        ids = list(report.model_ids)
        emit_json({"models": ids, "size_bytes": report.size_bytes, "dry_run": dry_run})
    elif options.quiet:
        emit_lines(map(show_text, report.model_ids))
    else:
        emit_lines(f"  {show_text(model_id)}" for model_id in report.model_ids)
        emit_lines([f"{'would delete' if dry_run else 'deleted'}: {what}"])


def _ask(what: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError(f"This deletes {what} for good: say --yes.")
    click.confirm(f"Delete {what} for good?", abort=True, err=True)
