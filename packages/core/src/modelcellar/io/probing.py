"""The measurement that decides where nothing else tells: how long a read at some place takes."""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from modelcellar.io.hashing import probe_latency
from modelcellar.records import DriveKind

__all__ = ["PROBE_MIN_BYTES", "Prober", "find_probe_file"]

PROBE_MIN_BYTES = 64 << 20
"""Smaller files say nothing: a disk's own cache may hold all of one."""

SSD_BELOW_S = 0.0007
HDD_ABOVE_S = 0.003
"""A turn of 7,200 rpm takes 8.3 ms, a read from flash 0.1 ms; a busy machine adds some to both."""

LOOK_AT_ENTRIES = 1000
LOOK_AT_DEPTH = 4


class Prober:
    """Measures devices, each once in the life of the process.

    Args:
        probe: median seconds of a read within a file, or ``None`` when that cannot be measured.
    """

    def __init__(self, probe: Callable[[Path], float | None] = probe_latency) -> None:
        self._probe = probe
        self._seconds: dict[tuple[str, ...], float] = {}

    def kind_of(self, path: Path, devices: tuple[str, ...]) -> tuple[DriveKind | None, str]:
        """What ``devices`` are by a read from a file at or below ``path``, which lies on them.

        Returns:
            The kind and the evidence; ``None`` and why, when nothing could be measured.
        """
        seconds = self._seconds.get(devices)
        if seconds is None:
            file = find_probe_file(path)
            if file is None:
                return None, "nothing large enough lies there to measure it with"
            with suppress(OSError):
                seconds = self._probe(file)
            if seconds is None:
                return None, "it cannot be measured"
            self._seconds[devices] = seconds
        reason = f"a read takes {seconds * 1000:.2f} ms"
        if seconds < SSD_BELOW_S:
            return DriveKind.SSD, reason
        return (DriveKind.HDD if seconds > HDD_ABOVE_S else DriveKind.UNKNOWN), reason


def find_probe_file(path: Path) -> Path | None:
    """A file of 64 MiB and more without holes, at ``path`` or within its first 1,000 entries.

    Nearer ones first. Other file systems mounted below are not looked into, nor are links followed.
    """
    with suppress(OSError):
        found = path.stat()
        if not stat.S_ISDIR(found.st_mode):
            return path if _is_good(found) else None
        return next(_large_files(path, found.st_dev), None)
    return None


def _large_files(top: Path, device: int) -> Iterator[Path]:
    waiting = deque([(top, 0)])
    left = LOOK_AT_ENTRIES
    while waiting:
        folder, depth = waiting.popleft()
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                left -= 1
                if left < 0:
                    return
                with suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    if found.st_dev != device:
                        continue
                    if _is_good(found) and os.access(entry.path, os.R_OK):
                        yield Path(entry.path)
                    elif stat.S_ISDIR(found.st_mode) and depth < LOOK_AT_DEPTH:
                        waiting.append((Path(entry.path), depth + 1))


def _is_good(found: os.stat_result) -> bool:
    blocks = getattr(found, "st_blocks", 0)
    is_large = found.st_size >= PROBE_MIN_BYTES and blocks * 512 >= found.st_size
    return is_large and stat.S_ISREG(found.st_mode)
