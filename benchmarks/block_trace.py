"""Records the requests that one block device is given, with the kernel's own trace events.

``block_rq_issue`` is told when a request is handed to the driver: what a disk would see, after
readahead, writeback and the elevator. Format: include/trace/events/block.h.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.drives import command
from benchmarks.hdd_model import Request

KERNEL_TRACING = Path("/sys/kernel/tracing")
BUFFER_KIB_PER_CPU = 32 * 1024
EVENT = Path("events/block/block_rq_issue")

# "  cp-512  [001] d..1.  9.5: block_rq_issue: 7,0 RA 524288 () 2048 + 1024 none,0,0 [cp]"
LINE = re.compile(
    r"-(?P<task>\d+)\s+(?:\(\s*\S+\)\s+)?\[\d+\].*?: block_rq_issue: "
    r"\d+,\d+ (?P<kind>[A-Z]+) \d+ \(.*?\) (?P<sector>\d+) \+ (?P<sectors>\d+)"
)


class LostEventsError(Exception):
    """The kernel's buffer was too small, so the trace is not whole."""


def parse(lines: Iterable[str]) -> list[Request]:
    """The requests of a trace in the order of their issue; flushes and discards move nothing."""
    found = []
    for line in lines:
        match = LINE.search(line)
        if match is None:
            continue
        kind, sectors = match["kind"].lstrip("F"), int(match["sectors"])
        if sectors and kind[:1] in {"R", "W"}:
            task = int(match["task"])
            found.append(Request(int(match["sector"]), sectors, kind[0] == "W", task))
    return found


class Trace:
    """A running trace; its requests can be had once it has ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.requests: list[Request] = []

    def read(self) -> None:
        """Take over what has been recorded.

        Raises:
            LostEventsError: events were overwritten.
        """
        for stats in self._folder.glob("per_cpu/cpu*/stats"):
            text = stats.read_text(encoding="ascii")
            if re.search(r"^(overrun|dropped events): [1-9]", text, re.MULTILINE):
                raise LostEventsError(text)
        with (self._folder / "trace").open(encoding="utf-8", errors="replace") as lines:
            self.requests = parse(lines)


@contextmanager
def tracing(device: str) -> Iterator[Trace]:
    """Record the requests to ``device`` in a trace instance of its own; needs root.

    Raises:
        LostEventsError: the trace is not whole.
        OSError: this kernel does not trace block requests.
    """
    mounted_here = not (KERNEL_TRACING / "instances").is_dir()
    if mounted_here:
        command("mount", "-t", "tracefs", "tracefs", KERNEL_TRACING)
    folder = KERNEL_TRACING / "instances" / f"modelcellar-{os.getpid()}"
    try:
        folder.mkdir()
        try:
            trace = Trace(folder)
            _write(folder / "buffer_size_kb", BUFFER_KIB_PER_CPU)
            number = os.stat(device).st_rdev  # noqa: PTH116
            _write(folder / EVENT / "filter", f"dev == {_kernel_number(number)}")
            _write(folder / EVENT / "enable", 1)
            yield trace
            _write(folder / EVENT / "enable", 0)
            trace.read()
        finally:
            folder.rmdir()
    finally:
        if mounted_here:
            with suppress(RuntimeError):
                command("umount", KERNEL_TRACING)


def available() -> bool:
    """Whether this process can mount and use the kernel's tracing."""
    return os.geteuid() == 0 and KERNEL_TRACING.is_dir()


def _kernel_number(number: int) -> int:
    """A device number as the kernel keeps it inside: 20 bits of minor number."""
    return os.major(number) << 20 | os.minor(number)


def _write(path: Path, value: object) -> None:
    path.write_text(f"{value}\n", encoding="ascii")
