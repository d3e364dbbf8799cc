"""``cellar search``: find models by words and fields."""

import click

from modelcellar_cli.commands.list import show_models
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import emit_json, model_to_json
from modelcellar_cli.session import open_library


@click.command("search", cls=CellarCommand)
@click.argument("query", nargs=-1, required=True, metavar="QUERY...")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    metavar="N",
    help="At most N models, the best first (20 unless told).",
)
@click.pass_obj
def command(options: Options, query: tuple[str, ...], limit: int) -> None:
    """Find models by words; all the words must fit.

    Words that begin with a minus stand behind "--".
    """
    with open_library(options) as library:
        report = library.search(" ".join(query), limit=limit)
    if options.json:
        emit_json(
            {
                "query": report.query,
                "total": report.total,
                "models": [model_to_json(model) for model in report.models],
                "took_ms": report.took_ms,
            }
        )
    else:
        show_models(options, report)
