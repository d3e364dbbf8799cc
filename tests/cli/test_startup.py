"""Start-up, help and completion."""

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module

import click
import pytest

from modelcellar_cli.main import VERBS, cli
from tests.support.command import CommandResult

Cellar = Callable[..., CommandResult]

COMMANDS = [
    *([verb] for verb in VERBS),
    ["config", "show"],
    *(["app", verb] for verb in ("add", "list", "remove")),
]
HEAVY = {"rich", "httpx", "httpx2", "apsw", "filelock", "platformdirs", "tenacity"}
PROBE = """
import sys
from modelcellar_cli.main import main
code = main(sys.argv[1:])
loaded = {name.partition(".")[0] for name in sys.modules}
print(" ".join(sorted(loaded)), file=sys.stderr)
sys.exit(code)
"""


def loaded_by(*args: str) -> tuple[set[str], str]:
    """The top-level modules that are in memory after ``cellar ARGS``, and what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *args], capture_output=True, text=True, check=True
    )
    return set(done.stderr.splitlines()[-1].split()), done.stdout


@pytest.mark.parametrize("args", [["--help"], ["-h"], ["--version"]])
def test_help_loads_nothing_heavy(args: list[str]) -> None:
    loaded, _ = loaded_by(*args)
    assert "click" in loaded
    assert not loaded & (HEAVY | {"modelcellar"})


@pytest.mark.parametrize("args", COMMANDS, ids=" ".join)
def test_help_of_every_command(args: list[str]) -> None:
    loaded, text = loaded_by(*args, "--help")
    assert not loaded & (HEAVY | {"modelcellar_hashing"})
    for option in ("--json", "--quiet", "--library", "--offline"):
        assert option in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.usefixtures("filled")
def test_list_and_search_load_no_rich_and_no_network() -> None:
    for args in (["list"], ["search", "alpha"], ["show", "alpha-lora"]):
        loaded, _ = loaded_by(*args)
        assert "apsw" in loaded
        assert not loaded & {"rich", "httpx", "httpx2", "asyncio", "filelock", "tenacity"}


@pytest.mark.parametrize("verb", VERBS)
def test_the_table_of_verbs_says_what_the_verbs_say(verb: str) -> None:
    module, line = VERBS[verb]
    command = import_module(f"modelcellar_cli.commands.{module}").command
    assert isinstance(command, click.Command)
    assert command.name == verb
    assert command.callback is not None
    assert line.endswith(".")


def test_the_main_help_lists_every_verb(cellar: Cellar) -> None:
    text = cellar("--help").stdout
    for verb, (_, line) in VERBS.items():
        assert f"  {verb} " in text
        assert line in text
    assert cellar("--version").stdout == "cellar 0.1.0\n"


def test_no_command_shows_the_help_on_standard_error(cellar: Cellar) -> None:
    result = cellar(check=False)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage: cellar" in result.stderr


def test_did_you_mean(cellar: Cellar) -> None:
    result = cellar("serach", check=False)
    assert "Did you mean search?" in result.stderr
    result = cellar("list", "--jsn", check=False)
    assert "--json" in result.stderr


def test_as_a_module(cellar: Cellar) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "modelcellar_cli", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == cellar("--version").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(cellar: Cellar, shell: str) -> None:
    script = cellar("completion", shell).stdout
    assert "_CELLAR_COMPLETE" in script
    # fish hands over the word, the others its place.
    word = "se" if shell == "fish" else "1"
    env = {"_CELLAR_COMPLETE": f"{shell}_complete", "COMP_WORDS": "cellar se", "COMP_CWORD": word}
    assert "search" in cellar(env=env).stdout


def test_completion_of_options() -> None:
    from click.shell_completion import ShellComplete

    completer = ShellComplete(cli, {}, "cellar", "_CELLAR_COMPLETE")
    found = {item.value for item in completer.get_completions(["list"], "--")}
    assert {"--sort", "--json", "--library"} <= found
    found = {item.value for item in completer.get_completions(["list", "--sort"], "na")}
    assert found == {"name"}


def test_an_encoding_that_lacks_a_character_stops_nothing(cellar: Cellar) -> None:
    env = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = cellar("config", "show", "--library", "/nowhere/m\u00fcnchen", env=env)
    assert "/nowhere/m\\xfcnchen" in result.stdout
