"""Arrays of disks: what joins them, and how many files at a time they take to begin with.

Layout: Documentation/admin-guide/md.rst and fs/btrfs/sysfs.c in the kernel's sources.
"""

from dataclasses import dataclass
from pathlib import Path

from modelcellar.io.sysfs import entries, number, text

__all__ = ["Array", "btrfs_arrays", "md_array", "md_members"]

_SHARED = ("draid", "mirror", "raid", "stripes")
_PARITY = ("draid", "raid4", "raid5", "raid6", "raidz")
_PROFILES = ("dup", "raid", "single")


@dataclass(frozen=True, slots=True)
class Array:
    """Disks that are joined. ``disks``: how many of them work; ``level``: ``raid1``, ``mirror``."""

    maker: str
    level: str
    disks: int
    degraded: bool = False

    @property
    def readers(self) -> int:
        """How many files at a time to begin with.

        Two find a copy each on a mirror, and mostly different disks among stripes. Where parity
        has to stand in for a disk each read takes all others.
        """
        rebuilds = self.degraded and self.level.startswith(_PARITY)
        if rebuilds or not self.level.startswith(_SHARED):
            return 1
        return max(1, min(2, self.disks))

    def __str__(self) -> str:
        name = f"{self.maker} {self.level}".strip()
        return f"{name} (degraded)" if self.degraded else name


def md_array(device: Path, disks: int) -> Array:
    """The array ``device``; ``disks`` are the different ones that can be seen below it."""
    wanted = number(device / "md" / "raid_disks")
    missing = number(device / "md" / "degraded") or 0
    if wanted:
        # Members may share a disk, and then there is nothing to be had from two readers.
        disks = min(disks, wanted - missing)
    return Array("md", text(device / "md" / "level"), disks, missing > 0)


def md_members(device: Path, below: list[Path]) -> list[Path]:
    """Those of ``below`` that hold data: not the spares, nor what has failed."""
    slots = {part: text(device / "md" / f"dev-{part.name}" / "slot") for part in below}
    return [part for part in below if slots[part] != "none"] or below


def btrfs_arrays(folder: Path, disks: int) -> list[Array]:
    """How a btrfs, whose folder in sysfs is ``folder``, lays out data on ``disks`` devices.

    More than one answer while a balance turns one profile into another, or after one that ended
    half-way. Small file systems mix data with metadata.
    """
    lost = any(number(one / "missing") for one in entries(folder / "devinfo"))
    groups = (folder / "allocation" / name for name in ("data", "mixed"))
    found = (one for group in groups for one in entries(group) if one.is_dir())
    levels = sorted({one.name for one in found if one.name.startswith(_PROFILES)})
    return [Array("btrfs", level, disks, lost) for level in levels]
