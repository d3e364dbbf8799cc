"""``cellar remove``: move models to the library's trash."""

import click

from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import (
    emit_json,
    emit_lines,
    entry_to_json,
    human_size,
    show_text,
    talk,
)
from modelcellar_cli.session import open_library


@click.command("remove", cls=CellarCommand)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
@click.pass_obj
def command(options: Options, models: tuple[str, ...], dry_run: bool) -> None:
    """Move models to the library's trash, from where "cellar undo" brings them back.

    Their links in the folders of applications go first, and come back with them.

    MODEL is an id, the beginning of one, a name or a digest. When one of several is not found,
    none is removed.
    """
    with open_library(options) as library:
        found = list({one.id: one for one in map(library.get, models)}.values())
        entry = library.remove(*(model.id for model in found), dry_run=dry_run)
    if options.json:
        emit_json({"entry": entry_to_json(entry), "dry_run": dry_run})
    elif options.quiet:
        emit_lines(map(show_text, entry.model_ids))
    else:
        verb = "would remove" if dry_run else "removed"
        emit_lines(
            f"{verb} {show_text(one.id)} ({show_text(one.name)}, {human_size(one.size_bytes)})"
            for one in found
        )
        if not dry_run:
            talk(options, "Take it back: cellar undo    Free the space: cellar purge")
