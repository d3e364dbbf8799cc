"""Run the installed ``cellar`` command as a user does: as a process of its own."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Nothing answers on the discard port, so a request to any other host ends at once.
NO_NETWORK = {
    **dict.fromkeys(
        ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
        "http://127.0.0.1:9",
    ),
    **dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,::1,localhost"),
}


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How one run of the command ended. Bytes that are not UTF-8 are lone surrogates."""

    args: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.stdout)

    def json_error(self) -> Any:
        """What ``--json`` says about a failure: the last line of standard error."""
        return json.loads(self.stderr.strip().splitlines()[-1])["error"]


def cellar_command() -> list[str]:
    """The start of the command line: this interpreter and the installed script.

    Naming the interpreter leaves no shim in between, so a signal or a traced call hits the command.
    """
    script = Path(sysconfig.get_path("scripts"), "cellar")
    if not script.exists():
        pytest.fail(f"{script} is missing: install the packages first (CONTRIBUTING.md)")
    return [sys.executable, str(script)]


def run_cellar(
    *args: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
    check: bool = True,
    cwd: Path | None = None,
    stdin: str = "",
    timeout_s: float = 300.0,
) -> CommandResult:
    """Run ``cellar ARGS`` to its end, without a terminal and without the network.

    Args:
        env: added to the environment of the tests, which ``tests/conftest.py`` has cleaned.
        check: fail the test unless the exit code is 0.
    """
    command = [*cellar_command(), *(os.fspath(arg) for arg in args)]
    done = subprocess.run(
        command,
        env={**os.environ, **NO_NETWORK, **(env or {})},
        cwd=cwd,
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=timeout_s,
        check=False,
    )
    result = CommandResult(tuple(command), done.returncode, done.stdout, done.stderr)
    if check and result.exit_code != 0:
        pytest.fail(f"exit code {result.exit_code} of {command}\n{result.stdout}{result.stderr}")
    return result
