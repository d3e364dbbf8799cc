"""Mounted file systems: which one a path lies on, by the kernel's own list.

Nothing but the wanted path is looked at on disk: to ask every mount point would mount whatever is
mounted on demand. Format of the list: proc_pid_mountinfo(5).
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MOUNTINFO", "NETWORK_TYPES", "Mount", "is_fuse", "is_network_type", "mount_of"]

MOUNTINFO = Path("/proc/self/mountinfo")

NETWORK_TYPES = frozenset(
    [
        "9p",
        "afpfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "pvfs2",
        "smb2",
        "smb3",
        "smbfs",
        "virtiofs",
        "webdav",
    ]
)
"""File system types of Linux and macOS whose storage other machines write to as well."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted file system.

    ``source`` is what was mounted: a device, ``server:/export``, or any word. ``options`` are those
    of this mount, ``fs_options`` those of the file system itself, wherever else it is mounted.
    """

    point: str
    fs_type: str
    source: str
    options: tuple[str, ...]
    fs_options: tuple[str, ...]

    def option(self, name: str) -> str | None:
        """The value of an option ``name=value`` of the file system."""
        found = (text.partition("=") for text in self.fs_options)
        return next((value for key, sign, value in found if key == name and sign), None)

    @property
    def is_read_only(self) -> bool:
        """Whether it is mounted read-only, here or as a whole."""
        return "ro" in self.options or self.has_turned_read_only

    @property
    def has_turned_read_only(self) -> bool:
        """Whether the file system is read-only though it was mounted for writing.

        That is what the kernel does to one with errors (``errors=remount-ro``).
        """
        return "ro" in self.fs_options and "ro" not in self.options


def is_network_type(fs_type: str) -> bool:
    """Whether other machines may write there: a network file system, or FUSE, which may hide one.

    ``fuseblk`` (ntfs-3g, exFAT) is a local disk.
    """
    return fs_type in NETWORK_TYPES or is_fuse(fs_type)


def is_fuse(fs_type: str) -> bool:
    """Whether a program, not the kernel, answers for the file system."""
    return fs_type == "fuse" or fs_type.startswith("fuse.")


def mount_of(path: Path, *, mountinfo: Path = MOUNTINFO) -> Mount | None:
    """The mounted file system that ``path`` lies on; ``None`` where there is no list of them."""
    try:
        # Not splitlines: the kernel leaves a carriage return in a mount point as it is.
        lines = mountinfo.read_bytes().split(b"\n")
    except OSError:
        return None
    wanted = os.fsencode(path.resolve())
    device = _device_of(path)
    best, found, is_sure = b"", None, False
    for line in lines:
        mount, _, rest = line.partition(b" - ")
        fields, more = mount.split(b" "), rest.split(b" ")
        if len(fields) < 6 or len(more) < 3:
            continue
        point = _plain(fields[4])
        inside = wanted == point or wanted.startswith(point.rstrip(b"/") + b"/")
        # Later lines cover earlier ones of the same mount point, and a mount above hides those
        # below it: the device tells. That of a btrfs subvolume is in no list, and need not be.
        is_it = fields[2] == device
        if inside and (is_it, len(point)) >= (is_sure, len(best)):
            best, found, is_sure = point, (fields[5], more), is_it
    if found is None:
        return None
    options, (fs_type, source, fs_options, *_) = found
    return Mount(
        os.fsdecode(best),
        os.fsdecode(fs_type),
        os.fsdecode(_plain(source)),
        _options(options),
        _options(fs_options),
    )


def _device_of(path: Path) -> bytes:
    """``major:minor`` of the file system, as the list of mounts writes it."""
    try:
        device = path.stat().st_dev
    except OSError:
        return b""
    return f"{os.major(device)}:{os.minor(device)}".encode()


def _options(field: bytes) -> tuple[str, ...]:
    return tuple(os.fsdecode(_plain(option)) for option in field.split(b","))


def _plain(field: bytes) -> bytes:
    """Without the octal escapes of space, tab, newline, backslash and ``#``."""
    return re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8) & 255]), field)
