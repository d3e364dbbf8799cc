"""What the storage under a path is on macOS, by what ``df``, ``mount`` and ``diskutil`` print.

Volumes of APFS lie in a container that lies on partitions of disks; a Fusion drive has two of
them. The key ``SolidState`` is an answer of the disk itself, and missing where it gave none.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelcellar.io.commands import Run
from modelcellar.io.devices import Leaf, Storage, together, unseen
from modelcellar.io.media import Medium
from modelcellar.io.mounts import Mount
from modelcellar.io.storage import known_by_type
from modelcellar.records import Confidence

__all__ = ["mount_of", "storage_under"]

_DF = re.compile(r"^(.+?) +-?\d+ +-?\d+ +-?\d+ +(?:-?\d+%|-) +(/.*)$", re.MULTILINE)
_MADE_UP_BUSES = ("disk image", "virtual interface")
_FLASH_BUSES = ("apple fabric", "nvme", "pci", "pci-express")


def storage_under(mount: Mount | None, run: Run) -> Storage:
    """The disks below a mounted file system, as :func:`mount_of` gives it."""
    if mount is None:
        return unseen("", "df does not tell what lies under it")
    special = known_by_type(mount)
    if special is not None:
        return special
    if not mount.source.startswith("/dev/"):
        return unseen("", f"what is mounted there ({mount.source}) is no device")
    return _disks(mount.source.removeprefix("/dev/"), run)


def mount_of(path: Path, run: Run) -> Mount | None:
    """The mounted file system that ``path`` lies on; ``None`` where it cannot be told.

    ``df`` follows the links between the system's volume and the one with the data, which a
    comparison of paths would miss; ``mount`` knows the type.
    """
    said = os.fsdecode(run(("df", "-P", os.fspath(path.resolve()))) or b"")
    found = _DF.search(said)
    if found is None:
        return None
    source, point = found.groups()
    fs_type, *options = _traits(point, os.fsdecode(run(("mount",)) or b""))
    if not fs_type and not source.startswith("/dev/"):
        fs_type = _type_by_source(source)
    # "macfuse", "osxfuse" and their like; other parts know FUSE by what Linux calls it.
    fs_type = f"fuse.{fs_type}" if "fuse" in fs_type else fs_type
    return Mount(point, fs_type, source, tuple(options), ())


def _traits(point: str, table: str) -> list[str]:
    """The type and the options of what is mounted at ``point``: ``X on POINT (apfs, local)``."""
    for line in reversed(table.splitlines()):
        what, _, traits = line.removesuffix(")").rpartition(" (")
        if what.endswith(f" on {point}"):
            return traits.split(", ")
    return [""]


def _type_by_source(source: str) -> str:
    if source.startswith("//"):
        return "smbfs"
    return "webdav" if "://" in source else "nfs" if ":/" in source else ""


def _disks(device: str, run: Run) -> Storage:
    info = _info(device, run)
    if info is None:
        return unseen(device, "diskutil does not tell what it is")
    stores = [one.get("APFSPhysicalStore") for one in info.get("APFSPhysicalStores", ())]
    names = [name for name in stores if isinstance(name, str)]
    union = together(_disk(name, _info(name, run) or {}, run) for name in names)
    if not names:
        union = _disk(device, info, run)
    kinds = {leaf.medium.kind for leaf in union.leaves}
    if info.get("Fusion") is True or len(kinds) > 1:
        return Storage(union.leaves, hybrid=True, layers=("a Fusion drive",))
    return union


def _disk(device: str, info: Mapping[str, Any], run: Run) -> Storage:
    """The whole disk that ``device``, a partition or a disk, belongs to."""
    whole = info.get("ParentWholeDisk")
    if isinstance(whole, str) and whole != device:
        device, info = whole, _info(whole, run) or info
    medium, confidence, reason = _verdict(info)
    removable = any(info.get(key) is True for key in ("Removable", "RemovableMedia"))
    removable = removable or medium is Medium.CARD
    return Storage((Leaf(device, medium, confidence, reason, removable),))


def _verdict(info: Mapping[str, Any]) -> tuple[Medium, Confidence, str]:
    sure, likely, guess = Confidence.CERTAIN, Confidence.LIKELY, Confidence.GUESS
    bus = str(info.get("BusProtocol", "")).lower()
    is_usb = bus == "usb"
    if bus in _MADE_UP_BUSES:
        return Medium.UNKNOWN, guess, "a disk image, which does not show what it lies on"
    if bus == "secure digital":
        return Medium.CARD, sure, "a memory card: no seeks, but slow to write"
    match info.get("SolidState"):
        case True if is_usb and info.get("RemovableMedia") is True:
            return Medium.CARD, sure, "a USB stick: no seeks, but slow to write"
        case True if bus in _FLASH_BUSES:
            return Medium.NVME, sure, f"solid state ({info['BusProtocol']})"
        case True:
            return Medium.SSD, sure, "the disk says that it is solid state"
        case False:
            reason = "the disk says that it is not solid state"
            return Medium.HDD, likely if is_usb else sure, reason
    if is_usb:
        return Medium.UNKNOWN, guess, "a USB disk that does not say whether it rotates"
    return Medium.UNKNOWN, guess, "the disk does not say whether it rotates"


def _info(device: str, run: Run) -> Mapping[str, Any] | None:
    import plistlib  # slow to load, and no other system needs it
    from xml.parsers.expat import ExpatError

    said = run(("diskutil", "info", "-plist", f"/dev/{device}"))
    try:
        info = plistlib.loads(said or b"")
    except (ExpatError, ValueError):
        return None
    # Its exit status is 0 even where it found nothing.
    return info if isinstance(info, dict) and info.get("Error") is not True else None
