"""Who takes part: this project, its opponents, and how each is called.

Opponents get the options that suit them best: file names relative to their folder, many files by
one call, no configuration to read, no progress to draw.
"""

import functools
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.data import Load

F1 = "F1: SHA-256 alone"
LOOP = "Python loop"
LOOP_ONE_SYNC = "Python loop, one sync"
THREADS = "Python threads"
POOL = "Python thread pool"
EXTENSION = "extension"
EXTENSION_SINGLE = "extension, file by file"
COMMAND = "cellar import"
LIBRARY = "ModelLibrary.import_paths"
CP = "cp (no digests)"
DD = "dd past the page cache (no digests)"
FEW_FILES = 64

Command = list[str]


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done: the files of a load, to a new folder or nowhere."""

    load: Load
    sources: tuple[Path, ...]
    target: Path | None
    """The folder that receives the copies; ``None``: only digests are wanted."""
    durable: bool
    reflink: bool = False

    @property
    def jobs(self) -> list[tuple[str, str]]:
        """Pairs of source and destination."""
        return [
            (str(path), str(self.target / path.name) if self.target else "")
            for path in self.sources
        ]

    @property
    def folder(self) -> Path:
        """Where the sources lie."""
        return self.sources[0].parent


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do a task: steps one after the other, each a function or programs at once."""

    name: str
    steps: tuple[dict[str, Any], ...]
    sha256: bool = True
    blake3: bool = True
    copies: bool = True
    ours: bool = False
    every: int = 1
    needs: tuple[str, ...] = ()
    library: bool = field(default=False)
    """What it writes is a library, not a folder of copies."""

    def missing(self) -> str:
        """The first program it needs that this machine does not have."""
        return next((name for name in self.needs if shutil.which(name) is None), "")


def _call(name: str, function: str, **kwargs: Any) -> Contender:
    options = kwargs.pop("options", {})
    return Contender(name, ({"call": function, "options": options},), **kwargs)


def _at_once(*commands: Command, environment: dict[str, str] | None = None) -> dict[str, Any]:
    return {"commands": list(commands), "environment": environment or {}}


def contenders(task: Task) -> list[Contender]:
    """All that can take part in ``task``, F1 first."""
    first = _call(F1, "sha256_alone", blake3=False, copies=False)
    ours = _ours(task)
    # With reflinks everybody clones, so what can only copy does not compare.
    python = [] if task.reflink else _python(task)
    return [first, *ours, *python, *_programs(task)]


def _ours(task: Task) -> list[Contender]:
    batch = {"reflink": "auto"} if task.reflink else {}
    found = [_call(EXTENSION, "cellar_batch", ours=True, options=batch)]
    if task.load.files > 1 and not task.reflink:
        found.append(_call(EXTENSION_SINGLE, "cellar_files", ours=True, every=3))
    if task.target is None or task.reflink:
        return found
    script = Path(sysconfig.get_path("scripts"), "cellar")
    command = [sys.executable, str(script), "import", str(task.folder), "--quiet", "--no-lookup"]
    step = _at_once(
        [*command, "--library", str(task.target / "library")],
        environment={"MODELCELLAR_MIN_FREE_BYTES": "0"},
    )
    found.append(Contender(COMMAND, (step,), sha256=False, blake3=False, ours=True, library=True))
    found.append(_call(LIBRARY, "cellar_library", ours=True, library=True))
    return found


def _python(task: Task) -> list[Contender]:
    every = 3 if task.load.files > FEW_FILES else 1
    found = [_call(LOOP, "python_loop", every=every)]
    if task.load.files > 1:
        found.append(_call(POOL, "thread_pool", every=every))
    if task.load.files <= FEW_FILES:
        found.append(_call(THREADS, "python_threads"))
    if task.target is not None and task.durable and task.load.files > 1:
        found.append(_call(LOOP_ONE_SYNC, "python_loop_one_sync", every=every))
    return found


def _programs(task: Task) -> list[Contender]:
    """Programs that copy and programs that hash, combined as a shell script would."""
    names = [path.name for path in task.sources]
    openssl = ["openssl", "dgst", "-sha256", "-r", *names]
    b3sum = ["b3sum", *names]
    if task.target is None:
        copying: list[Command] = []
    else:
        clone = "--reflink=always" if task.reflink else "--reflink=never"
        copying = [["cp", clone, "--", *names, str(task.target)]]
    prefix = "cp + " if copying else ""
    in_turn = tuple(_at_once(command) for command in (*copying, openssl, b3sum))
    flush = _flush(task)
    copies = bool(copying)
    found = [
        Contender(f"{prefix}openssl + b3sum", (*in_turn, *flush), needs=("openssl", "b3sum")),
        Contender(
            f"{prefix}openssl + b3sum at once",
            (_at_once(*copying, openssl, b3sum), *flush),
            needs=("openssl", "b3sum"),
        ),
        _rhash(names, copying, flush),
    ]
    if copies:
        alone = (_at_once(*copying), *flush)
        found.insert(0, Contender(CP, alone, sha256=False, blake3=False))
        if len(task.jobs) <= FEW_FILES and not task.reflink:
            found.insert(1, _direct(task, flush))
    if not task.reflink:
        found.append(_rclone(task, b3sum, flush))
    return found


def _direct(task: Task, flush: tuple[Any, ...]) -> Contender:
    """What the disk takes: nobody's durable copy is faster than that."""
    steps = (
        _at_once(["dd", f"if={src}", f"of={dst}", "bs=4M", "oflag=direct", "status=none"])
        for src, dst in task.jobs
    )
    return Contender(DD, (*steps, *flush), sha256=False, blake3=False, needs=("dd",))


def _flush(task: Task) -> tuple[dict[str, Any], ...]:
    """What makes the copies of programs durable: they do not do it themselves."""
    if task.target is None or not task.durable:
        return ()
    if len(task.sources) > FEW_FILES:
        return (_at_once(["sync", "--file-system", str(task.target)]),)
    return (_at_once(["sync", *(dst for _, dst in task.jobs), str(task.target)]),)


def _rhash(names: Sequence[str], copying: list[Command], flush: tuple[Any, ...]) -> Contender:
    """``rhash`` with both digests, or with one and ``b3sum`` for the other if it is too old."""
    both = "BLAKE3" in _output("rhash", "--list-hashes")
    hashing = [["rhash", "--sha256", "--printf", "%{sha256} %{blake3}\\n", "--blake3", *names]]
    if not both:
        hashing = [["rhash", "--sha256", *names], ["b3sum", *names]]
    parts = ["cp"] * bool(copying) + ["rhash"] + ["b3sum"] * (not both)
    steps = tuple(_at_once(command) for command in (*copying, *hashing))
    needs = ("rhash",) if both else ("rhash", "b3sum")
    return Contender(" + ".join(parts), (*steps, *flush), every=3, needs=needs)


def _rclone(task: Task, b3sum: Command, flush: tuple[Any, ...]) -> Contender:
    """``rclone`` copies, then hashes; BLAKE3 by ``b3sum`` if it is too old for it."""
    rclone = ["rclone", "--config", "", "--quiet"]
    both = "blake3" in _output("rclone", "hashsum")
    hashing = [[*rclone, "hashsum", "sha256", str(task.folder)]]
    hashing.append([*rclone, "hashsum", "blake3", str(task.folder)] if both else b3sum)
    copying = [] if task.target is None else [[*rclone, "copy", str(task.folder), str(task.target)]]
    steps = tuple(_at_once(command) for command in (*copying, *hashing))
    needs = ("rclone",) if both else ("rclone", "b3sum")
    name = "rclone" if both else "rclone + b3sum"
    return Contender(name, (*steps, *flush), every=3, needs=needs)


@functools.cache
def _output(*command: str) -> str:
    """What a program prints about itself; empty when it is not there."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
