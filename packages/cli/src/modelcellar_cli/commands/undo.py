"""``cellar undo``: take the last change back."""

import click

from modelcellar.records import JournalEntry
from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import counted, emit_json, emit_lines, entry_to_json, show_text, talk
from modelcellar_cli.session import open_library


@click.command("undo", cls=CellarCommand)
@click.option("--dry-run", is_flag=True, help="Show what would be taken back; change nothing.")
@click.pass_obj
def command(options: Options, dry_run: bool) -> None:
    """Take the last change back: an import, download, adoption, edit, removal, sync or dedupe.

    Run again, it takes back the change before that one. With -q prints the ids of the models that
    the change was about.
    """
    with open_library(options) as library:
        entry = library.undo(dry_run=dry_run)
    if options.json:
        emit_json({"entry": entry_to_json(entry), "dry_run": dry_run})
    elif options.quiet:
        emit_lines(map(show_text, entry.model_ids))
    else:
        verb = "would take back" if dry_run else "took back"
        emit_lines([f"{verb}: {show_text(entry.command)} of {_objects(entry)}, done {entry.at}"])
        emit_lines(f"  {show_text(model_id)}" for model_id in entry.model_ids)
        if not dry_run:
            if entry.command in ("import", "download"):
                place = show_text(str(library.path / "trash" / entry.id))
                talk(options, f"They are in the trash. To have them again: cellar import {place}")
            talk(options, "Run it again to take back the change before this one.")


def _objects(entry: JournalEntry) -> str:
    """What the change was about."""
    if entry.command == "sync":
        return show_text(", ".join(map(str, entry.details.get("apps", ()))))
    if entry.command.startswith("app "):
        return show_text(str(entry.details["app"]["name"]))
    if entry.command == "dedupe":
        return counted(int(entry.details.get("links", 0)), "file")
    return counted(len(entry.model_ids), "model")
