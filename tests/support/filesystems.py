"""Real file systems for a test: small loop-mounted images, a small tmpfs, and a power cut.

A loop device hands what a file system sends to its disk to an image file. What the file system
still holds in memory is not in that file, so a copy of the image is what a disk would hold after
the power went away at that moment (a disk that keeps its promises, that is).
"""

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FileSystemKind:
    """How to make and mount one kind of file system, and where its tools come from."""

    make: tuple[str, ...]
    debian_package: str
    size_bytes: int
    mount: tuple[str, ...] = ("mount", "-o", "loop")
    options: str = ""


# The images are sparse. XFS accepts no smaller one. Without the long commit interval a busy
# machine would now and then write back by itself what a test leaves in memory on purpose.
KINDS = {
    "ext4": FileSystemKind(("mkfs.ext4", "-q", "-F"), "e2fsprogs", 192 * MIB, options="commit=300"),
    "xfs": FileSystemKind(("mkfs.xfs", "-q", "-f"), "xfsprogs", 320 * MIB),
    "btrfs": FileSystemKind(
        ("mkfs.btrfs", "-q", "-f"), "btrfs-progs", 256 * MIB, options="commit=300"
    ),
    "ntfs": FileSystemKind(
        ("mkfs.ntfs", "-q", "-F", "-Q"), "ntfs-3g", 32 * MIB, mount=("mount.ntfs-3g",)
    ),
    # As a drive of Windows is mounted: from a device, which makes its type "fuseblk".
    "fuseblk": FileSystemKind(
        ("mkfs.ntfs", "-q", "-F", "-Q"),
        "ntfs-3g",
        32 * MIB,
        mount=("mount", "-t", "ntfs-3g"),
        options="loop",
    ),
    "fuseblk-ro": FileSystemKind(
        ("mkfs.ntfs", "-q", "-F", "-Q"),
        "ntfs-3g",
        32 * MIB,
        mount=("mount", "-t", "ntfs-3g"),
        options="loop,ro",
    ),
    "ntfs-without-case": FileSystemKind(
        ("mkfs.ntfs", "-q", "-F", "-Q"),
        "ntfs-3g",
        32 * MIB,
        mount=("mount", "-t", "lowntfs-3g"),
        options="loop,ignore_case",
    ),
}
JOURNALLING = ("ext4", "xfs", "btrfs")


@functools.cache
def _mounts_work() -> bool:
    """Whether this process may mount, tried rather than guessed: containers differ."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists() or not shutil.which("mount"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        if _run("mount", "-t", "tmpfs", "tmpfs", folder, check=False).returncode != 0:
            return False
        _run("umount", folder)
    return _run("losetup", "--find", check=False).returncode == 0


def require_mounts() -> None:
    """Skip the test where file systems cannot be mounted."""
    if not _mounts_work():
        pytest.skip("needs root and loop devices")


def _run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], check=check, text=True, capture_output=True
    )


@dataclass(frozen=True, slots=True)
class Volume:
    """A mounted image. ``path`` is where it is mounted, before and after a power cut."""

    kind: str
    image: Path
    path: Path

    def snapshot(self, name: str) -> Path:
        """A copy of what the disk holds at this moment, without what is still in memory."""
        copy = self.image.with_name(f"{self.image.name}.{name}")
        _run("cp", "--sparse=always", self.image, copy)
        return copy


class Mounts:
    """Makes file systems below one folder, and unmounts all of them at the end.

    Every open file of a volume must be closed before it is unmounted or its power is cut.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._images = folder
        self._mounted: list[Path] = []

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        memory = Path("/dev/shm")
        if memory.is_dir() and shutil.disk_usage(memory).free > 2048 * MIB:
            self._images = Path(tempfile.mkdtemp(prefix="modelcellar-", dir=memory))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        busy = [path for path in reversed(self._mounted) if not self._let_go(path)]
        if self._images != self._folder:
            shutil.rmtree(self._images)
        if busy:
            pytest.fail(f"still in use at the end of the test: {', '.join(map(str, busy))}")

    def make(self, kind: str) -> Volume:
        """A new, empty file system of one of the ``KINDS``."""
        wanted = KINDS[kind]
        if shutil.which(wanted.make[0]) is None:
            pytest.skip(f"needs {wanted.make[0]} (Debian package {wanted.debian_package})")
        image = self._images / f"{kind}-{len(self._mounted)}.img"
        with image.open("xb") as new:
            new.truncate(wanted.size_bytes)
        _run(*wanted.make, image)
        path = self._new_mount_point(kind)
        self._mount(kind, image, path)
        return Volume(kind, image, path)

    def tmpfs(self, size_bytes: int) -> Path:
        """A file system in memory that is full after ``size_bytes`` (rounded up to pages)."""
        path = self._new_mount_point("tmpfs")
        _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0755", "tmpfs", path)
        self._mounted.append(path)
        return path

    def power_cut(self, volume: Volume) -> None:
        """Lose what ``volume`` holds in memory; its path then shows what the disk had."""
        self.mount(volume, volume.snapshot("cut"))

    def mount(self, volume: Volume, image: Path) -> None:
        """Go on with a snapshot of ``volume``, after journal replay; the snapshot is used up."""
        # Unmounted first: two mounted copies have one identity, which XFS and btrfs refuse.
        _run("umount", volume.path)
        self._mounted.remove(volume.path)
        if volume.kind == "btrfs":
            _run("btrfs", "device", "scan", "--forget", check=False)
        image.replace(volume.image)
        self._mount(volume.kind, volume.image, volume.path)

    def _new_mount_point(self, kind: str) -> Path:
        path = self._folder / f"{kind}-{len(self._mounted)}"
        path.mkdir()
        return path

    def _mount(self, kind: str, image: Path, path: Path) -> None:
        wanted = KINDS[kind]
        options: Sequence[str] = ("-o", wanted.options) if wanted.options else ()
        done = _run(*wanted.mount, *options, image, path, check=False)
        if "unknown filesystem type" in done.stderr:
            pytest.skip(f"needs a kernel with {kind}")
        assert done.returncode == 0, done.stderr
        self._mounted.append(path)

    def _let_go(self, path: Path) -> bool:
        if _run("umount", path, check=False).returncode == 0:
            return True
        # The mount must not outlive the test, whoever still has a file of it open.
        _run("umount", "--lazy", path, check=False)
        return False
