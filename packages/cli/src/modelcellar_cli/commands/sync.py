"""``cellar sync``: give applications the links that they should have."""

import click

from modelcellar_cli.linking import exit_code_of, show_report
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import talk
from modelcellar_cli.session import open_library


@click.command("sync", cls=CellarCommand)
@click.argument("app", required=False)
@click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
@click.pass_obj
def command(options: Options, app: str | None, dry_run: bool) -> int:
    """Give applications the links that they should have, and take away those they should not.

    APP is the name of one application; without it all are synced. Files and links that are not
    ours are never touched: where one stands in the way that is a conflict, and the exit code is 3.
    With -q prints the ids of the models whose links changed.
    """
    with open_library(options) as library:
        report = library.applications.sync(app, dry_run=dry_run)
    show_report(options, report, every=dry_run)
    if not report.apps:
        talk(options, "There is no application yet. Add one with: cellar app add NAME DIR")
    elif report.entry is not None:
        talk(options, "Take it back: cellar undo")
    return exit_code_of(report)
