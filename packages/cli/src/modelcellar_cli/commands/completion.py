"""``cellar completion``: the shell's completion script."""

import click
from click.shell_completion import get_completion_class

from modelcellar_cli.options import CellarCommand, Options
from modelcellar_cli.output import emit_json, emit_lines

SHELLS = ["bash", "zsh", "fish"]


@click.command("completion", cls=CellarCommand)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL: bash, zsh or fish.

    \b
    bash: eval "$(cellar completion bash)"           in ~/.bashrc
    zsh:  eval "$(cellar completion zsh)"            in ~/.zshrc
    fish: cellar completion fish > ~/.config/fish/completions/cellar.fish
    """
    maker = get_completion_class(shell)
    assert maker is not None
    script = maker(ctx.find_root().command, {}, "cellar", "_CELLAR_COMPLETE").source()
    options: Options = ctx.obj
    if options.json:
        emit_json({"shell": shell, "script": script})
    else:
        emit_lines([script])
