"""Stop a command, or fail one of its system calls, at a chosen call, with ``strace``.

strace counts the calls of every thread by itself, and so do the counts here: the n-th call of a
thread. A command that is killed is killed with all its threads.
"""

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

# Calls that change a file system, or ask it to keep a change.
CHANGING_CALLS = (
    "copy_file_range", "fallocate", "fchmod", "fchmodat", "fdatasync", "fsync", "ftruncate",
    "link", "linkat", "mkdir", "mkdirat", "pwrite64", "rename", "renameat", "renameat2", "rmdir",
    "sendfile", "symlink", "symlinkat", "syncfs", "unlink", "unlinkat", "utimensat", "write",
    "writev",
)  # fmt: skip

_CALL = re.compile(r"^(?P<thread>\d+) +(?P<call>[a-z]\w*)\(")


@dataclass(frozen=True, slots=True)
class TracedRun:
    """How a traced command ended. ``exit_code`` is negative, the signal, when it was killed."""

    exit_code: int
    stdout: str
    stderr: str
    calls: Mapping[str, int]
    """For each system call, how often the thread that made it most often made it."""


@functools.cache
def _strace_works() -> str:
    """Why strace cannot be used; empty when it can."""
    if shutil.which("strace") is None:
        return "needs strace (Debian package strace)"
    done = subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True)
    return "" if done.returncode == 0 else "needs permission to trace processes (ptrace)"


def require_strace() -> None:
    """Skip the test where strace is missing or not allowed."""
    if reason := _strace_works():
        pytest.skip(reason)


def trace(
    command: Sequence[str | os.PathLike[str]],
    *,
    calls: Iterable[str] = CHANGING_CALLS,
    inject: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 300.0,
) -> TracedRun:
    """Run a command under strace and count its calls.

    Args:
        inject: what strace shall do to a call, in the words of its ``-e inject=``.
        env: added to the environment of the tests.
    """
    require_strace()
    # Neither may add calls of its own to those of the command.
    steady = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    steady["PYTHONDONTWRITEBYTECODE"] = "1"
    with tempfile.NamedTemporaryFile("r", errors="replace", suffix=".strace") as log:
        # "?": a call that this processor does not have is passed over.
        options = ["-e", "trace=" + ",".join(f"?{call}" for call in calls)]
        if inject is not None:
            options += ["-e", f"inject={inject}"]
        done = subprocess.run(
            ["strace", "-f", "-qq", "-s", "0", "-o", log.name, *options, "--", *command],
            env={**steady, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=timeout_s,
        )
        counts = _most_by_one_thread(log)
    return TracedRun(done.returncode, done.stdout, done.stderr, counts)


def kill_at(
    command: Sequence[str | os.PathLike[str]],
    call: str,
    nth: int,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> TracedRun:
    """Kill the command, as ``kill -9`` does, instead of letting it make its n-th ``call``."""
    inject = f"{call}:signal=SIGKILL:when={nth}"
    return trace(command, calls=[call], inject=inject, env=env, cwd=cwd)


def fail_at(
    command: Sequence[str | os.PathLike[str]],
    call: str,
    nth: int,
    error: str,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> TracedRun:
    """Let only the n-th ``call`` of the command fail, with ``error``: ``EIO``, ``ENOSPC``."""
    inject = f"{call}:error={error}:when={nth}"
    return trace(command, calls=[call], inject=inject, env=env, cwd=cwd)


def _most_by_one_thread(log: Iterable[str]) -> dict[str, int]:
    by_thread = Counter(
        (found["call"], found["thread"]) for line in log if (found := _CALL.match(line))
    )
    most: dict[str, int] = {}
    for (call, _), count in by_thread.items():
        most[call] = max(count, most.get(call, 0))
    return most
