"""Disks that are joined, on made-up machines: what joins them, and how many files at a time."""

from pathlib import Path

import pytest

from modelcellar.io.drives import get_drive
from modelcellar.io.probing import Prober
from modelcellar.io.zfs import Vdev, vdevs_of
from modelcellar.records import Confidence, Drive, DriveKind
from tests.support.machines import MadeUp

SSD, HDD, UNKNOWN = DriveKind.SSD, DriveKind.HDD, DriveKind.UNKNOWN


@pytest.fixture
def made(tmp_path: Path) -> MadeUp:
    """A machine with four disks that turn, each with one partition, and two that do not."""
    made = MadeUp(tmp_path)
    for name in ("sda", "sdb", "sdc", "sdd"):
        made.disk(name, rpm=7200)
        made.partition(name, f"{name}1")
    made.device("nvme0n1", rotational=0)
    made.device("nvme1n1", rotational=0)
    return made


def ask(made: MadeUp, path: str = "/m/x") -> Drive:
    return get_drive(Path(path), machine=made.machine, prober=None)


@pytest.mark.parametrize(
    ("level", "degraded", "files"),
    [("raid1", 0, 2), ("raid1", 1, 1), ("raid5", 0, 2), ("raid5", 1, 1), ("raid10", 0, 2)],
)
def test_md_with_and_without_all_disks(made: MadeUp, level: str, degraded: int, files: int) -> None:
    members = ("sda1", "sdb1")[degraded:] if level == "raid1" else ("sda1", "sdb1", "sdc1")
    made.md("md0", level, *members, degraded=degraded)
    made.mount("/m", "ext4", "md0")
    assert (ask(made).kind, ask(made).concurrency) == (HDD, files)
    assert ask(made).reason.endswith(f"under md {level}" + " (degraded)" * degraded)


def test_md_mirror_of_three_that_lost_one(made: MadeUp) -> None:
    made.md("md0", "raid1", "sda1", "sdb1", degraded=1)
    made.mount("/m", "ext4", "md0")
    assert ask(made).concurrency == 2


def test_md_on_partitions_of_one_disk(made: MadeUp) -> None:
    made.partition("sda", "sda2")
    made.md("md0", "raid1", "sda1", "sda2")
    made.mount("/m", "ext4", "md0")
    assert (ask(made).devices, ask(made).concurrency) == (("sda",), 1)


@pytest.mark.parametrize("disks", ["", "0", "2 (3)", "x"])
def test_md_whose_count_of_disks_is_odd(made: MadeUp, disks: str) -> None:
    made.md("md0", "raid1", "sda1", "sdb1", disks=disks)
    made.mount("/m", "ext4", "md0")
    assert ask(made).concurrency == 2


def test_md_spare_is_no_part_of_it(made: MadeUp) -> None:
    made.md("md0", "raid1", "nvme0n1", "nvme1n1", "sda1", spares=("sda1",))
    made.mount("/m", "ext4", "md0")
    assert (ask(made).kind, ask(made).devices) == (SSD, ("nvme0n1", "nvme1n1"))


@pytest.mark.parametrize(
    ("profile", "files"),
    [
        ("single", 1),
        ("dup", 1),
        ("raid0", 2),
        ("raid1", 2),
        ("raid1c3", 2),
        ("raid10", 2),
        ("raid5", 2),
        ("raid6", 2),
    ],
)
def test_btrfs_profile(made: MadeUp, profile: str, files: int) -> None:
    made.btrfs("sda1", "sdb1", profiles=(profile,))
    made.mount("/m", "btrfs", "sdb1")
    drive = ask(made)
    assert (drive.kind, drive.devices, drive.concurrency) == (HDD, ("sda", "sdb"), files)
    assert drive.reason.endswith(f"one of 2 devices; under btrfs {profile}")


def test_btrfs_between_two_profiles_is_the_slower_one(made: MadeUp) -> None:
    made.btrfs("sda1", "sdb1", profiles=("single", "raid1"))
    made.mount("/m", "btrfs", "sda1")
    assert ask(made).concurrency == 1
    assert "btrfs raid1" in ask(made).reason
    assert "btrfs single" in ask(made).reason


def test_btrfs_that_mixes_data_with_metadata(made: MadeUp) -> None:
    made.btrfs("sda1", "sdb1", profiles=("raid1",), group="mixed")
    made.mount("/m", "btrfs", "sda1")
    assert ask(made).concurrency == 2


def test_btrfs_mirror_that_lost_a_disk(made: MadeUp) -> None:
    made.btrfs("sda1", profiles=("raid1",), lost=1)
    made.mount("/m", "btrfs", "sda1")
    assert ask(made).concurrency == 1
    assert ask(made).reason.endswith("under btrfs raid1 (degraded)")


def test_btrfs_on_partitions_of_one_disk(made: MadeUp) -> None:
    made.partition("sda", "sda2")
    made.btrfs("sda1", "sda2", profiles=("raid1",))
    made.mount("/m", "btrfs", "sda1")
    assert (ask(made).devices, ask(made).concurrency) == (("sda",), 1)
    assert ask(made).reason.endswith("under btrfs raid1")


def test_btrfs_on_one_device_says_nothing_of_profiles(made: MadeUp) -> None:
    made.btrfs("nvme0n1", profiles=("single",))
    made.mount("/m", "btrfs", "nvme0n1")
    assert ask(made).reason == "NVMe"


DISKS = {
    "/dev/disk/by-id/ata-ST4000VN006-3CW104_ZW60A1B2-part1": "sda1",
    "/dev/disk/by-id/ata-ST4000VN006-3CW104_ZW60C3D4-part1": "sdb1",
    "/dev/disk/by-id/wwn-0x5000c500e3f1a2b3-part1": "sdc1",
    "/dev/disk/by-id/nvme-Samsung_SSD_980_PRO_1TB_S5GXNX0R123456-part1": "nvme0n1",
    "/dev/disk/by-id/nvme-Samsung_SSD_980_PRO_1TB_S5GXNX0R654321-part1": "nvme1n1",
}
A, B, C, FAST, FASTER = DISKS


def status(*rows: str, pool: str = "tank") -> str:
    """The output of ``zpool status -P``, as OpenZFS 2.2 prints it."""
    shown = "\n".join(f"\t{row}" for row in rows)
    return f"""  pool: {pool}
 state: ONLINE
status: Some supported and requested features are not enabled on the pool.
\tThe pool can still be used, but some features are unavailable.
action: Enable all features using 'zpool upgrade'. Once this is done,
\tthe pool may no longer be accessible by software that does not support
\tthe features. See zpool-features(7) for details.
  scan: scrub repaired 0B in 05:12:33 with 0 errors on Sun Nov  8 05:36:34 2026
config:

\tNAME                                                       STATE     READ WRITE CKSUM
{shown}

errors: No known data errors
"""


MIRROR = status(
    "tank                                                       ONLINE       0     0     0",
    "  mirror-0                                                 ONLINE       0     0     0",
    f"    {A}  ONLINE       0     0     0",
    f"    {B}  ONLINE       0     0     0",
)
RAIDZ_WITH_HELPERS = status(
    "tank                                                       ONLINE       0     0     0",
    "  raidz1-0                                                 ONLINE       0     0     0",
    f"    {A}  ONLINE       0     0     0",
    f"    {B}  ONLINE       0     0     0",
    f"    {C}           ONLINE       0     0     0",
    "special\t",
    f"  {FASTER}  ONLINE       0     0     0",
    "logs\t",
    f"  {FAST}  ONLINE       0     0     0",
    "cache",
    f"  {FASTER}  ONLINE       0     0     0",
    "spares",
    "  /dev/sdd1                                                AVAIL   ",
)
DEGRADED_RAIDZ = status(
    "tank                                                       DEGRADED     0     0     0",
    "  raidz1-0                                                 DEGRADED     0     0     0",
    f"    {A}  ONLINE       0     0     0",
    f"    {B}  ONLINE       0     0     0",
    "    9231458712345678901                                      UNAVAIL      0     0     0"
    f"  was {C}",
)
SPARE_AT_WORK = status(
    "tank                                                       DEGRADED     0     0     0",
    "  mirror-0                                                 DEGRADED     0     0     0",
    f"    {A}  ONLINE       0     0     0",
    "    spare-1                                                DEGRADED     0     0     0",
    f"      {B}  FAULTED      7   112     0  too many errors",
    f"      {C}           ONLINE       0     0     0",
    "spares",
    f"  {C}           INUSE     currently in use",
)
TWO_DISKS = status(
    "tank                                                       ONLINE       0     0     0",
    f"  {A}  ONLINE       0     0     0",
    f"  {FAST}  ONLINE       0     0     0",
)
TWO_MIRRORS = status(
    "tank                                                       ONLINE       0     0     0",
    "  mirror-0                                                 ONLINE       0     0     0",
    f"    {FAST}  ONLINE       0     0     0",
    "  mirror-1                                                 ONLINE       0     0     0",
    f"    {FASTER}  ONLINE       0     0     0",
)


@pytest.mark.parametrize(
    ("output", "vdevs"),
    [
        (MIRROR, (Vdev("mirror", (A, B)),)),
        (RAIDZ_WITH_HELPERS, (Vdev("raidz1", (A, B, C)),)),
        (DEGRADED_RAIDZ, (Vdev("raidz1", (A, B), degraded=True),)),
        (SPARE_AT_WORK, (Vdev("mirror", (A, C), degraded=True),)),
        (TWO_DISKS, (Vdev("", (A,)), Vdev("", (FAST,)))),
        (TWO_MIRRORS, (Vdev("mirror", (FAST,)), Vdev("mirror", (FASTER,)))),
        ("", ()),
        ("cannot open 'tank': no such pool\n", ()),
        ("config:\n\n\tNAME STATE\n", ()),
        (MIRROR.partition("  mirror-0")[0], ()),
    ],
)
def test_reading_of_zpool_status(output: str, vdevs: tuple[Vdev, ...]) -> None:
    assert vdevs_of(output) == vdevs


@pytest.mark.parametrize(
    ("output", "kind", "devices", "files", "layers"),
    [
        (MIRROR, HDD, ("sda", "sdb"), 2, "ZFS mirror"),
        (RAIDZ_WITH_HELPERS, HDD, ("sda", "sdb", "sdc"), 2, "ZFS raidz1"),
        (DEGRADED_RAIDZ, HDD, ("sda", "sdb"), 1, "ZFS raidz1 (degraded)"),
        (SPARE_AT_WORK, HDD, ("sda", "sdc"), 2, "ZFS mirror (degraded)"),
        (TWO_DISKS, HDD, ("nvme0n1", "sda"), 2, "ZFS stripes, ZFS"),
        (TWO_MIRRORS, SSD, ("nvme0n1", "nvme1n1"), 8, "ZFS stripes, ZFS mirror"),
    ],
)
def test_zfs(
    made: MadeUp, output: str, kind: DriveKind, devices: tuple[str, ...], files: int, layers: str
) -> None:
    made.links.update({path: f"/dev/{name}" for path, name in DISKS.items()})
    made.says["zpool", "status", "-P", "tank"] = output
    made.mount("/m", "zfs", source="tank/models")
    drive = ask(made)
    assert (drive.kind, drive.confidence) == (kind, Confidence.CERTAIN)
    assert (drive.devices, drive.concurrency) == (devices, files)
    assert drive.reason.endswith(f"under {layers}")
    assert drive.file_system == "zfs"


@pytest.mark.parametrize("source", ["tank/models", "other", "-x", ""])
def test_zfs_that_does_not_tell(made: MadeUp, source: str) -> None:
    made.says["zpool", "status", "-P", source] = MIRROR if source == "-x" else "garbage"
    made.mount("/m", "zfs", source=source or "none")
    drive = ask(made)
    assert (drive.kind, drive.confidence, drive.devices) == (UNKNOWN, Confidence.GUESS, ())
    assert "ZFS" in drive.reason


def test_zfs_on_a_disk_that_cannot_be_found_here(made: MadeUp) -> None:
    made.links[A] = "/dev/sda1"
    made.says["zpool", "status", "-P", "tank"] = MIRROR
    made.mount("/m", "zfs", source="tank")
    assert ask(made).kind is HDD
    del made.links[A]
    assert ask(made).kind is UNKNOWN


def test_zfs_is_not_measured_as_its_cache_would_be(made: MadeUp, tmp_path: Path) -> None:
    made.device("vda", rotational=1)
    made.says["zpool", "status", "-P", "tank"] = status(
        "tank       ONLINE       0     0     0", "  /dev/vda  ONLINE       0     0     0"
    )
    made.mount(str(tmp_path), "zfs", source="tank")
    told = ask(made, str(tmp_path))
    assert (told.kind, told.devices) == (UNKNOWN, ("vda",))
    # Any attempt at measuring would show in the reason.
    assert get_drive(tmp_path, machine=made.machine, prober=Prober()) == told
