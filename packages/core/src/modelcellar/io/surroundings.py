"""What can be asked of a place without writing there: is it mounted, whole, near, and ours?

None of it needs root. Every answer is a finding, or none.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from modelcellar.io.mounts import MOUNTINFO, Mount, is_network_type, mount_of
from modelcellar.records import Level, PlaceFinding

__all__ = [
    "FAT_MAX_BYTES",
    "HERE",
    "FileSystem",
    "Surroundings",
    "file_system_of",
    "ignores_case",
    "nearest_existing",
    "sandbox_findings",
    "state_findings",
]

FAT_MAX_BYTES = (4 << 30) - 1
"""Longest file of FAT: its size is a 32-bit number (Microsoft's FAT specification, 2005)."""

_FAT = ("vfat", "msdos")
_NTFS = ("ntfs", "ntfs3", "fuseblk")
_WITHOUT_CASE = (*_FAT, "exfat")
_LOOK_AT_NAMES = 50


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the facts about this system are read, so that tests can make up others."""

    mountinfo: Path = MOUNTINFO
    ntfs3: Path = Path("/proc/fs/ntfs3")
    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


HERE = Surroundings()


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The file system that a place is on: how it is mounted (if that is known), and its room."""

    mount: Mount | None
    free_bytes: int | None
    """``None`` where it does not say: those of the kernel, like ``/proc``, and some of FUSE."""
    max_name_bytes: int

    @property
    def is_fat(self) -> bool:
        """Whether no file of 4 GiB fits."""
        return self.mount is not None and self.mount.fs_type in _FAT


def file_system_of(
    folder: Path, surroundings: Surroundings = HERE, *, find_mount: bool = True
) -> FileSystem:
    """The file system of an existing folder.

    Args:
        folder: where.
        surroundings: where facts about it are read.
        find_mount: look through the list of mounts, which takes longer than all the rest.

    Raises:
        OSError: it cannot be asked.
    """
    found = os.statvfs(folder)
    mount = mount_of(folder, mountinfo=surroundings.mountinfo) if find_mount else None
    free_bytes = found.f_bavail * found.f_frsize if found.f_blocks else None
    return FileSystem(mount, free_bytes, found.f_namemax)


def nearest_existing(path: Path) -> Path:
    """``path``, or the first above it that exists.

    Raises:
        OSError: whether something exists cannot be told.
    """
    for place in (path, *path.absolute().parents):
        try:
            place.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        return place
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))


def state_findings(system: FileSystem, surroundings: Surroundings = HERE) -> Iterator[PlaceFinding]:
    """What is odd about a file system for readers and writers alike."""
    mount = system.mount
    if mount is None:
        return
    if is_network_type(mount.fs_type):
        yield PlaceFinding(
            Level.WARNING,
            "network",
            f"on a network file system or behind FUSE ({mount.fs_type})",
            "It is slower, and what it says about locks and links need not hold elsewhere.",
        )
    if mount.fs_type in _NTFS and (mount.is_read_only or _is_dirty(mount, surroundings)):
        state = "is mounted read-only" if mount.is_read_only else "is marked as not clean"
        # Both NTFS and exFAT can be behind it.
        name = "file system of Windows" if mount.fs_type == "fuseblk" else "NTFS file system"
        yield PlaceFinding(
            Level.WARNING,
            "ntfs_unclean",
            f"this {name} {state}; Windows may not have been shut down fully",
            "Shut Windows down without fast start-up, or let it check the drive (chkdsk /f).",
        )
    elif mount.has_turned_read_only:
        yield PlaceFinding(
            Level.WARNING,
            "turned_read_only",
            "the system made this file system read-only, as it does after errors",
            "Look for the reason in the system's log (dmesg) and check the disk.",
        )


def _is_dirty(mount: Mount, surroundings: Surroundings) -> bool:
    # ntfs3_volinfo in the kernel's fs/ntfs3/super.c: the first of the words "clean" and "dirty" is
    # how it was found, the second how it is now, and while it is in use that is always "dirty".
    device = mount.source.rpartition("/")[2]
    with suppress(OSError):
        text = (surroundings.ntfs3 / device / "volinfo").read_text(encoding="ascii")
        words = (word for word in text.split() if word in ("clean", "dirty"))
        return next(words, "clean") == "dirty"
    return False


def sandbox_findings(surroundings: Surroundings = HERE) -> Iterator[PlaceFinding]:
    """Whether this process sees other paths than the applications outside of its sandbox."""
    environ, root = surroundings.environ, surroundings.root
    if environ.get("FLATPAK_ID") or (root / ".flatpak-info").exists():
        name = "a Flatpak"
        hint = "Give it access to the folder (flatpak override --filesystem=PATH) or run outside."
    elif environ.get("SNAP") and environ.get("SNAP_NAME"):
        name = "a Snap"
        hint = "Connect its interfaces to the folder (snap connections) or run outside."
    elif (
        environ.get("container")
        or (root / ".dockerenv").exists()
        or (root / "run" / ".containerenv").exists()
    ):
        name, hint = "a container", "Mount the folder under the same path inside and outside."
    else:
        return
    message = f"this runs in {name}: others may see this folder elsewhere, or not at all"
    yield PlaceFinding(Level.NOTE, "sandbox", message, hint)


def ignores_case(folder: Path, mount: Mount | None) -> bool | None:
    """Whether ``A`` and ``a`` are one name in ``folder``, by its own entries; ``None``: not known.

    An empty folder is judged by the type of the file system.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for _, entry in zip(range(_LOOK_AT_NAMES), entries, strict=False):
            other = entry.name.swapcase()
            if other == entry.name or not entry.name.isascii():
                continue
            try:
                found = (folder / other).lstat()
            except OSError:
                return False
            return found.st_ino == entry.inode()
    return True if mount is not None and mount.fs_type in _WITHOUT_CASE else None
