"""How fast a drive copies and digests as the library does it, beside plain reads and writes.

Every figure is a median of rounds in which each case runs once, in an order that turns, on files of
random bytes that are made for it and removed again.
"""

import errno
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelcellar.errors import UsageError
from modelcellar.io import hashing
from modelcellar.io.manager import IoManager
from modelcellar.records import CopyJob, HashedFile
from modelcellar.reports import BenchCase, BenchReport, Progress

MIN_BYTES = 1 << 20
__all__ = ["DEFAULT_BYTES", "measure"]

DEFAULT_BYTES = 1 << 30
FILES = 4
ROUNDS = 3
NEEDED_TIMES = 3
"""So many times the size must be free: the files, and copies of them that may be there at once."""
_BLOCK = 1 << 20

LIMITS = ("read from the disk", "write to the disk", "SHA-256 of one file in memory")
"""The cases that tell what one copy waits for; the slowest of them is the bottleneck."""


@dataclass(frozen=True, slots=True)
class _Case:
    name: str
    run: Callable[[], object]
    is_cold: bool = True


def measure(
    folder: Path,
    disks: IoManager,
    *,
    size_bytes: int = DEFAULT_BYTES,
    rounds: int = ROUNDS,
    on_progress: Callable[[Progress], object] | None = None,
) -> BenchReport:
    """Measures the drive under ``folder`` with ``size_bytes`` in four files.

    Raises:
        UsageError: less than 1 MiB.
        OSError: ``ENOSPC`` when three times the size is not free, or what the drive says.
    """
    if size_bytes < MIN_BYTES:
        raise UsageError(
            f"{size_bytes:,} bytes are too few to measure anything by", "Give 1MiB or more."
        )
    _need_space(folder, size_bytes)
    with _workplace(folder) as place:
        sources = list(_write_sources(place, size_bytes))
        os.sync()
        cases = _cases(place, sources, disks)
        seconds: dict[str, list[float]] = {case.name: [] for case in cases}
        for turn in range(rounds):
            for number, case in enumerate(_turned(cases, turn)):
                if on_progress is not None:
                    done = turn * len(cases) + number
                    on_progress(Progress("measure", done, rounds * len(cases), 0, 0, case.name))
                seconds[case.name].append(_timed(case, sources, place))
        total = sum(path.stat().st_size for path in sources)
    found = tuple(
        BenchCase(
            case.name, total, statistics.median(seconds[case.name]), tuple(seconds[case.name])
        )
        for case in cases
    )
    drive = disks.drive(folder)
    return BenchReport(os.fspath(folder), drive, found, _bottleneck(found), hashing.SHA256_BACKEND)


def _cases(place: Path, sources: Sequence[Path], disks: IoManager) -> list[_Case]:
    target = place / "copies"

    def copies(paths: Sequence[Path]) -> list[CopyJob]:
        return [CopyJob(path, target / path.name) for path in paths]

    def copy_all() -> None:
        _all_there(disks.copy_many(copies(sources), reflink="never"))
        hashing.publish([(target, place / "published")])

    def copy_each() -> None:
        for job in copies(sources):
            hashing.copy_with_hashing(job.source, job.target)

    found = [
        _Case(LIMITS[0], lambda: _read(sources)),
        _Case(LIMITS[1], lambda: _write(sources, target)),
        _Case(LIMITS[2], lambda: [hashing.hash_file(path) for path in sources], is_cold=False),
        _Case("digest, one file after the other", lambda: [hashing.hash_file(p) for p in sources]),
        _Case("digest, as cellar does", lambda: _all_there(disks.hash_many(sources))),
        _Case("copy with digests, one file after the other", copy_each),
        _Case("copy with digests, as cellar does", copy_all),
    ]
    if shutil.which("cp"):
        found.append(_Case("cp without digests", lambda: _cp(sources, target)))
    return found


def _timed(case: _Case, sources: Sequence[Path], place: Path) -> float:
    target = place / "copies"
    target.mkdir()
    for path in sources:
        _drop_from_cache(path) if case.is_cold else _read([path])
    began = time.perf_counter()
    case.run()
    seconds = time.perf_counter() - began
    # Nobody pays for what the one before left to be written.
    shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(place / "published", ignore_errors=True)
    os.sync()
    return seconds


def _read(sources: Sequence[Path]) -> None:
    buffer = memoryview(bytearray(_BLOCK))
    for path in sources:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def _write(sources: Sequence[Path], target: Path) -> None:
    data = memoryview(random.Random(2).randbytes(_BLOCK))
    for path in sources:
        left = path.stat().st_size
        with (target / path.name).open("wb", buffering=0) as file:
            while left:
                left -= file.write(data[:left])
            os.fsync(file.fileno())


def _cp(sources: Sequence[Path], target: Path) -> None:
    command = ["cp", "--reflink=never", *map(os.fspath, sources), os.fspath(target)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        # Not every system's cp knows the word, and some never clone.
        subprocess.run([command[0], *command[2:]], capture_output=True, check=True)
    os.sync()


def _all_there(results: Sequence[HashedFile | OSError]) -> None:
    for result in results:
        if isinstance(result, OSError):
            raise result


def _bottleneck(cases: Sequence[BenchCase]) -> str:
    return max((case for case in cases if case.name in LIMITS), key=lambda case: case.seconds).name


def _turned(cases: list[_Case], turn: int) -> list[_Case]:
    at = turn * 3 % len(cases)
    return cases[at:] + cases[:at]


def _write_sources(place: Path, size_bytes: int) -> Iterator[Path]:
    numbers = random.Random(1)
    for number in range(FILES):
        path = place / f"source-{number}"
        left = size_bytes // FILES
        with path.open("wb") as file:
            while left:
                left -= file.write(numbers.randbytes(min(left, _BLOCK)))
            file.flush()
            os.fsync(file.fileno())
        yield path


def _drop_from_cache(path: Path) -> None:
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _need_space(folder: Path, size_bytes: int) -> None:
    found = shutil.disk_usage(folder)
    if found.free < NEEDED_TIMES * size_bytes:
        text = f"{NEEDED_TIMES * size_bytes:,} bytes are needed and {found.free:,} are free"
        raise OSError(errno.ENOSPC, text, os.fspath(folder))


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=".modelcellar-bench-", dir=folder) as place:
        yield Path(place)
