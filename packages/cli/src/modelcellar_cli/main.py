"""The ``cellar`` command: which verbs there are; each verb's module is imported when it is used."""

import gc
from collections.abc import Sequence
from importlib import import_module

import click

from modelcellar_cli import __version__, boundary
from modelcellar_cli.options import CommonOptions

__all__ = ["VERBS", "cli", "main"]

# Verb -> its module in `commands` and its line in `cellar --help`, in the order people meet them.
VERBS = {
    "init": ("init", "Make a library."),
    "import": ("import_", "Take model files and folders into the library."),
    "download": ("download", "Download models from the Hub, Civitai or an address."),
    "adopt": ("adopt", "Take a collection into the library where it lies."),
    "list": ("list", "List the models of the library."),
    "search": ("search", "Find models by words and fields."),
    "show": ("show", "Show all that is known about one model."),
    "edit": ("edit", "Change a model's name, type, tags or note."),
    "remove": ("remove", "Move models to the library's trash."),
    "app": ("app", "Add, list and remove the applications that are given links."),
    "plan": ("plan", "Show which links applications would be given."),
    "sync": ("sync", "Give applications the links that they should have."),
    "links": ("links", "Show every link that is ours, and how it is."),
    "undo": ("undo", "Take the last change back."),
    "purge": ("purge", "Delete the library's trash for good."),
    "verify": ("verify", "Read models again and compare them with their digests."),
    "dedupe": ("dedupe", "Find equal files and give their space back."),
    "rebuild": ("rebuild", "Build the catalog anew from the manifests."),
    "export": ("export", "Write down which models there are, for another machine."),
    "restore": ("restore", "Bring what another machine has exported."),
    "relocate": ("relocate", "Move the library to another folder or disk."),
    "doctor": ("doctor", "Tell what is wrong with the library, and what to do about it."),
    "lookup": ("lookup", "Tell where a file, a digest or a model is from."),
    "enrich": ("enrich", "Look up where models are from, and keep what is found."),
    "index-repo": ("index_repo", "Remember the digests of repositories, to know files offline."),
    "status": ("status", "Show the library in numbers, and how the hosts are."),
    "hash": ("hash", "Print or check the BLAKE3 and SHA-256 digests of files."),
    "inspect": ("inspect", "Tell what files are, by their bytes."),
    "drives": ("drives", "Tell what the storage under paths is, and why we think so."),
    "bench": ("bench", "Measure how fast a drive copies and digests."),
    "config": ("config", "Show the settings and where they come from."),
    "completion": ("completion", "Print the shell's completion script."),
}


class VerbGroup(CommonOptions, click.Group):
    """Finds a verb's command in its module, so that start-up pays for one verb only."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the verb's module and hand out its ``command``."""
        if cmd_name not in VERBS:
            return None
        module = import_module(f"modelcellar_cli.commands.{VERBS[cmd_name][0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click, with "did you mean" over verbs that are not imported yet."""
        name = args[0]
        if name not in VERBS and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            close = get_close_matches(name, VERBS, cutoff=0.7)
            meant = f" Did you mean {' or '.join(close)}?" if close else ""
            raise click.UsageError(f"No such command {name!r}.{meant}", ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs before the options."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])
        super().format_options(ctx, formatter)


@click.command(
    "cellar",
    cls=VerbGroup,
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 partly done, 4 sign-in needed, 5 not found, "
    "6 verification failed, 7 library busy, 8 no space, 9 offline or host unavailable, "
    "130 cancelled.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Keep each AI model file once, know what it is, and find it again.

    Start with "cellar import FOLDER". Results go to standard output, all talk to standard error.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``cellar`` and return its exit code."""
    # What a command makes mostly lives until it ends. Looking for cycles among it every 700 objects
    # was a third of the time of importing 2,000 small models.
    gc.set_threshold(100_000, 20, 20)
    return boundary.run(cli, arguments)
