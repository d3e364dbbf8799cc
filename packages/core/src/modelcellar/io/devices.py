"""Block devices by what sysfs tells: down to the physical ones, and what each of them is.

Layout: Documentation/ABI/{stable,testing}/sysfs-block in the kernel's sources. Its rotational flag
alone proves little: virtio-blk and USB bridges set it whatever is behind them, Xen clears it for
disks that spin. Each verdict names its evidence.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from modelcellar.io.arrays import Array, md_array, md_members
from modelcellar.io.sysfs import entries, line, text
from modelcellar.records import Confidence, DriveKind

__all__ = [
    "MAX_DEPTH",
    "Leaf",
    "Medium",
    "Storage",
    "device_by_number",
    "is_virtual",
    "storage_of",
    "together",
    "unseen",
]

MAX_DEPTH = 8
"""Layers of devices on devices that are followed; no sane set-up has as many."""

SPINS_FROM_RPM = 0x0401
"""Lowest speed that VPD page B1 can hold; 1 means that nothing rotates (SBC-4, 6.6.2)."""

_RAID_VENDORS = ("3ware", "adaptec", "amcc", "areca", "avago", "lsi", "serveraid")
_RAID_MODELS = ("logical volume", "megaraid", "mr9", "perc", "raid")
_VIRTUAL = ("amazon", "google", "iet", "lio-org", "msft", "nutanix", "qemu", "vbox", "vmware")
_CACHE_PARTS = ("cdata", "cmeta", "corig", "cpool", "cvol", "wcorig")


class Medium(StrEnum):
    """What a device is made of, as far as it matters to who reads and writes."""

    NVME = "nvme"
    SSD = "ssd"
    HDD = "hdd"
    CARD = "card"
    RAM = "ram"
    NETWORK = "network"
    UNKNOWN = "unknown"

    @property
    def kind(self) -> DriveKind:
        """What that means for seeks."""
        if self is Medium.HDD:
            return DriveKind.HDD
        seeks_are_free = self in (Medium.NVME, Medium.SSD, Medium.CARD, Medium.RAM)
        return DriveKind.SSD if seeks_are_free else DriveKind.UNKNOWN


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
    medium, confidence, reason = _verdict(device, wsl=wsl, removable=removable)
    return Leaf(name, medium, confidence, reason, removable or medium is Medium.CARD)


def _verdict(device: Path, *, wsl: bool, removable: bool) -> tuple[Medium, Confidence, str]:
    sure, guess = Confidence.CERTAIN, Confidence.GUESS
    rotational = text(device / "queue" / "rotational")
    spins, still = rotational == "1", rotational == "0"
    match _family(device.name):
        case "zram" | "ram" | "pmem":
            return Medium.RAM, sure, "memory"
        case "nvme" if spins:
            return Medium.HDD, sure, "NVMe, and the kernel says that it rotates"
        case "nvme":
            return Medium.NVME, sure, "NVMe"
        case "mmcblk":
            return Medium.CARD, sure, "a memory card or eMMC: no seeks, but slow to write"
        case "vd" if still:
            # The default is 1: somebody cleared it on purpose, for a disk of theirs.
            return Medium.SSD, guess, "a virtual disk (virtio) that says it does not rotate"
        case "vd":
            return Medium.UNKNOWN, guess, "a virtual disk (virtio), which tells nothing"
        case "xvd":
            return Medium.UNKNOWN, guess, "a virtual disk (Xen), whose flag tells nothing"
        case "nbd" | "rbd" | "drbd":
            return Medium.NETWORK, guess, "a disk on another machine"
        case "sd" if wsl:
            return Medium.UNKNOWN, guess, "a virtual disk of the Windows Subsystem for Linux"
        case "sd" | "hd" if still and removable and _is_usb(device):
            return Medium.CARD, sure, "a USB stick: no seeks, but slow to write"
        case "sd" | "hd" if still:
            return Medium.SSD, sure, "it told the kernel that it does not rotate"
        case "sd" | "hd" if spins:
            return _spinning_scsi(device)
    return Medium.UNKNOWN, guess, "a device of a kind that tells nothing"


def _spinning_scsi(device: Path) -> tuple[Medium, Confidence, str]:
    """A SCSI or ATA disk with the rotational flag, which is also what silence gives."""
    vendor, model = (text(device / "device" / name).lower() for name in ("vendor", "model"))
    guess = Confidence.GUESS
    if is_virtual(vendor, model):
        return Medium.UNKNOWN, guess, "a virtual disk, whose flag tells nothing"
    if vendor.split(" ")[0] in _RAID_VENDORS or any(word in model for word in _RAID_MODELS):
        return Medium.UNKNOWN, guess, "a RAID controller, which hides what its disks are"
    if _is_usb(device):
        return Medium.UNKNOWN, guess, "a USB bridge, many of which say that flash rotates"
    rpm = _rotation_rpm(device)
    if rpm is not None and rpm >= SPINS_FROM_RPM:
        return Medium.HDD, Confidence.CERTAIN, f"the disk says that it turns at {rpm:,} rpm"
    if rpm == 1:
        return Medium.SSD, Confidence.LIKELY, "the disk says that nothing in it rotates"
    return Medium.UNKNOWN, guess, "the disk does not say how fast it turns, if it does"


def is_virtual(vendor: str, model: str) -> bool:
    """Whether a disk is made by a program, by the names that it has."""
    vendor, model = vendor.lower(), model.lower()
    words = f"{vendor} {model}".split()
    by_name = any(word in words or vendor.startswith(word) for word in _VIRTUAL)
    return by_name or model.startswith("virtual disk")


def _rotation_rpm(device: Path) -> int | None:
    """Bytes 4 and 5 of the SCSI VPD page "block device characteristics" (SBC-4, 6.6.2)."""
    try:
        page = (device / "device" / "vpd_pgb1").read_bytes()
    except OSError:
        return None
    return int.from_bytes(page[4:6], "big") if len(page) >= 6 and page[1] == 0xB1 else None


def _is_usb(device: Path) -> bool:
    return any(part.startswith("usb") and part[3:].isdigit() for part in device.parts)


def _family(name: str) -> str:
    """What the name of a whole disk begins with: ``sd`` of ``sdaa``, ``nvme`` of ``nvme0n1``."""
    for word in ("nvme", "mmcblk", "zram", "pmem", "drbd", "nbd", "rbd", "ram"):
        if name.startswith(word) and name[len(word) : len(word) + 1].isdigit():
            return word
    for word in ("xvd", "vd", "sd", "hd"):
        if name.startswith(word) and name[len(word) :].isalpha():
            return word
    return ""
