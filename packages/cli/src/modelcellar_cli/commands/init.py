"""``cellar init``: make a library."""

from pathlib import Path

import click

from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import emit_json, emit_lines, show_text, talk


@click.command("init", cls=CellarCommand)
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def command(options: Options, path: Path | None) -> None:
    """Make a library at PATH, or where the settings say.

    A library that is already there is left as it is. With -q prints the library id.
    """
    from modelcellar.config import load_settings
    from modelcellar.library import ModelLibrary

    if path is not None and options.library is not None:
        raise click.UsageError("Give either PATH or --library, not both.")
    flags = {**options.flags(), "library": path or options.library}
    settings, origins = load_settings(flags=flags)
    with ModelLibrary.create(settings.library, settings=settings) as library:
        found = {"path": str(library.path), "library_id": library.library_id}
    if options.json:
        emit_json({"library": found})
    elif options.quiet:
        emit_lines([found["library_id"]])
    else:
        emit_lines([show_text(found["path"])])
        talk(options, f"This is library {found['library_id']}.")
        if any(one.name == "library" and one.origin.startswith("flag") for one in origins):
            talk(options, "To use it always, set MODELCELLAR_LIBRARY to that path.")
