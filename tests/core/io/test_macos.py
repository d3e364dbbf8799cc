"""Macs by what ``df``, ``mount`` and ``diskutil`` print there."""

import plistlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelcellar.io.drives import Machine, get_drive, is_network
from modelcellar.records import Confidence, Drive, DriveKind, DriveOverride

CERTAIN, LIKELY, GUESS = Confidence.CERTAIN, Confidence.LIKELY, Confidence.GUESS
SSD, HDD, UNKNOWN = DriveKind.SSD, DriveKind.HDD, DriveKind.UNKNOWN

# As macOS 15 prints it, shortened.
MOUNTED = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
/dev/disk3s6 on /System/Volumes/VM (apfs, local, noexec, journaled, noatime, nobrowse)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse, protect, root data)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
/dev/disk4s2 on /Volumes/My Disk (hfs, local, nodev, nosuid, journaled, noowners)
/dev/disk6s1 on /Volumes/CARD (exfat, asynchronous, local, noowners, noatime)
/dev/disk9s1 on /Volumes/Models (a) (apfs, local, nodev, nosuid, journaled, noowners)
//me@nas.local/models on /Volumes/models (smbfs, nodev, nosuid, mounted by me)
nas:/export/models on /Volumes/nfs (nfs, nodev, nosuid, mounted by me)
https://dav.example.org/ on /Volumes/dav (webdav, nodev, noexec, nosuid, mounted by me)
afp_0TX34S0rs0XM0rs0XM0rs0XM-1.2d000005 on /Volumes/old (afpfs, nodev, nosuid, mounted by me)
me@host:/data on /Volumes/fuse (macfuse, nodev, nosuid, synchronous, mounted by me)
"""
DF = "Filesystem     512-blocks      Used Available Capacity  Mounted on\n"

APFS_VOLUME = {
    "APFSContainerReference": "disk3",
    "APFSPhysicalStores": [{"APFSPhysicalStore": "disk0s2"}],
    "BusProtocol": "Apple Fabric",
    "DeviceIdentifier": "disk3s5",
    "FilesystemType": "apfs",
    "Fusion": False,
    "Internal": True,
    "MountPoint": "/System/Volumes/Data",
    "ParentWholeDisk": "disk3",
    "RemovableMedia": False,
    "SolidState": True,
}
APPLE_SSD = {
    "BusProtocol": "Apple Fabric",
    "DeviceIdentifier": "disk0",
    "Internal": True,
    "MediaName": "APPLE SSD AP0512Z",
    "ParentWholeDisk": "disk0",
    "RemovableMedia": False,
    "SolidState": True,
    "VirtualOrPhysical": "Physical",
    "WholeDisk": True,
}
SATA_DISK = {
    **APPLE_SSD,
    "BusProtocol": "SATA",
    "DeviceIdentifier": "disk1",
    "MediaName": "APPLE HDD HTS541010A9E632",
    "ParentWholeDisk": "disk1",
    "SolidState": False,
}
USB_DISK = {
    "BusProtocol": "USB",
    "DeviceIdentifier": "disk4",
    "Internal": False,
    "MediaName": "Elements 25A3",
    "ParentWholeDisk": "disk4",
    "Removable": False,
    "RemovableMedia": False,
    "SMARTStatus": "Not Supported",
    "VirtualOrPhysical": "Physical",
}
CARD = {
    **USB_DISK,
    "BusProtocol": "Secure Digital",
    "DeviceIdentifier": "disk6",
    "Internal": True,
    "MediaName": "Built In SDXC Reader",
    "ParentWholeDisk": "disk6",
    "Removable": True,
    "RemovableMedia": True,
}
IMAGE = {
    **USB_DISK,
    "BusProtocol": "Disk Image",
    "DeviceIdentifier": "disk8",
    "MediaName": "Disk Image",
    "ParentWholeDisk": "disk8",
    "SolidState": True,
    "VirtualOrPhysical": "Virtual",
}
NOT_FOUND = {"Error": True, "ErrorMessage": "Could not find disk: /dev/disk7", "ExitCode": 1}


@dataclass
class Mac:
    """A Mac whose disks are ``disks``, with one path that lies on ``source`` at ``point``."""

    path: Path
    source: str
    point: str
    disks: dict[str, dict[str, Any] | bytes] = field(default_factory=dict)
    mounted: str = MOUNTED

    def run(self, command: Sequence[str]) -> bytes | None:
        match command:
            case ("df", "-P", path):
                assert path == str(self.path.resolve())
                row = f"{self.source}   965595304 512345678 412345678    56%    {self.point}\n"
                return (DF + row).encode()
            case ("mount",):
                return self.mounted.encode()
            case ("diskutil", "info", "-plist", device):
                info = self.disks.get(device.removeprefix("/dev/"))
                return plistlib.dumps(info) if isinstance(info, dict) else info
        raise AssertionError(command)

    @property
    def machine(self) -> Machine:
        return Machine(platform="darwin", run=self.run, cores=8)

    def ask(self, *words: DriveOverride) -> Drive:
        return get_drive(self.path, overrides=words, machine=self.machine, prober=None)


def facts(drive: Drive) -> tuple[DriveKind, Confidence, tuple[str, ...], int]:
    return drive.kind, drive.confidence, drive.devices, drive.concurrency


def test_internal_ssd_below_apfs(tmp_path: Path) -> None:
    disks = {"disk3s5": APFS_VOLUME, "disk0s2": {**APPLE_SSD, "WholeDisk": False}}
    mac = Mac(tmp_path, "/dev/disk3s5", "/System/Volumes/Data", {**disks, "disk0": APPLE_SSD})
    drive = mac.ask()
    assert facts(drive) == (SSD, CERTAIN, ("disk0",), 8)
    assert drive.reason == "solid state (Apple Fabric)"
    assert drive.file_system == "apfs"
    assert not drive.network
    assert not drive.removable


def test_partition_whose_whole_disk_tells_more(tmp_path: Path) -> None:
    part = {key: value for key, value in SATA_DISK.items() if key != "SolidState"}
    disks = {"disk4s2": {**part, "DeviceIdentifier": "disk4s2"}, "disk1": SATA_DISK}
    drive = Mac(tmp_path, "/dev/disk4s2", "/Volumes/My Disk", disks).ask()
    assert facts(drive) == (HDD, CERTAIN, ("disk1",), 1)
    assert drive.file_system == "hfs"


@pytest.mark.parametrize(
    ("changes", "kind", "confidence", "files", "word"),
    [
        ({}, UNKNOWN, GUESS, 1, "USB"),
        ({"SolidState": True}, SSD, CERTAIN, 4, "solid state"),
        ({"SolidState": False}, HDD, LIKELY, 1, "not solid state"),
        ({"SolidState": True, "RemovableMedia": True}, SSD, CERTAIN, 1, "stick"),
        ({"RemovableMedia": True}, UNKNOWN, GUESS, 1, "USB"),
        ({"BusProtocol": "Thunderbolt"}, UNKNOWN, GUESS, 1, "does not say"),
        ({"BusProtocol": "PCI-Express", "SolidState": True}, SSD, CERTAIN, 8, "PCI-Express"),
        ({"SolidState": "yes", "BusProtocol": 7}, UNKNOWN, GUESS, 1, "does not say"),
    ],
)
def test_external_disk(
    tmp_path: Path,
    changes: dict[str, Any],
    kind: DriveKind,
    confidence: Confidence,
    files: int,
    word: str,
) -> None:
    disk = {**USB_DISK, **changes}
    disks = {"disk4s2": {**disk, "DeviceIdentifier": "disk4s2"}, "disk4": disk}
    drive = Mac(tmp_path, "/dev/disk4s2", "/Volumes/My Disk", disks).ask()
    assert facts(drive) == (kind, confidence, ("disk4",), files)
    assert word in drive.reason
    assert drive.removable is ("RemovableMedia" in changes)


def test_memory_card(tmp_path: Path) -> None:
    drive = Mac(tmp_path, "/dev/disk6s1", "/Volumes/CARD", {"disk6s1": CARD, "disk6": CARD}).ask()
    assert facts(drive) == (SSD, CERTAIN, ("disk6",), 1)
    assert drive.removable
    assert drive.file_system == "exfat"


def test_disk_image(tmp_path: Path) -> None:
    volume = {**APFS_VOLUME, "APFSPhysicalStores": [{"APFSPhysicalStore": "disk8s1"}]}
    disks = {"disk9s1": volume, "disk8s1": IMAGE, "disk8": IMAGE}
    drive = Mac(tmp_path, "/dev/disk9s1", "/Volumes/Models (a)", disks).ask()
    assert facts(drive) == (UNKNOWN, GUESS, ("disk8",), 1)
    assert "image" in drive.reason
    assert drive.file_system == "apfs"


def test_fusion_drive(tmp_path: Path) -> None:
    stores = [{"APFSPhysicalStore": "disk0s2"}, {"APFSPhysicalStore": "disk1s2"}]
    volume = {**APFS_VOLUME, "APFSPhysicalStores": stores, "Fusion": True}
    disks = {"disk3s5": volume, "disk0s2": APPLE_SSD, "disk0": APPLE_SSD}
    disks |= {"disk1s2": SATA_DISK, "disk1": SATA_DISK}
    drive = Mac(tmp_path, "/dev/disk3s5", "/System/Volumes/Data", {**disks}).ask()
    assert facts(drive) == (UNKNOWN, GUESS, ("disk0", "disk1"), 1)
    assert "caches" in drive.reason
    assert "Fusion" in drive.reason


@pytest.mark.parametrize(
    ("source", "point", "fs_type"),
    [
        ("//me@nas.local/models", "/Volumes/models", "smbfs"),
        ("nas:/export/models", "/Volumes/nfs", "nfs"),
        ("https://dav.example.org/", "/Volumes/dav", "webdav"),
        ("afp_0TX34S0rs0XM0rs0XM0rs0XM-1.2d000005", "/Volumes/old", "afpfs"),
        ("me@host:/data", "/Volumes/fuse", "fuse.macfuse"),
    ],
)
def test_network(tmp_path: Path, source: str, point: str, fs_type: str) -> None:
    mac = Mac(tmp_path, source, point)
    drive = mac.ask()
    assert (drive.kind, drive.devices, drive.network) == (UNKNOWN, (), True)
    assert drive.file_system == fs_type
    assert is_network(tmp_path, machine=mac.machine)


@pytest.mark.parametrize(
    ("source", "fs_type"),
    [("//me@nas/x", "smbfs"), ("nas:/x", "nfs"), ("http://dav/", "webdav")],
)
def test_network_where_mount_does_not_tell(tmp_path: Path, source: str, fs_type: str) -> None:
    mac = Mac(tmp_path, source, "/Volumes/x", mounted="")
    assert mac.ask().network
    assert mac.ask().file_system == fs_type


def test_local_disk_is_no_network(tmp_path: Path) -> None:
    mac = Mac(tmp_path, "/dev/disk3s5", "/System/Volumes/Data")
    assert not is_network(tmp_path, machine=mac.machine)


@pytest.mark.parametrize("info", [NOT_FOUND, b"", b"not a list", b"<plist><array/></plist>"])
def test_disk_that_diskutil_does_not_know(tmp_path: Path, info: dict[str, Any] | bytes) -> None:
    drive = Mac(tmp_path, "/dev/disk7", "/Volumes/x", {"disk7": info}).ask()
    assert facts(drive) == (UNKNOWN, GUESS, ("disk7",), 1)
    assert "diskutil" in drive.reason


def test_store_that_diskutil_does_not_know(tmp_path: Path) -> None:
    drive = Mac(tmp_path, "/dev/disk3s5", "/System/Volumes/Data", {"disk3s5": APFS_VOLUME}).ask()
    assert facts(drive) == (UNKNOWN, GUESS, ("disk0s2",), 1)


def test_what_is_no_device(tmp_path: Path) -> None:
    drive = Mac(tmp_path, "map auto_home", "/System/Volumes/Data/home").ask()
    assert facts(drive) == (UNKNOWN, GUESS, (), 1)
    assert "auto_home" in drive.reason


def test_mac_without_its_programs(tmp_path: Path) -> None:
    machine = Machine(platform="darwin", run=lambda _: None)
    drive = get_drive(tmp_path, machine=machine)
    assert facts(drive) == (UNKNOWN, GUESS, (), 1)
    assert not is_network(tmp_path, machine=machine)


def test_the_users_word_for_a_disk(tmp_path: Path) -> None:
    mac = Mac(tmp_path, "/dev/disk4s2", "/Volumes/x", {"disk4s2": USB_DISK, "disk4": USB_DISK})
    assert facts(mac.ask(DriveOverride("disk4", HDD))) == (HDD, CERTAIN, ("disk4",), 1)
