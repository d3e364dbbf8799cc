"""``cellar rebuild``: the catalog anew from the manifests."""

import click

from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import counted, emit_json, emit_lines, show_text
from modelcellar_cli.session import open_library


@click.command("rebuild", cls=CellarCommand)
@click.pass_obj
def command(options: Options) -> int:
    """Build the catalog anew from the manifests. It is always safe: no model is touched.

    Exit codes: 0 done, 3 some manifests could not be read, 1 none could. With -q prints nothing.
    """
    with open_library(options) as library:
        report = library.rebuild()
    if options.json:
        emit_json(
            {
                "models": report.models,
                "seconds": report.seconds,
                "problems": list(report.problems),
            }
        )
    elif not options.quiet:
        emit_lines([f"{counted(report.models, 'model')} in {report.seconds:.1f} s"])
        emit_lines(f"problem: {show_text(problem)}" for problem in report.problems)
    if not report.problems:
        return ExitCode.DONE
    return ExitCode.PARTLY_DONE if report.models else ExitCode.FAILED
