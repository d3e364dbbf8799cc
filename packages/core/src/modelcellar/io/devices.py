"""Block devices by what sysfs tells: down to the physical ones, which media.py judges.

Layout: Documentation/ABI/{stable,testing}/sysfs-block in the kernel's sources.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from modelcellar.io.arrays import Array, md_array, md_members
from modelcellar.io.media import Medium, verdict_of
from modelcellar.io.sysfs import entries, line, text
from modelcellar.records import Confidence, DriveKind

__all__ = [
    "MAX_DEPTH",
    "Leaf",
    "Storage",
    "device_by_number",
    "storage_of",
    "together",
    "unseen",
]

MAX_DEPTH = 8
"""Layers of devices on devices that are followed; no sane set-up has as many."""

_CACHE_PARTS = ("cdata", "cmeta", "corig", "cpool", "cvol", "wcorig")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A physical device, or what is as far down as can be seen."""

    name: str
    medium: Medium
    confidence: Confidence
    reason: str
    removable: bool = False


@dataclass(frozen=True, slots=True)
class Storage:
    """The physical devices under something, and what joins them.

    ``readers`` is what an array of disks takes at a time, to begin with. ``hybrid``: a fast device
    caches a slow one. ``layers`` are the kinds of devices in between, in words.
    """

    leaves: tuple[Leaf, ...]
    readers: int = 1
    hybrid: bool = False
    layers: tuple[str, ...] = ()

    def over(self, layer: str) -> "Storage":
        """The same, seen through one more layer."""
        return replace(self, layers=tuple(dict.fromkeys((layer, *self.layers))))

    def joined_by(self, array: Array) -> "Storage":
        """The same, seen as an array."""
        return replace(self, readers=max(self.readers, array.readers)).over(str(array))


def unseen(name: str, reason: str) -> Storage:
    """Storage about which no more can be told than why not."""
    return Storage((Leaf(name, Medium.UNKNOWN, Confidence.GUESS, reason),))


def together(parts: Iterable[Storage]) -> Storage:
    """The union of several storages, each physical device once, by name."""
    found = list(parts)
    leaves = {leaf.name: leaf for part in found for leaf in part.leaves}
    return Storage(
        tuple(leaves[name] for name in sorted(leaves)),
        max((part.readers for part in found), default=1),
        any(part.hybrid for part in found),
        tuple(dict.fromkeys(layer for part in found for layer in part.layers)),
    )


def device_by_number(number: int, *, sysfs: Path) -> Path | None:
    """The folder in sysfs of the block device with a ``st_dev`` or ``st_rdev``."""
    path = sysfs / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
    return path.resolve() if path.exists() else None


def storage_of(
    device: Path,
    *,
    backing: Callable[[str, int], Storage],
    wsl: bool = False,
    depth: int = 0,
) -> Storage:
    """What the block device whose folder in sysfs is ``device`` (resolved) is made of.

    Args:
        device: as :func:`device_by_number` gives it.
        backing: asked, with the depth reached, what lies under the file behind a loop device.
        wsl: whether this is the Windows Subsystem for Linux, whose disks are all virtual.
        depth: layers above this one.
    """
    if (device / "partition").exists():
        device = device.parent
    name = device.name
    if depth >= MAX_DEPTH:
        return unseen(name, "too many layers of devices")
    if name.startswith("loop"):
        # Only the line's end is taken away: the name of a file may end in a space.
        file = line(device / "loop" / "backing_file")
        if not file:
            return unseen(name, "a loop device without a file behind it")
        return backing(file, depth + 1).over("a loop device")
    below = md_members(device, sorted(path.resolve() for path in entries(device / "slaves")))
    if below:
        parts = [storage_of(p, backing=backing, wsl=wsl, depth=depth + 1) for p in below]
        return _joined(device, below, together(parts))
    return Storage((_leaf(device, wsl=wsl),))


def _joined(device: Path, below: list[Path], union: Storage) -> Storage:
    kinds = {leaf.medium.kind for leaf in union.leaves}
    mixed = {DriveKind.SSD, DriveKind.HDD} <= kinds
    if (device / "md").is_dir():
        return union.joined_by(md_array(device, len(union.leaves)))
    if device.name.startswith("bcache"):
        cached = len(union.leaves) > 1
        return replace(union, hybrid=union.hybrid or cached).over("bcache")
    caches = any(_is_cache_part(part) for part in below)
    return replace(union, hybrid=union.hybrid or (caches and mixed)).over(_mapper_name(device))


def _mapper_name(device: Path) -> str:
    # The uuid begins with who made it: "LVM-...", "CRYPT-LUKS2-...", "mpath-..." (libdevmapper).
    maker = text(device / "dm" / "uuid").partition("-")[0].lower()
    return {"lvm": "LVM", "crypt": "encryption", "mpath": "multipath"}.get(maker, "device mapper")


def _is_cache_part(device: Path) -> bool:
    names = (text(device / "dm" / "uuid"), text(device / "dm" / "name"))
    ends = tuple(f"{sign}{part}" for sign in "-_" for part in _CACHE_PARTS)
    return any(name.endswith(ends) for name in names)


def _leaf(device: Path, *, wsl: bool) -> Leaf:
    name = device.name
    removable = text(device / "removable") == "1"
    medium, confidence, reason = verdict_of(device, wsl=wsl, removable=removable)
    return Leaf(name, medium, confidence, reason, removable or medium is Medium.CARD)
