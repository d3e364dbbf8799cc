"""What a physical disk is made of, by what sysfs tells of it.

The kernel's rotational flag alone proves little: virtio-blk and USB bridges set it whatever is
behind them, Xen clears it for disks that spin. Each verdict names its evidence.
"""

import re
from enum import StrEnum
from pathlib import Path

from modelcellar.io.sysfs import text
from modelcellar.records import Confidence, DriveKind

__all__ = ["Medium", "is_virtual", "verdict_of"]

SPINS_FROM_RPM = 0x0401
"""Lowest speed that VPD page B1 can hold; 1 means that nothing rotates (SBC-4, 6.6.2)."""

_RAID_VENDORS = ("3ware", "adaptec", "amcc", "areca", "avago", "lsi", "serveraid")
_RAID_MODELS = ("logical volume", "megaraid", "mr9", "perc", "raid")
_VIRTUAL = ("amazon", "google", "iet", "lio-org", "msft", "nutanix", "qemu", "vbox", "vmware")
# EBS and Persistent Disk; the local disks of the same clouds have other names. Azure: NVMe FAQ.
_CLOUD_NVME = ("amazon elastic block store", "nvme_card-pd", "msft nvme accelerator")


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


def verdict_of(device: Path, *, wsl: bool, removable: bool) -> tuple[Medium, Confidence, str]:
    """What the whole disk whose folder in sysfs is ``device`` is made of, how sure, and why."""
    sure, guess = Confidence.CERTAIN, Confidence.GUESS
    rotational = text(device / "queue" / "rotational")
    spins, still = rotational == "1", rotational == "0"
    match _family(device.name):
        case "zram" | "ram" | "pmem":
            return Medium.RAM, sure, "memory"
        case "nvme":
            return _nvme(device, spins=spins)
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
        case "sd" if _is_remote_scsi(device):
            return Medium.NETWORK, guess, "a disk on another machine (iSCSI or Fibre Channel)"
        case "sd" if still and is_virtual(*_maker(device)):
            return Medium.SSD, guess, "a virtual disk that says it does not rotate"
        case "sd" | "hd" if still and removable and _is_usb(device):
            return Medium.CARD, sure, "a USB stick: no seeks, but slow to write"
        case "sd" | "hd" if still:
            return Medium.SSD, sure, "it told the kernel that it does not rotate"
        case "sd" | "hd" if spins:
            return _spinning_scsi(device)
    return Medium.UNKNOWN, guess, "a device of a kind that tells nothing"


def _nvme(device: Path, *, spins: bool) -> tuple[Medium, Confidence, str]:
    """NVMe over what, and by whom: clouds sell their network disks as such."""
    # The controller itself; with native multipath a subsystem, with its controllers in it.
    controllers = (device / "device", *(device / "device").glob("nvme*"))
    transports = {text(one / "transport") for one in controllers}
    far = sorted(transports & {"tcp", "rdma", "fc"})
    _, model = _maker(device)
    if far:
        return Medium.NETWORK, Confidence.GUESS, f"a disk on another machine (NVMe over {far[0]})"
    if model.startswith(_CLOUD_NVME):
        return Medium.UNKNOWN, Confidence.GUESS, "a network disk of a cloud, which tells nothing"
    if spins:
        return Medium.HDD, Confidence.CERTAIN, "NVMe, and the kernel says that it rotates"
    return Medium.NVME, Confidence.CERTAIN, "NVMe"


def _maker(device: Path) -> tuple[str, str]:
    vendor, model = (text(device / "device" / name).lower() for name in ("vendor", "model"))
    return vendor, model


def _is_remote_scsi(device: Path) -> bool:
    # iSCSI disks hang below hostN/sessionN, those of Fibre Channel below hostN/rport-N:N-N.
    return any(re.fullmatch(r"session\d+|rport-\d+:\d+-\d+", part) for part in device.parts)


def _spinning_scsi(device: Path) -> tuple[Medium, Confidence, str]:
    """A SCSI or ATA disk with the rotational flag, which is also what silence gives."""
    vendor, model = _maker(device)
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
