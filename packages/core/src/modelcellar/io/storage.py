"""From a path through its file system to the physical devices below."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from modelcellar.io import mounts, windows
from modelcellar.io.arrays import Array, btrfs_arrays
from modelcellar.io.commands import Run, output_of
from modelcellar.io.devices import (
    MAX_DEPTH,
    Leaf,
    Storage,
    device_by_number,
    storage_of,
    together,
    unseen,
)
from modelcellar.io.media import Medium
from modelcellar.io.mounts import Mount, mount_of
from modelcellar.io.zfs import Vdev, vdevs_of_pool
from modelcellar.records import Confidence

__all__ = ["THIS_MACHINE", "Machine", "known_by_type", "storage_under"]

_IN_MEMORY = frozenset(["devtmpfs", "hugetlbfs", "ramfs", "rootfs", "tmpfs"])
_NETWORK_FUSE = (
    "davfs",
    "gcsfuse",
    "glusterfs",
    "goofys",
    "google",
    "juicefs",
    "moosefs",
    "onedriver",
    "rclone",
    "s3fs",
    "seaweedfs",
    "sshfs",
)
"""What the types of FUSE file systems begin with that are sure to lie on other machines."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the facts about drives are read, so that tests can make up machines.

    ``cores`` is how many threads this process can run at a time, ``platform`` what Python calls the
    system, ``run`` asks its programs, and ``calls`` are those of Windows.
    """

    sysfs: Path = Path("/sys")
    mountinfo: Path = mounts.MOUNTINFO
    os_release: Path = Path("/proc/sys/kernel/osrelease")
    stat: Callable[[str], os.stat_result] = os.stat
    cores: int = os.cpu_count() or 1
    run: Run = output_of
    platform: str = sys.platform
    calls: windows.Calls = windows.CALLS

    @property
    def is_wsl(self) -> bool:
        """Whether this is the Windows Subsystem for Linux (its kernels say "microsoft")."""
        try:
            return "microsoft" in self.os_release.read_text(encoding="utf-8").lower()
        except OSError:
            return False


THIS_MACHINE = Machine()


def storage_under(path: str, machine: Machine = THIS_MACHINE, *, depth: int = 0) -> Storage:
    """The physical devices under ``path``, as far down as can be seen.

    ``depth`` counts the layers passed already: a loop device lies on a file, an overlay on folders.
    """
    if depth >= MAX_DEPTH:
        return unseen("", "too many layers of file systems")
    mount = mount_of(Path(path), mountinfo=machine.mountinfo)
    if mount is None:
        return unseen("", "this system does not tell what its drives are")
    special = known_by_type(mount)
    if special is not None:
        return special
    if mount.fs_type == "zfs":
        return _zfs(mount, machine, depth)
    if mount.fs_type == "overlay":
        return _overlay(mount, machine, depth)
    try:
        number = machine.stat(path).st_dev
    except OSError as error:
        return unseen("", f"what lies under it cannot be seen: {error.strerror}")
    # Number 0 is made up by the file system itself (btrfs, some FUSE): its source tells more.
    if os.major(number) != 0:
        device = device_by_number(number, sysfs=machine.sysfs)
        return _device(device, machine, depth)
    if mount.fs_type == "bcachefs":
        sources = [_source(part, machine, depth) for part in mount.source.split(":")]
        union = together(sources)
        kinds = {leaf.medium.kind for leaf in union.leaves}
        return replace(union, hybrid=union.hybrid or len(kinds) > 1)
    if mount.fs_type == "btrfs":
        return _btrfs(mount, machine, depth)
    return _source(mount.source, machine, depth)


def known_by_type(mount: Mount) -> Storage | None:
    """What is under a file system that is known by its type alone."""
    kind = mount.fs_type
    if kind in _IN_MEMORY:
        return Storage((Leaf("", Medium.RAM, Confidence.CERTAIN, f"memory ({kind})"),))
    if kind in mounts.NETWORK_TYPES:
        reason = f"a network file system ({kind}); what disks it has cannot be seen"
        return Storage((Leaf("", Medium.NETWORK, Confidence.GUESS, reason),))
    if mounts.is_fuse(kind):
        reason = f"FUSE ({kind}); what is behind it cannot be seen"
        far = kind.removeprefix("fuse.").startswith(_NETWORK_FUSE)
        return Storage(
            (Leaf("", Medium.NETWORK if far else Medium.UNKNOWN, Confidence.GUESS, reason),)
        )
    return None


def _overlay(mount: Mount, machine: Machine, depth: int) -> Storage:
    # What is written goes to the upper folder; without one, reads come from the first lower one.
    folder = mount.option("upperdir") or (mount.option("lowerdir") or "").partition(":")[0]
    try:
        machine.stat(folder)
    except OSError:
        return unseen("", "an overlay (container) whose layers cannot be seen from here")
    return storage_under(folder, machine, depth=depth + 1).over("overlay")


def _btrfs(mount: Mount, machine: Machine, depth: int) -> Storage:
    """The union of all devices of the file system that the mounted one belongs to."""
    first = _source_device(mount.source, machine)
    if first is None:
        return unseen("", "btrfs on a device that cannot be seen")
    for folder in sorted(machine.sysfs.glob("fs/btrfs/*/devices")):
        devices = sorted(link.resolve() for link in folder.iterdir())
        if first in devices:
            union = together(_device(device, machine, depth) for device in devices)
            profiles = btrfs_arrays(folder.parent, len(union.leaves))
            lost = any(profile.degraded for profile in profiles)
            return _laid_out(union, profiles) if len(devices) > 1 or lost else union
    return _device(first, machine, depth)


def _laid_out(union: Storage, profiles: list[Array]) -> Storage:
    slowest = min((profile.readers for profile in profiles), default=1)
    for profile in profiles:
        union = union.over(str(profile))
    return replace(union, readers=max(union.readers, slowest))


def _zfs(mount: Mount, machine: Machine, depth: int) -> Storage:
    vdevs = vdevs_of_pool(mount.source.partition("/")[0], machine.run)
    if not vdevs:
        return unseen("", "ZFS, which does not show its disks here")
    union = together(_vdev(vdev, machine, depth) for vdev in vdevs)
    return union if len(vdevs) == 1 else union.joined_by(Array("ZFS", "stripes", len(union.leaves)))


def _vdev(vdev: Vdev, machine: Machine, depth: int) -> Storage:
    union = together(_source(path, machine, depth) for path in vdev.paths)
    return union.joined_by(Array("ZFS", vdev.kind, len(union.leaves), vdev.degraded))


def _source(source: str, machine: Machine, depth: int) -> Storage:
    device = _source_device(source, machine)
    if device is None:
        return unseen("", f"what is mounted there ({source}) is no device that can be seen")
    return _device(device, machine, depth)


def _source_device(source: str, machine: Machine) -> Path | None:
    if not source.startswith("/dev/"):
        return None
    try:
        return device_by_number(machine.stat(source).st_rdev, sysfs=machine.sysfs)
    except OSError:
        # In a container the node may be missing where sysfs still knows the name.
        known = machine.sysfs / "class" / "block" / source.removeprefix("/dev/")
        return known.resolve() if known.exists() else None


def _device(device: Path | None, machine: Machine, depth: int) -> Storage:
    if device is None:
        return unseen("", "its device is not in sysfs")

    def backing(file: str, reached: int) -> Storage:
        return storage_under(file, machine, depth=reached)

    return storage_of(device, backing=backing, wsl=machine.is_wsl, depth=depth)
