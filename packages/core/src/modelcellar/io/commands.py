"""Programs of the system that know about its drives: asked briefly, and never needed."""

import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress

__all__ = ["LIMIT_S", "Run", "output_of"]

Run = Callable[[Sequence[str]], bytes | None]
"""What a command prints, or ``None``."""

LIMIT_S = 2.0
_BURY_S = 0.2


def output_of(command: Sequence[str], *, limit_s: float = LIMIT_S) -> bytes | None:
    """What ``command`` prints; ``None`` when it is not there, fails or takes too long."""
    # Programs for administrators are not always on the path of others.
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C", "PATH": path},
        )
    except OSError:
        return None
    try:
        output, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        _leave(process)
        return None
    return output if process.returncode == 0 else None


def _leave(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    if process.stdout is not None:
        process.stdout.close()
    # A program that waits for a disk which does not answer cannot be killed, nor waited for.
    with suppress(subprocess.TimeoutExpired):
        process.wait(_BURY_S)
