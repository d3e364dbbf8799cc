"""The documentation names what the command has, and nothing else."""

import re
from pathlib import Path

import click
import pytest

from modelcellar_cli.boundary import ExitCode
from modelcellar_cli.main import VERBS, cli

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
COMMON = {"--json", "--quiet", "--library", "--offline", "--help"}


def options_of(verb: str) -> set[str]:
    """The long options that only this verb has, those of its sub-commands included."""
    command = cli.get_command(click.Context(cli), verb)
    assert command is not None
    commands = [command, *getattr(command, "commands", {}).values()]
    names = {
        name for one in commands for param in one.params for name in param.opts if name[:2] == "--"
    }
    return names - COMMON


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_and_option_is_documented(verb: str) -> None:
    assert re.search(rf"^\| `{verb}\b", DOCS, re.MULTILINE), f"{verb} has no row"
    missing = {name for name in options_of(verb) if f"`{name}" not in DOCS}
    assert not missing


def test_no_documented_command_is_missing() -> None:
    section = DOCS.split("## Commands")[1].split("## ")[0]
    rows = re.findall(r"^\| `([a-z-]+)", section, re.MULTILINE)
    assert sorted(rows) == sorted(VERBS)


def test_exit_codes_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| (\d+) \|", DOCS, re.MULTILINE)
    assert [int(row) for row in rows] == sorted(ExitCode)
