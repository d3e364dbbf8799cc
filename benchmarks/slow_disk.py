"""A file that is as slow as a disk that seeks: ``python -m benchmarks.slow_disk MOUNT IMAGE``.

A FUSE file system with one file in it. Its bytes come from ``IMAGE`` (which should lie in memory);
each request first sleeps as long as the modelled spindle would need. A loop device with direct I/O
on it is a disk for the clock on the wall, with the kernel's real readahead and writeback.
"""

import ctypes.util
import errno
import importlib.util
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.drives import command
from benchmarks.hdd_model import SECTOR_BYTES, Disk, Request

NAME = "disk.img"
BYTES_PER_S = 150e6
START_TIMEOUT_S = 10.0
# A sleep that lasts too long is made good by the next ones, up to this much.
MAX_CREDIT_S = 0.005


def constant_rate_disk(size_bytes: int) -> Disk:
    """The usual disk with one rate everywhere, so that the ideal time is known beforehand."""
    disk = Disk("7200 rpm, 150 MB/s everywhere", size_bytes // SECTOR_BYTES)
    return replace(disk, outer_bytes_per_s=BYTES_PER_S, inner_bytes_per_s=BYTES_PER_S)


class Spindle:
    """Serves one request after the other in the time that the model says."""

    def __init__(
        self,
        disk: Disk,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._disk = disk
        self._clock = clock
        self._sleep = sleep
        self._head = 0
        self._free_at = clock()

    def serve(self, offset: int, size_bytes: int, *, write: bool) -> None:
        """Return when the modelled disk would have moved these bytes."""
        sector = offset // SECTOR_BYTES
        request = Request(sector, -(-size_bytes // SECTOR_BYTES), write, 0)
        cost = self._disk.position_s(self._head, sector) + self._disk.transfer_s(request)
        self._head = sector + request.sectors
        now = self._clock()
        self._free_at = max(self._free_at, now - MAX_CREDIT_S) + cost
        if self._free_at > now:
            self._sleep(self._free_at - now)


def serve(mount_point: Path, image: Path) -> None:
    """Mount the slow file and serve it until it is unmounted."""
    import mfusepy  # type: ignore[import-untyped, unused-ignore]

    size = image.stat().st_size
    spindle = Spindle(constant_rate_disk(size))
    backing = os.open(image, os.O_RDWR)

    class OneFile(mfusepy.Operations):  # type: ignore[misc, unused-ignore]
        use_ns = True

        def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
            del fh
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
            if path == f"/{NAME}":
                return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": size}
            raise mfusepy.FuseOSError(errno.ENOENT)

        def readdir(self, path: str, fh: int) -> list[str]:
            del path, fh
            return [".", "..", NAME]

        def open(self, path: str, flags: int) -> int:
            del path, flags
            return 0

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            del path, fh
            spindle.serve(offset, size, write=False)
            return os.pread(backing, size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            del path, fh
            spindle.serve(offset, len(data), write=True)
            return os.pwrite(backing, data, offset)

    mfusepy.FUSE(OneFile(), str(mount_point), foreground=True, nothreads=True)


def available() -> bool:
    """Whether the kernel, the library and its binding are there."""
    library = ctypes.util.find_library("fuse3") or ctypes.util.find_library("fuse")
    binding = importlib.util.find_spec("mfusepy")
    return bool(library) and binding is not None and Path("/dev/fuse").exists()


@contextmanager
def slow_file(folder: Path, size_bytes: int) -> Iterator[Path]:
    """The slow file, served by a process of its own over an image in ``folder``.

    Raises:
        RuntimeError: FUSE does not work here.
    """
    image, mount_point = folder / "backing.img", folder / "slow"
    mount_point.mkdir()
    with image.open("xb") as new:
        new.truncate(size_bytes)
    arguments = [sys.executable, "-m", "benchmarks.slow_disk", str(mount_point), str(image)]
    server = subprocess.Popen(arguments, cwd=Path(__file__).parents[1])
    try:
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while not os.path.ismount(mount_point):
            if server.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError("the FUSE file system did not start")
            time.sleep(0.05)
        yield mount_point / NAME
    finally:
        if os.path.ismount(mount_point):
            command("umount", mount_point)
        server.terminate()
        server.wait()
        image.unlink()
        mount_point.rmdir()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
