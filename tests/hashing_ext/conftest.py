"""Files to read, reference digests, and a second process to interrupt."""

import hashlib
import os
import random
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.strace import require_strace

MIB = 1024 * 1024

# Longer than the tick that file times are cut to, so that a file counts as settled.
SETTLE_S = 0.03


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., Path]:
    """``make_file(size_bytes, name="source")``: random bytes, different for each size."""

    def make(size_bytes: int, name: str = "source") -> Path:
        path = tmp_path / name
        block = random.Random(size_bytes).randbytes(min(size_bytes, 8 * MIB))
        with path.open("wb") as file:
            for begin in range(0, size_bytes, len(block) or 1):
                file.write(block[: size_bytes - begin])
        return path

    return make


@pytest.fixture
def big_source(tmp_path: Path) -> Path:
    """A file that takes a second to hash, long enough to be disturbed, but no room on the disk."""
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(1536 * MIB)
    return source


@pytest.fixture
def target_folder(tmp_path: Path) -> Path:
    """An empty folder to copy into."""
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def sha256_of(path: Path) -> str:
    """The digest by the standard library."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def names_in(folder: Path) -> list[str]:
    """Names in ``folder``, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def as_plain_user(script: str, *args: str | os.PathLike[str]) -> subprocess.CompletedProcess[str]:
    """Run ``script`` as a user whom file permissions bind; root becomes ``nobody``."""
    drop = "import os; os.setgid(65534); os.setuid(65534)\n" if os.geteuid() == 0 else ""
    # Imported first: the user may not be able to read where the packages are installed.
    code = f"import modelcellar_hashing, sys\n{drop}{script}"
    return subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=False
    )


def inject(
    command: Sequence[str | os.PathLike[str]],
    *injections: str,
    only: Path | None = None,
) -> str:
    """Run ``command`` with failing or slow system calls; returns what it printed.

    Args:
        injections: what to do to which calls, in the words of strace's ``-e inject=``.
        only: only calls on this file or folder, where others make the same call.
    """
    require_strace()
    calls = ",".join(injection.partition(":")[0] for injection in injections)
    options = ["-f", "-qq", "-o", os.devnull, "-e", f"trace={calls}"]
    options += [part for injection in injections for part in ("-e", f"inject={injection}")]
    options += ["-P", str(only)] if only is not None else []
    done = subprocess.run(
        ["strace", *options, "--", *command], capture_output=True, text=True, check=True
    )
    return done.stdout


def wait_for(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait until ``condition`` holds."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.002)


def permissions_of(path: Path) -> int:
    """The permission bits of ``path``."""
    return stat.S_IMODE(path.stat().st_mode)


COPY = (
    "import sys, modelcellar_hashing\n"
    "try: modelcellar_hashing.copy_with_hashing(*sys.argv[1:])\n"
    "except OSError as error: print(error.errno, error.filename)\n"
)


def copy_command(source: Path, target: Path) -> list[str | Path]:
    """Copies in a process of its own and prints how it failed, if it did."""
    return [sys.executable, "-c", COPY, source, target]
