"""``cellar config``: the settings and where they come from."""

import click

from modelcellar_cli.options import CellarCommand, CommonOptions, Options
from modelcellar_cli.output import emit_json, emit_lines, emit_table, show_text
from modelcellar_cli.tables import Column


class ConfigGroup(CommonOptions, click.Group):
    """The verbs about settings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs before the options."""
        self.format_commands(ctx, formatter)
        super().format_options(ctx, formatter)


@click.group("config", cls=ConfigGroup)
def command() -> None:
    """Show the settings and where they come from."""


@command.command("show", cls=CellarCommand)
@click.pass_obj
def show(options: Options) -> None:
    """Show every setting, its value and where that comes from.

    A flag wins over the environment, that over the config file, that over the default. With -q
    prints the names of the settings.
    """
    from modelcellar.config import load_settings

    _, settings = load_settings(flags=options.flags())
    if options.json:
        shown = [{"name": one.name, "value": one.value, "origin": one.origin} for one in settings]
        emit_json({"settings": shown})
    elif options.quiet:
        emit_lines(one.name for one in settings)
    else:
        columns = (Column("NAME"), Column("VALUE", cut_order=1), Column("FROM", cut_order=1))
        rows = [[one.name, _value(one.value), show_text(one.origin)] for one in settings]
        emit_table(columns, rows)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return show_text(str(value))
