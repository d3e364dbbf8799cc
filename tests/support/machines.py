"""Made-up machines: a small sysfs and a list of mounts, laid out as the kernel lays them out."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelcellar.io.storage import Machine

ANONYMOUS = os.makedev(0, 42)
ATA = "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0"
USB = "pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0"


def page_b1(rpm: int) -> bytes:
    """A SCSI page of block device characteristics."""
    return bytes([0, 0xB1, 0, 0x3C]) + rpm.to_bytes(2, "big") + bytes(58)


@dataclass
class MadeUp:
    """A machine to be furnished. Device names stand for what ``/dev/NAME`` would be.

    ``links`` are other paths of devices, ``says`` what programs print.
    """

    folder: Path
    numbers: dict[str, int] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)
    says: dict[tuple[str, ...], str | bytes] = field(default_factory=dict)
    cores: int = 8
    release: str = "6.12.0-generic"

    def __post_init__(self) -> None:
        (self.sysfs / "dev" / "block").mkdir(parents=True)
        (self.sysfs / "class" / "block").mkdir(parents=True)
        (self.folder / "osrelease").write_text(self.release + "\n")

    @property
    def sysfs(self) -> Path:
        return self.folder / "sys"

    @property
    def machine(self) -> Machine:
        return Machine(
            self.sysfs,
            self.folder / "mountinfo",
            self.folder / "osrelease",
            self.stat,
            self.cores,
            self.run,
            "linux",
        )

    def run(self, command: Sequence[str]) -> bytes | None:
        """What a program prints: what ``says`` has for its command line; others are not there."""
        said = self.says.get(tuple(command))
        return said.encode() if isinstance(said, str) else said

    def device(
        self,
        name: str,
        *,
        bus: str = "virtual",
        rotational: int | None = None,
        files: Mapping[str, str | bytes] | None = None,
        on: tuple[str, ...] = (),
    ) -> None:
        """A whole device; ``files`` are its attributes, ``on`` the devices it is made of."""
        folder = self.sysfs / "devices" / bus / "block" / name
        (folder / "slaves").mkdir(parents=True)
        attributes = {"removable": "0\n", **(files or {})}
        if rotational is not None:
            attributes["queue/rotational"] = f"{rotational}\n"
        for path, content in attributes.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            data = content if isinstance(content, bytes) else content.encode()
            (folder / path).write_bytes(data)
        for part in on:
            (folder / "slaves" / part).symlink_to((self.sysfs / "class/block" / part).resolve())
        self._known(name, folder)

    def disk(self, name: str = "sda", *, vendor: str = "ATA     ", model: str = "ST4000",
             rpm: int | None = None, bus: str = ATA, rotational: int = 1,
             removable: int = 0) -> None:  # fmt: skip
        """A SCSI or ATA disk; each gets a bus address of its own."""
        files: dict[str, str | bytes] = {
            "device/vendor": vendor + "\n",
            "device/model": model + "\n",
            "removable": f"{removable}\n",
        }
        if rpm is not None:
            files["device/vpd_pgb1"] = page_b1(rpm)
        self.device(name, bus=f"{bus}/{name}", rotational=rotational, files=files)

    def partition(self, disk: str, name: str) -> None:
        """A partition of a device that is there."""
        folder = (self.sysfs / "class" / "block" / disk).resolve() / name
        folder.mkdir()
        (folder / "partition").write_text("1\n")
        self._known(name, folder)

    def md(self, name: str, level: str, *on: str, disks: str = "", degraded: int = 0,
           spares: tuple[str, ...] = ()) -> None:  # fmt: skip
        """An array of devices that are there; ``spares`` are those of them that wait."""
        files = {"md/level": f"{level}\n", "md/degraded": f"{degraded}\n"}
        files["md/raid_disks"] = f"{disks or len(on) - len(spares) + degraded}\n"
        for slot, part in enumerate(on):
            files[f"md/dev-{part}/slot"] = "none\n" if part in spares else f"{slot}\n"
        self.device(name, rotational=1, files=files, on=on)

    def btrfs(self, *devices: str, fsid: str = "f00d", profiles: tuple[str, ...] = (),
              lost: int = 0, group: str = "data") -> None:  # fmt: skip
        """A btrfs file system on several devices, and on ``lost`` ones that are not there."""
        top = self.sysfs / "fs" / "btrfs" / fsid
        (top / "devices").mkdir(parents=True)
        for name in devices:
            (top / "devices" / name).symlink_to((self.sysfs / "class/block" / name).resolve())
        for number in range(len(devices) + lost):
            (top / "devinfo" / f"{number + 1}").mkdir(parents=True)
            missing = int(number >= len(devices))
            (top / "devinfo" / f"{number + 1}" / "missing").write_text(f"{missing}\n")
        (top / "allocation" / group).mkdir(parents=True)
        (top / "allocation" / group / "total_bytes").write_text("1073741824\n")
        for profile in profiles:
            (top / "allocation" / group / profile).mkdir()

    def mount(
        self, point: str, fs_type: str = "ext4", device: str = "", *, source: str = "",
        options: str = "rw",
    ) -> None:  # fmt: skip
        """A mounted file system; without ``device`` its number is one that stands for none."""
        number = self.numbers[device] if device and fs_type != "btrfs" else ANONYMOUS
        self.places[point] = number
        shown = source or (f"/dev/{device}" if device else fs_type)
        major, minor = os.major(number), os.minor(number)
        with (self.folder / "mountinfo").open("a") as file:
            file.write(
                f"36 35 {major}:{minor} / {point} rw,noatime - {fs_type} {shown} {options}\n"
            )

    def stat(self, path: str) -> os.stat_result:
        """Like ``os.stat``, of the made-up places and devices."""
        if path in self.missing:
            raise FileNotFoundError(2, "No such file or directory", path)
        path = self.links.get(path, path)
        if path.startswith("/dev/") and path not in self.places:
            name = path.removeprefix("/dev/")
            if name not in self.numbers:
                raise FileNotFoundError(2, "No such file or directory", path)
            return _stat_result(0o60660, ANONYMOUS, self.numbers[name])
        inside = [point for point in self.places if f"{path}/".startswith(point.rstrip("/") + "/")]
        return _stat_result(0o100644, self.places[max(inside, key=len)], 0)

    def _known(self, name: str, folder: Path) -> None:
        number = os.makedev(8 + len(self.numbers) // 200, len(self.numbers) % 200)
        self.numbers[name] = number
        (self.sysfs / "class" / "block" / name).symlink_to(folder)
        (folder / "dev").write_text(f"{os.major(number)}:{os.minor(number)}\n")
        by_number = self.sysfs / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
        by_number.symlink_to(folder)


def _stat_result(mode: int, device: int, own: int) -> os.stat_result:
    return os.stat_result((mode, 1, device, 1, 0, 0, 0, 0, 0, 0), {"st_rdev": own})
