"""Run the command on a terminal of its own, as a person does."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping
from dataclasses import dataclass

from tests.support.command import cellar_command


@dataclass(frozen=True, slots=True)
class TerminalResult:
    """What the terminal showed, control sequences included."""

    exit_code: int
    text: str


def run_in_terminal(
    *args: str | os.PathLike[str], env: Mapping[str, str] | None = None, columns: int = 100
) -> TerminalResult:
    """Run ``cellar ARGS`` to its end with standard output and standard error on one terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", **(env or {})}
    environment.pop("COLUMNS", None)
    command = [*cellar_command(), *map(os.fspath, args)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        chunks: list[bytes] = []
        while chunk := _read(ours):
            chunks.append(chunk)
        exit_code = process.wait()
    os.close(ours)
    text = b"".join(chunks).decode().replace("\r\n", "\n")
    return TerminalResult(exit_code, text)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux reports the end of a terminal as EIO
        return b""
