"""Every row of the table of drives, on made-up machines."""

import errno
from pathlib import Path

import pytest

from modelcellar.io.drives import Machine, get_drive, get_drive_type
from modelcellar.records import Confidence, Drive, DriveKind, DriveOverride
from tests.support.filesystems import JOURNALLING, Mounts
from tests.support.machines import USB, MadeUp

CERTAIN, LIKELY, GUESS = Confidence.CERTAIN, Confidence.LIKELY, Confidence.GUESS
SSD, HDD, UNKNOWN = DriveKind.SSD, DriveKind.HDD, DriveKind.UNKNOWN


@pytest.fixture
def made(tmp_path: Path) -> MadeUp:
    return MadeUp(tmp_path)


def ask(made: MadeUp, path: str = "/m/x", *words: str) -> Drive:
    """The verdict without a measurement."""
    overrides = [DriveOverride(place, DriveKind(kind)) for place, _, kind in
                 (word.rpartition("=") for word in words)]  # fmt: skip
    return get_drive(Path(path), overrides=overrides, machine=made.machine, prober=None)


def facts(drive: Drive) -> tuple[DriveKind, Confidence, tuple[str, ...], int]:
    return drive.kind, drive.confidence, drive.devices, drive.concurrency


@pytest.mark.parametrize("fs_type", ["tmpfs", "ramfs", "devtmpfs"])
def test_memory(made: MadeUp, fs_type: str) -> None:
    made.mount("/m", fs_type)
    assert facts(ask(made)) == (SSD, CERTAIN, (), 8)
    assert "memory" in ask(made).reason


def test_zram(made: MadeUp) -> None:
    made.device("zram0", rotational=0)
    made.mount("/m", "ext4", "zram0")
    assert facts(ask(made)) == (SSD, CERTAIN, ("zram0",), 8)
    assert ask(made).reason == "memory"


@pytest.mark.parametrize(
    ("fs_type", "files"),
    [
        ("nfs4", 4),
        ("cifs", 4),
        ("9p", 4),
        ("ceph", 4),
        ("fuse.sshfs", 4),
        ("fuse.rclone", 4),
        # Its disks may be here, and two at a time would make one of them seek.
        ("fuse.mergerfs", 1),
        ("fuse", 1),
    ],
)
def test_network_and_fuse(made: MadeUp, fs_type: str, files: int) -> None:
    made.mount("/m", fs_type, source="server:/x")
    drive = ask(made)
    assert facts(drive) == (UNKNOWN, GUESS, (), files)
    assert drive.network
    assert fs_type in drive.reason


def test_fuseblk_is_the_device_that_is_mounted(made: MadeUp) -> None:
    made.disk("sdb", rotational=0)
    made.partition("sdb", "sdb1")
    made.mount("/m", "fuseblk", source="/dev/sdb1")
    drive = ask(made)
    assert facts(drive) == (SSD, CERTAIN, ("sdb",), 4)
    assert not drive.network


def test_partition_of_a_disk_that_turns(made: MadeUp) -> None:
    made.disk("sda", rpm=7200)
    made.partition("sda", "sda10")
    made.mount("/m", "ext4", "sda10")
    drive = ask(made)
    assert facts(drive) == (HDD, CERTAIN, ("sda",), 1)
    assert "7,200 rpm" in drive.reason
    assert drive.file_system == "ext4"


@pytest.mark.parametrize(
    ("rpm", "kind", "confidence"),
    [
        (0x0401, HDD, CERTAIN),
        (0x0400, UNKNOWN, GUESS),
        (0, UNKNOWN, GUESS),
        (1, SSD, LIKELY),
        (None, UNKNOWN, GUESS),
    ],
)
def test_speed_a_disk_tells(
    made: MadeUp, rpm: int | None, kind: DriveKind, confidence: Confidence
) -> None:
    made.disk("sda", rpm=rpm)
    made.mount("/m", "ext4", "sda")
    assert facts(ask(made))[:2] == (kind, confidence)


@pytest.mark.parametrize("page", [b"", b"\0\xb1\0\x3c\x1c", b"\0\xb0\0\x3c\x1c\x20"])
def test_page_that_is_cut_short_or_another_one(made: MadeUp, page: bytes) -> None:
    made.device("sda", rotational=1, files={"device/vpd_pgb1": page, "device/vendor": "ATA\n"})
    made.mount("/m", "ext4", "sda")
    assert ask(made).kind is UNKNOWN


def test_sata_ssd(made: MadeUp) -> None:
    made.disk("sda", rotational=0)
    made.mount("/m", "xfs", "sda")
    assert facts(ask(made)) == (SSD, CERTAIN, ("sda",), 4)


def test_usb_disk_with_the_flag_is_unknown_whatever_page_it_has(made: MadeUp) -> None:
    made.disk("sdc", bus=USB, rpm=5400)
    made.mount("/m", "exfat", "sdc")
    assert facts(ask(made)) == (UNKNOWN, GUESS, ("sdc",), 1)
    assert "USB" in ask(made).reason


def test_usb_stick_and_usb_ssd(made: MadeUp) -> None:
    made.disk("sdc", bus=USB, rotational=0, removable=1)
    made.disk("sdd", bus=USB, rotational=0)
    made.mount("/m", "vfat", "sdc")
    made.mount("/n", "ext4", "sdd")
    assert facts(ask(made)) == (SSD, CERTAIN, ("sdc",), 1)
    assert ask(made).removable
    assert facts(ask(made, "/n/x")) == (SSD, CERTAIN, ("sdd",), 4)
    assert not ask(made, "/n/x").removable


@pytest.mark.parametrize(
    ("vendor", "model", "word"),
    [
        ("DELL    ", "PERC H730P Mini ", "RAID"),
        ("HP      ", "LOGICAL VOLUME  ", "RAID"),
        ("AVAGO   ", "MR9361-8i", "RAID"),
        ("VMware  ", "Virtual disk    ", "virtual"),
        ("ATA     ", "QEMU HARDDISK   ", "virtual"),
        ("ATA     ", "VBOX HARDDISK   ", "virtual"),
        ("QEMU    ", "QEMU HARDDISK   ", "virtual"),
        ("Msft    ", "Virtual Disk    ", "virtual"),
        ("Google  ", "PersistentDisk  ", "virtual"),
    ],
)
def test_raid_controllers_and_virtual_disks(
    made: MadeUp, vendor: str, model: str, word: str
) -> None:
    made.disk("sda", vendor=vendor, model=model, rpm=7200)
    made.mount("/m", "ext4", "sda")
    assert facts(ask(made))[:2] == (UNKNOWN, GUESS)
    assert word in ask(made).reason


@pytest.mark.parametrize("place", ["device/transport", "device/nvme0/transport"])
@pytest.mark.parametrize("transport", ["tcp", "rdma", "fc"])
def test_nvme_over_a_network(made: MadeUp, place: str, transport: str) -> None:
    """With native multipath the controllers lie in a subsystem."""
    made.device("nvme0n1", rotational=0, files={place: f"{transport}\n"})
    made.mount("/m", "ext4", "nvme0n1")
    drive = ask(made)
    assert facts(drive) == (UNKNOWN, GUESS, ("nvme0n1",), 4)
    assert drive.network
    assert f"NVMe over {transport}" in drive.reason


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("Amazon Elastic Block Store              ", UNKNOWN),
        ("Amazon EC2 NVMe Instance Storage        ", SSD),
        ("nvme_card-pd", UNKNOWN),
        ("nvme_card", SSD),
        ("MSFT NVMe Accelerator v1.0              ", UNKNOWN),
        ("Microsoft NVMe Direct Disk              ", SSD),
    ],
)
def test_network_disks_that_clouds_show_as_nvme(made: MadeUp, model: str, kind: DriveKind) -> None:
    files = {"device/model": model + "\n", "device/transport": "pcie\n"}
    made.device("nvme1n1", rotational=0, files=files)
    made.mount("/m", "ext4", "nvme1n1")
    assert ask(made).kind is kind


@pytest.mark.parametrize(
    "bus",
    [
        "platform/host3/session1/target3:0:0/3:0:0:1",
        "pci0000:00/0000:00:05.0/host7/rport-7:0-2/target7:0:1/7:0:1:0",
    ],
)
@pytest.mark.parametrize("flag", [0, 1])
def test_iscsi_and_fibre_channel(made: MadeUp, bus: str, flag: int) -> None:
    made.device("sdb", bus=bus, rotational=flag)
    made.mount("/m", "ext4", "sdb")
    drive = ask(made)
    assert facts(drive) == (UNKNOWN, GUESS, ("sdb",), 4)
    assert drive.network


def test_a_virtual_disk_that_says_it_does_not_rotate_is_believed_a_little(made: MadeUp) -> None:
    made.disk("sda", vendor="VMware", model="Virtual disk", rotational=0)
    made.mount("/m", "ext4", "sda")
    assert facts(ask(made))[:2] == (SSD, GUESS)


@pytest.mark.parametrize(("flag", "kind", "files"), [(0, SSD, 8), (1, HDD, 1)])
def test_nvme(made: MadeUp, flag: int, kind: DriveKind, files: int) -> None:
    made.device("nvme0n1", bus="pci0000:00/nvme/nvme0", rotational=flag)
    made.partition("nvme0n1", "nvme0n1p12")
    made.mount("/m", "ext4", "nvme0n1p12")
    assert facts(ask(made)) == (kind, CERTAIN, ("nvme0n1",), files)


@pytest.mark.parametrize(
    ("name", "flag", "kind", "confidence", "files"),
    [
        ("vda", 1, UNKNOWN, GUESS, 1),
        ("vda", 0, SSD, GUESS, 4),
        ("xvda", 0, UNKNOWN, GUESS, 1),
        ("xvda", 1, UNKNOWN, GUESS, 1),
        ("mmcblk0", 0, SSD, CERTAIN, 1),
        ("sr0", 1, UNKNOWN, GUESS, 1),
        ("sdaa", 0, SSD, CERTAIN, 4),
        ("pmem0", 0, SSD, CERTAIN, 8),
        ("rbd0", 0, UNKNOWN, GUESS, 4),
        ("nbd3", 1, UNKNOWN, GUESS, 4),
    ],
)
def test_by_name(
    made: MadeUp, name: str, flag: int, kind: DriveKind, confidence: Confidence, files: int
) -> None:
    made.device(name, rotational=flag)
    made.mount("/m", "ext4", name)
    assert facts(ask(made)) == (kind, confidence, (name,), files)


def test_device_without_a_flag(made: MadeUp) -> None:
    made.device("sda")
    made.mount("/m", "ext4", "sda")
    assert ask(made).kind is UNKNOWN


def test_windows_subsystem(tmp_path: Path) -> None:
    made = MadeUp(tmp_path, release="5.15.153.1-microsoft-standard-WSL2")
    made.disk("sdc", vendor="Msft", model="Virtual Disk", rotational=0)
    made.mount("/", "ext4", "sdc")
    made.mount("/mnt/c", "9p", source="C:\\")
    assert facts(ask(made, "/home")) == (UNKNOWN, GUESS, ("sdc",), 1)
    assert "Windows" in ask(made, "/home").reason
    assert ask(made, "/mnt/c/models").network


def test_lvm_on_luks_on_a_partition(made: MadeUp) -> None:
    made.disk("sda", rpm=5400)
    made.partition("sda", "sda3")
    made.device("dm-0", rotational=0, files={"dm/uuid": "CRYPT-LUKS2-ab-x\n"}, on=("sda3",))
    made.device("dm-1", rotational=0, files={"dm/uuid": "LVM-abcdef\n"}, on=("dm-0",))
    made.mount("/m", "ext4", "dm-1", source="/dev/mapper/vg-root")
    assert facts(ask(made)) == (HDD, CERTAIN, ("sda",), 1)
    assert ask(made).reason.endswith("under LVM, encryption")


def test_one_spindle_in_a_volume_group_makes_it_a_disk(made: MadeUp) -> None:
    made.device("nvme0n1", rotational=0)
    made.disk("sda", rpm=7200)
    made.device("dm-0", rotational=0, files={"dm/uuid": "LVM-a\n"}, on=("nvme0n1", "sda"))
    made.mount("/m", "ext4", "dm-0")
    assert facts(ask(made)) == (HDD, CERTAIN, ("nvme0n1", "sda"), 1)
    assert ask(made).reason.startswith("sda: ")


def test_two_volumes_on_one_spindle_share_it(made: MadeUp) -> None:
    made.disk("sda", rpm=7200)
    made.device("dm-0", on=("sda",))
    made.device("dm-1", on=("sda",))
    made.mount("/m", "ext4", "dm-0")
    made.mount("/n", "ext4", "dm-1")
    assert ask(made).devices == ask(made, "/n/x").devices == ("sda",)


@pytest.mark.parametrize(
    ("level", "files"), [("raid1", 2), ("raid5", 2), ("raid10", 2), ("raid0", 2), ("linear", 1)]
)
def test_md(made: MadeUp, level: str, files: int) -> None:
    made.disk("sda", rpm=7200)
    made.disk("sdb", rpm=7200)
    made.partition("sda", "sda1")
    made.partition("sdb", "sdb1")
    made.device("md127", rotational=1, files={"md/level": f"{level}\n"}, on=("sda1", "sdb1"))
    made.partition("md127", "md127p1")
    made.mount("/m", "ext4", "md127p1")
    assert facts(ask(made)) == (HDD, CERTAIN, ("sda", "sdb"), files)
    assert f"md {level}" in ask(made).reason


def test_md_of_ssds(made: MadeUp) -> None:
    made.device("nvme0n1", rotational=0)
    made.device("nvme1n1", rotational=0)
    made.device("md0", files={"md/level": "raid1\n"}, on=("nvme0n1", "nvme1n1"))
    made.mount("/m", "ext4", "md0")
    assert facts(ask(made)) == (SSD, CERTAIN, ("nvme0n1", "nvme1n1"), 8)


def test_bcache_with_and_without_its_cache(made: MadeUp) -> None:
    made.device("nvme0n1", rotational=0)
    made.disk("sda", rpm=7200)
    made.device("bcache0", rotational=0, on=("nvme0n1", "sda"))
    made.device("bcache1", rotational=0, on=("sda",))
    made.mount("/m", "ext4", "bcache0")
    made.mount("/n", "ext4", "bcache1")
    assert facts(ask(made)) == (UNKNOWN, GUESS, ("nvme0n1", "sda"), 1)
    assert "caches" in ask(made).reason
    assert facts(ask(made, "/n/x")) == (HDD, CERTAIN, ("sda",), 1)


def test_lvmcache(made: MadeUp) -> None:
    made.device("nvme0n1", rotational=0)
    made.disk("sda", rpm=7200)
    made.device("dm-0", files={"dm/uuid": "LVM-a-cdata\n"}, on=("nvme0n1",))
    made.device("dm-1", files={"dm/uuid": "LVM-a-real\n", "dm/name": "vg-lv_corig\n"}, on=("sda",))
    made.device("dm-2", files={"dm/uuid": "LVM-a\n"}, on=("dm-0", "dm-1"))
    made.mount("/m", "ext4", "dm-2")
    assert facts(ask(made)) == (UNKNOWN, GUESS, ("nvme0n1", "sda"), 1)


def test_btrfs_on_several_devices(made: MadeUp) -> None:
    made.disk("sda", rpm=7200)
    made.device("nvme0n1", rotational=0)
    made.device("nvme1n1", rotational=0)
    made.partition("nvme0n1", "nvme0n1p2")
    made.btrfs("nvme0n1p2", "sda")
    made.mount("/m", "btrfs", "nvme0n1p2")
    made.mount("/n", "btrfs", "nvme1n1")
    assert facts(ask(made)) == (HDD, CERTAIN, ("nvme0n1", "sda"), 1)
    assert facts(ask(made, "/n/x")) == (SSD, CERTAIN, ("nvme1n1",), 8)


def test_btrfs_in_a_container_without_the_device_node(made: MadeUp) -> None:
    made.device("nvme0n1", rotational=0)
    made.mount("/m", "btrfs", "nvme0n1")
    made.missing.add("/dev/nvme0n1")
    assert facts(ask(made)) == (SSD, CERTAIN, ("nvme0n1",), 8)


def test_bcachefs_names_all_its_devices(made: MadeUp) -> None:
    made.device("nvme0n1", rotational=0)
    made.disk("sda", rpm=7200)
    made.mount("/m", "bcachefs", source="/dev/nvme0n1:/dev/sda")
    assert facts(ask(made)) == (UNKNOWN, GUESS, ("nvme0n1", "sda"), 1)


def test_overlay_is_its_upper_folder(made: MadeUp) -> None:
    made.device("nvme0n1", rotational=0)
    made.disk("sda", rpm=7200)
    made.mount("/var", "ext4", "nvme0n1")
    made.mount("/low", "ext4", "sda")
    made.mount("/m", "overlay", options="rw,lowerdir=/low/a:/low/b,upperdir=/var/u,workdir=/var/w")
    made.mount("/n", "overlay", options="ro,lowerdir=/low/a:/low/b")
    assert facts(ask(made)) == (SSD, CERTAIN, ("nvme0n1",), 8)
    assert "overlay" in ask(made).reason
    assert ask(made).file_system == "overlay"
    assert facts(ask(made, "/n/x")) == (HDD, CERTAIN, ("sda",), 1)


def test_overlay_of_a_container(made: MadeUp) -> None:
    made.mount("/", "overlay", options="rw,lowerdir=/l,upperdir=/var/lib/docker/u,workdir=/w")
    made.missing.add("/var/lib/docker/u")
    assert facts(ask(made)) == (UNKNOWN, GUESS, (), 1)
    assert "container" in ask(made).reason


def test_loop_is_the_file_behind_it(made: MadeUp) -> None:
    made.disk("sda", rpm=7200)
    made.mount("/images", "ext4", "sda")
    made.device("loop3", rotational=0, files={"loop/backing_file": "/images/a b .img \n"})
    made.partition("loop3", "loop3p1")
    made.mount("/m", "ext4", "loop3p1")
    made.missing.add("/images/a b .img")
    assert facts(ask(made)) == (HDD, CERTAIN, ("sda",), 1)
    assert ask(made).reason.endswith("under a loop device")


@pytest.mark.parametrize("file", ["", "/images/gone.img (deleted)"])
def test_loop_whose_file_cannot_be_found(made: MadeUp, file: str) -> None:
    made.device("nvme0n1", rotational=0)
    made.mount("/images", "ext4", "nvme0n1")
    made.device("loop0", rotational=0, files={"loop/backing_file": f"{file}\n"})
    made.mount("/m", "squashfs", "loop0")
    made.missing.add("/images/gone.img (deleted)")
    assert facts(ask(made))[:2] == (UNKNOWN, GUESS)


@pytest.mark.parametrize(("layers", "kind"), [(7, SSD), (8, UNKNOWN), (20, UNKNOWN)])
def test_images_in_images(made: MadeUp, layers: int, kind: DriveKind) -> None:
    made.device("nvme0n1", rotational=0)
    made.mount("/0", "ext4", "nvme0n1")
    for number in range(layers):
        file = {"loop/backing_file": f"/{number}/image\n"}
        made.device(f"loop{number}", rotational=0, files=file)
        made.mount(f"/{number + 1}", "ext4", f"loop{number}")
    assert ask(made, f"/{layers}/x").kind is kind


def test_loop_that_lies_in_itself_ends(made: MadeUp) -> None:
    made.device("loop0", rotational=0, files={"loop/backing_file": "/m/image\n"})
    made.mount("/m", "ext4", "loop0")
    assert ask(made).kind is UNKNOWN


def test_devices_that_lie_on_each_other_end(made: MadeUp) -> None:
    made.device("dm-0")
    made.device("dm-1", on=("dm-0",))
    slaves = (made.sysfs / "class/block/dm-0").resolve() / "slaves"
    (slaves / "dm-1").symlink_to((made.sysfs / "class/block/dm-1").resolve())
    made.mount("/m", "ext4", "dm-0")
    assert ask(made).kind is UNKNOWN


@pytest.mark.parametrize(("layers", "kind"), [(7, SSD), (8, UNKNOWN)])
def test_devices_on_devices(made: MadeUp, layers: int, kind: DriveKind) -> None:
    made.device("nvme0n1", rotational=0)
    below = "nvme0n1"
    for number in range(layers):
        made.device(f"dm-{number}", on=(below,))
        below = f"dm-{number}"
    made.mount("/m", "ext4", below)
    assert ask(made).kind is kind


def test_device_that_sysfs_does_not_know(made: MadeUp) -> None:
    made.numbers["sdz"] = 0x900
    made.mount("/m", "ext4", "sdz")
    assert facts(ask(made)) == (UNKNOWN, GUESS, (), 1)


def test_source_that_is_no_device(made: MadeUp) -> None:
    made.mount("/m", "odd", source="something")
    assert "something" in ask(made).reason
    made.mount("/n", "btrfs", source="something")
    assert ask(made, "/n/x").kind is UNKNOWN


def test_system_without_a_list_of_mounts(tmp_path: Path) -> None:
    machine = Machine(mountinfo=tmp_path / "none", platform="freebsd15")
    drive = get_drive(tmp_path, machine=machine)
    assert facts(drive) == (UNKNOWN, GUESS, (), 1)
    assert drive.file_system == ""


def test_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        get_drive(tmp_path / "nothing")
    assert raised.value.errno == errno.ENOENT


@pytest.mark.parametrize("kind", ["ssd", "hdd"])
def test_the_users_word_for_a_path(made: MadeUp, kind: str) -> None:
    made.mount("/m", "fuse.mergerfs", source="a:b")
    drive = ask(made, "/m/x", f"/m={kind}")
    assert (drive.kind, drive.confidence) == (DriveKind(kind), CERTAIN)
    assert drive.concurrency == {"ssd": 4, "hdd": 1}[kind]
    assert drive.reason == f"you said so (/m={kind})"


def test_longest_path_wins_in_any_order(made: MadeUp) -> None:
    made.mount("/", "ext4", source="/dev/none")
    words = ["/m=ssd", "/m/deep=hdd", "/=hdd"]
    for order in (words, words[::-1]):
        assert ask(made, "/m/deep/x", *order).kind is HDD
        assert ask(made, "/m/deeper", *order).kind is SSD
        assert ask(made, "/n", *order).kind is HDD


def test_the_users_word_for_a_device(made: MadeUp) -> None:
    made.device("vda", rotational=1)
    made.device("vdb", rotational=1)
    made.device("md0", files={"md/level": "raid1\n"}, on=("vda", "vdb"))
    made.mount("/m", "ext4", "vda")
    made.mount("/n", "ext4", "md0")
    assert facts(ask(made, "/m/x", "vda=ssd")) == (SSD, CERTAIN, ("vda",), 4)
    assert facts(ask(made, "/m/x", "vdb=ssd"))[:2] == (UNKNOWN, GUESS)
    assert facts(ask(made, "/n/x", "vdb=hdd")) == (HDD, CERTAIN, ("vda", "vdb"), 2)
    assert ask(made, "/n/x", "vda=ssd").kind is UNKNOWN
    assert ask(made, "/m/x", "vda=ssd", "/m=hdd").kind is HDD


def test_the_users_word_keeps_what_else_is_known(made: MadeUp) -> None:
    made.device("nvme0n1", rotational=0)
    made.device("mmcblk0", rotational=0)
    made.mount("/m", "ext4", "nvme0n1")
    made.mount("/n", "ext4", "mmcblk0")
    assert ask(made, "/m/x", "nvme0n1=ssd").concurrency == 8
    assert ask(made, "/n/x", "/n=ssd").concurrency == 1


def test_this_machine() -> None:
    assert get_drive_type(Path.cwd()) in {"ssd", "hdd", "unknown"}
    assert get_drive(Path("/dev/shm")).kind is SSD


@pytest.mark.parametrize("kind", [*JOURNALLING, "fuseblk"])
def test_real_images(mounts: Mounts, kind: str) -> None:
    volume = mounts.make(kind)
    drive = get_drive(volume.path, prober=None)
    below = get_drive(volume.image, prober=None)
    assert facts(drive) == facts(below)
    assert drive.reason == f"{below.reason}; under a loop device"
    assert drive.file_system == kind
