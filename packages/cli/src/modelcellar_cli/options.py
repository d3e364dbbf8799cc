"""The options that every command takes, before or after the verb."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

__all__ = ["CellarCommand", "CommonOptions", "Options", "one_of"]

_GIVEN = "modelcellar_cli.given"
HELP_NAMES = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True, slots=True)
class Options:
    """The common options as given; ``None`` means not given."""

    json: bool = False
    quiet: bool = False
    library: Path | None = None
    offline: bool = False

    def flags(self) -> Mapping[str, object]:
        """What ``load_settings`` is told about the command line."""
        return {"library": self.library, "offline": True if self.offline else None}


def one_of(words: list[str]) -> str:
    """The words a help text offers for an option."""
    return "One of: " + ", ".join(words) + "."


def _remember(ctx: click.Context, param: click.Parameter, value: object) -> None:
    # ctx.meta is one mapping for the whole chain of contexts: what stands after the verb is read
    # later and wins, and what is not given there leaves what stood before the verb alone.
    if value:
        ctx.meta.setdefault(_GIVEN, {})[param.name] = value


def _common_params() -> list[click.Parameter]:
    def option(*names: str, help: str, **settings: Any) -> click.Option:
        return click.Option(names, help=help, expose_value=False, callback=_remember, **settings)

    return [
        option("--json", is_flag=True, help="One JSON document on standard output."),
        option("-q", "--quiet", is_flag=True, help="Only ids on standard output, one a line."),
        option(
            "--library",
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="The library folder (else MODELCELLAR_LIBRARY, the config file, the default).",
        ),
        option("--offline", is_flag=True, help="Never use the network (also HF_HUB_OFFLINE=1)."),
    ]


class CommonOptions(click.Command):
    """Adds the common options and shows them in a section of their own."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        attributes.setdefault("context_settings", HELP_NAMES)
        super().__init__(*args, **attributes)
        self.common = _common_params()
        self.params.extend(self.common)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write this command's own options first, then those that all have."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        own = [option for option in options if option not in self.common]
        for title, params in (("Options", own), ("Options of every command", self.common)):
            rows = [row for row in (param.get_help_record(ctx) for param in params) if row]
            with formatter.section(title):
                formatter.write_dl(rows)


class CellarCommand(CommonOptions):
    """A command whose function gets the common options as its first argument (``pass_obj``)."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command with the options from both sides of the verb."""
        ctx.obj = Options(**ctx.meta.get(_GIVEN, {}))
        return super().invoke(ctx)
