"""``cellar links``: every link that is ours, and how it is."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

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
from modelcellar_cli.session import open_library
from modelcellar_cli.tables import Column

if TYPE_CHECKING:
    from modelcellar.link_records import LinkState

COLUMNS = (
    Column(
        "HEALTH",
        colours={
            "ok": "green",
            "broken": "yellow",
            "missing": "yellow",
            "offline": "yellow",
            "replaced": "red",
            "source": "red",
        },
    ),
    Column("APP"),
    Column("LINK"),
    Column("TARGET", cut_order=2),
    Column("MODEL", cut_order=1),
)
HINTS = {
    "broken": "ours, but it does not lead to the model any more; mended by: cellar sync",
    "missing": "somebody removed it; made again by: cellar sync",
    "replaced": "something that is not ours stands there now; it is left alone",
    "source_gone": "the library's file is missing; see: cellar verify",
    "offline": "the disk of the application is not there; nothing is forgotten",
}


@click.command("links", cls=CellarCommand)
@click.argument("model", required=False)
@click.option("--app", metavar="NAME", help="Only those of one application.")
@click.pass_obj
def command(options: Options, model: str | None, app: str | None) -> None:
    """Show every link that is ours, and how it is; with MODEL only those of one model.

    With -q prints the paths of the links that are not well.
    """
    with open_library(options) as library:
        model_id = None if model is None else library.get(model).id
        if app is not None:
            library.applications.get(app)
        states = [
            one
            for one in library.applications.links(model_id)
            if app is None or one.link.app == app
        ]
    if options.json:
        emit_json({"links": [_to_json(one) for one in states]})
    elif options.quiet:
        emit_lines(show_text(str(one.link.target)) for one in states if one.health != "ok")
    else:
        if states:
            emit_table(COLUMNS, [_row(one) for one in states])
        numbers = Counter(one.health.value for one in states)
        talk(options, counted(len(states), "link"))
        for health, hint in HINTS.items():
            if numbers[health]:
                talk(options, f"{numbers[health]:,} {health.replace('_', ' ')}: {hint}")


def _row(state: "LinkState") -> list[str]:
    link = state.link
    return [
        state.health.value.replace("_", " "),
        show_text(link.app),
        link.kind.value,
        show_text(str(link.target)),
        show_text(link.model_id or "-"),
    ]


def _to_json(state: "LinkState") -> dict[str, Any]:
    link = state.link
    return {
        **path_fields("target", str(link.target)),
        "app": link.app,
        "model_id": link.model_id,
        **path_fields("path", link.path),
        "link": link.kind.value,
        **path_fields("source", link.source),
        "sha256": link.sha256,
        "size_bytes": link.size_bytes,
        "made_at": link.made_at,
        "health": state.health.value,
    }
