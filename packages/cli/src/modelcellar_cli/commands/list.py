"""``cellar list``: the models of the library."""

import click

from modelcellar.records import FileFormat, ModelRecord, ModelType
from modelcellar.reports import SearchReport
from modelcellar_cli.options import CellarCommand, Options, one_of
from modelcellar_cli.output import (
    counted,
    emit_json,
    emit_lines,
    emit_table,
    human_size,
    local_day,
    model_to_json,
    show_text,
    talk,
)
from modelcellar_cli.session import open_library
from modelcellar_cli.tables import Column

TYPES = [kind.value for kind in ModelType]
FORMATS = [kind.value for kind in FileFormat]
SORTS = ["name", "size", "added", "-name", "-size", "-added"]
COLUMNS = (
    Column("ID", cut_order=2),
    Column("NAME", cut_order=1),
    Column("TYPE"),
    Column("FAMILY", cut_order=1),
    Column("SIZE", right=True),
    Column("ADDED"),
)


@click.command("list", cls=CellarCommand)
@click.option("--type", "type_", type=click.Choice(TYPES), metavar="TYPE", help=one_of(TYPES))
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), metavar="FORMAT", help=one_of(FORMATS)
)
@click.option(
    "--sort",
    type=click.Choice(SORTS),
    default="name",
    metavar="KEY",
    help="name (the default), size or added; a minus before it turns the order round.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N models.")
@click.pass_obj
def command(
    options: Options, type_: str | None, format_: str | None, sort: str, limit: int | None
) -> None:
    """List the models of the library."""
    with open_library(options) as library:
        report = library.list_models(
            model_type=ModelType(type_) if type_ else None,
            file_format=FileFormat(format_) if format_ else None,
            sort=sort,
            limit=limit,
        )
    if options.json:
        models = [model_to_json(model) for model in report.models]
        emit_json({"total": report.total, "models": models})
    else:
        show_models(options, report)


def show_models(options: Options, report: SearchReport) -> None:
    """Print models for people: a table, and at standard error how many there are."""
    if options.quiet:
        emit_lines(show_text(model.id) for model in report.models)
        return
    if report.models:
        emit_table(COLUMNS, [model_row(model) for model in report.models])
    shown, total = len(report.models), report.total
    more = "" if shown == total else f" of {total:,}; --limit shows more"
    talk(options, counted(shown, "model") + more)


def model_row(model: ModelRecord) -> list[str]:
    """One model as the cells of ``COLUMNS``."""
    return [
        show_text(model.id),
        show_text(model.name),
        model.type.value,
        show_text(model.family or "-"),
        human_size(model.size_bytes),
        local_day(model.added_at),
    ]
