"""``cellar edit``: change what a model is called and noted as."""

import click

from modelcellar.records import EditChanges, ModelType
from modelcellar_cli.options import CellarCommand, Options, one_of
from modelcellar_cli.output import emit_json, emit_lines, model_to_json, show_text, talk
from modelcellar_cli.session import open_library

FIELDS = ("name", "type", "base_model", "note", "tags")
TYPES = [kind.value for kind in ModelType]


@click.command("edit", cls=CellarCommand)
@click.argument("model")
@click.option("--name", help='The name shown; "" takes the edit back.')
@click.option("--type", "type_", type=click.Choice(TYPES), metavar="TYPE", help=one_of(TYPES))
@click.option("--base-model", help='What it was made from; "" takes the edit back.')
@click.option("--note", help='Free text; "" takes it away.')
@click.option("--tag", "tags", multiple=True, help="Add a tag; may be given several times.")
@click.option("--untag", "untags", multiple=True, help="Take a tag away; also several times.")
@click.option("--dry-run", is_flag=True, help="Show what would happen; change nothing.")
@click.pass_obj
def command(
    options: Options,
    model: str,
    name: str | None,
    type_: str | None,
    base_model: str | None,
    note: str | None,
    tags: tuple[str, ...],
    untags: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Change MODEL's name, type, base model, note or tags.

    The id and the files stay as they are, and later guesses never overwrite an edit. MODEL is an
    id, the beginning of one, a name or a digest.
    """
    changes = EditChanges(
        name=name,
        model_type=ModelType(type_) if type_ else None,
        base_model=base_model,
        note=note,
        add_tags=tags,
        remove_tags=untags,
    )
    if changes == EditChanges():
        raise click.UsageError("Nothing to change: give at least one of the options.")
    with open_library(options) as library:
        before = library.get(model)
        after = library.edit(model, changes, dry_run=dry_run)
    if options.json:
        emit_json({"model": model_to_json(after), "dry_run": dry_run})
        return
    if options.quiet:
        emit_lines([show_text(after.id)])
        return
    old, new = model_to_json(before), model_to_json(after)
    changed = [field for field in FIELDS if old[field] != new[field]]
    verb = ("would edit" if dry_run else "edited") if changed else "nothing to change about"
    emit_lines([f"{verb} {show_text(after.id)}"])
    emit_lines(
        f"  {field.replace('_', ' ')}: {_shown(old[field])} -> {_shown(new[field])}"
        for field in changed
    )
    if changed and not dry_run:
        talk(options, "Take it back: cellar undo")


def _shown(value: str | list[str] | None) -> str:
    text = ", ".join(value) if isinstance(value, list) else value
    return show_text(text) if text else "(none)"
