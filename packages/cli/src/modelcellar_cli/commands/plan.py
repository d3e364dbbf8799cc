"""``cellar plan``: which links applications would be given."""

import click

from modelcellar_cli.linking import exit_code_of, show_report
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import talk
from modelcellar_cli.session import open_library


@click.command("plan", cls=CellarCommand)
@click.argument("app", required=False)
@click.pass_obj
def command(options: Options, app: str | None) -> int:
    """Show which links "cellar sync" would make, replace and remove; change nothing.

    APP is the name of one application; without it all are planned for. With -q prints the ids of
    the models whose links would change. The exit code is 3 where something stands in the way.
    """
    with open_library(options) as library:
        report = library.applications.sync(app, dry_run=True)
    show_report(options, report, every=True)
    if not report.apps:
        talk(options, "There is no application yet. Add one with: cellar app add NAME DIR")
    return exit_code_of(report)
