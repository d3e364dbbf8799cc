"""Places where the contest runs: folders that were named, and file systems on loop devices."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.filesystems import KINDS, require_mounts

MIB = 1 << 20
LOOP_KINDS = ("ext4", "xfs", "btrfs")
DEFAULT_LABEL = "disk"
MEMORY = Path("/dev/shm")
# Otherwise ext4 goes on making itself while others are measured.
MORE_OPTIONS = {"ext4": ("-E", "lazy_itable_init=0,lazy_journal_init=0")}
# Room for sources, copies and what a file system keeps for itself.
IMAGE_FACTOR = 3.2
SMALLEST_IMAGE_BYTES = 512 * MIB


@dataclass(frozen=True, slots=True)
class Place:
    """A folder to work in, and what it lies on."""

    label: str
    path: Path
    file_system: str
    judged: bool
    """Whether the bars count here; loop devices share the processors with what they serve."""
    device: str = ""
    """The loop device, if it is one of ours."""


def parse_drive(text: str) -> tuple[str, Path]:
    """``LABEL=PATH`` as it is given to ``--drive``.

    Raises:
        ValueError: no label, or no folder there.
    """
    label, _, path = text.partition("=")
    if not label or not path or not Path(path).is_dir():
        raise ValueError(f"--drive wants LABEL=PATH with an existing folder, not {text!r}")
    return label, Path(path).resolve()


def labels(drives: Sequence[str]) -> list[str]:
    """All places of a run: the named drives, or the default one, then the loop devices."""
    named = [parse_drive(text)[0] for text in drives] or [DEFAULT_LABEL]
    return list(dict.fromkeys([*named, *LOOP_KINDS]))


@contextmanager
def open_place(label: str, drives: Sequence[str], needed_bytes: int) -> Iterator[Place]:
    """The place of that label, with a new empty folder of its own; skips what cannot be had."""
    named = dict(parse_drive(text) for text in drives)
    if label in LOOP_KINDS and label not in named:
        with loop_file_system(label, image_bytes(needed_bytes)) as place:
            yield place
        return
    base = named.get(label) or Path(os.environ.get("MODELCELLAR_BENCH_DIR", tempfile.gettempdir()))
    if shutil.disk_usage(base).free < needed_bytes * 1.2:
        pytest.skip(f"needs {needed_bytes / 2**30:.1f} GiB free in {label}")
    folder = Path(tempfile.mkdtemp(prefix="modelcellar-bench-", dir=base))
    try:
        yield Place(label, folder, file_system_of(folder), judged=True)
    finally:
        shutil.rmtree(folder)


def image_bytes(needed_bytes: int) -> int:
    """How large an image must be for ``needed_bytes`` of sources and copies together."""
    return max(SMALLEST_IMAGE_BYTES, int(needed_bytes * IMAGE_FACTOR / 2) // MIB * MIB)


@contextmanager
def loop_file_system(kind: str, size_bytes: int, *, image: Path | None = None) -> Iterator[Place]:
    """A new file system on a loop device with direct I/O, over an image in memory if it fits.

    Args:
        image: an existing file to make it on, instead.
    """
    require_mounts()
    wanted = KINDS[kind]
    if shutil.which(wanted.make[0]) is None:
        pytest.skip(f"needs {wanted.make[0]} (Debian package {wanted.debian_package})")
    base = MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2 * size_bytes else None
    folder = Path(tempfile.mkdtemp(prefix="modelcellar-bench-", dir=base))
    device = ""
    mount_point = folder / "mounted"
    mount_point.mkdir()
    try:
        if image is None:
            image = folder / "disk.img"
            with image.open("xb") as new:
                new.truncate(size_bytes)
        device = command("losetup", "--find", "--show", "--direct-io=on", image).strip()
        command(*wanted.make, *MORE_OPTIONS.get(kind, ()), device)
        command("mount", device, mount_point)
        yield Place(kind, mount_point, f"{kind} on a loop device", judged=False, device=device)
    finally:
        if os.path.ismount(mount_point):
            command("umount", mount_point)
        if device:
            command("losetup", "--detach", device)
        shutil.rmtree(folder)


def remount(place: Place) -> None:
    """Unmount a loop device and mount it again: everything written, nothing cached."""
    command("umount", place.path)
    command("mount", place.device, place.path)


def file_system_of(path: Path) -> str:
    """The kind of file system that ``path`` lies on, as it was mounted."""
    try:
        found = command("findmnt", "--noheadings", "--output", "FSTYPE", "--target", path)
    except (OSError, RuntimeError):
        return "unknown"
    return found.strip() or "unknown"


def clones(folder: Path) -> bool:
    """Whether files in ``folder`` can share their data, tried rather than guessed."""
    source, clone = folder / "shared", folder / "clone"
    source.write_bytes(b"x" * 65536)
    try:
        command("cp", "--reflink=always", source, clone)
    except RuntimeError:
        return False
    finally:
        source.unlink()
        clone.unlink(missing_ok=True)
    return True


def command(*parts: str | Path) -> str:
    """Run a program and return what it printed.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    done = subprocess.run(
        [str(part) for part in parts], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{parts}: {done.stderr.strip()}")
    return done.stdout
