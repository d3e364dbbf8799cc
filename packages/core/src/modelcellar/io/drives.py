"""What the storage under a path is."""

import os
import re
from pathlib import Path

__all__ = ["is_network"]

NETWORK_TYPES = frozenset(
    [
        "9p",
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
    ]
)
"""File system types of Linux whose storage other machines write to as well."""


def is_network(path: Path, *, mountinfo: Path = Path("/proc/self/mountinfo")) -> bool:
    """Whether ``path`` lies on a network file system, or on FUSE, which may hide one.

    ``fuseblk`` (ntfs-3g, exFAT) is a local disk. Where there is no ``mountinfo`` (not Linux) the
    answer is ``False``. Format: proc_pid_mountinfo(5).
    """
    try:
        # Not splitlines: the kernel leaves a carriage return in a mount point as it is.
        lines = mountinfo.read_bytes().split(b"\n")
    except OSError:
        return False
    wanted = os.fsencode(path.resolve())
    best, kind = b"", ""
    for line in lines:
        mount, _, rest = line.partition(b" - ")
        fields, types = mount.split(b" "), rest.split(b" ")
        if len(fields) < 6 or len(types) < 3:
            continue
        point = re.sub(rb"\\([0-7]{3})", lambda octal: bytes([int(octal[1], 8)]), fields[4])
        inside = wanted == point or wanted.startswith(point.rstrip(b"/") + b"/")
        # Later lines cover earlier ones of the same mount point.
        if inside and len(point) >= len(best):
            best, kind = point, os.fsdecode(types[0])
    return kind in NETWORK_TYPES or kind == "fuse" or kind.startswith("fuse.")
