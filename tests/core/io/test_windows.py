"""Windows by the bytes that its disks answer; the layouts are those of winioctl.h."""

import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from modelcellar.io import windows
from modelcellar.io.drives import Machine, get_drive, is_network
from modelcellar.io.windows import Answers, Bus, Calls, DriveType, verdict
from modelcellar.records import Confidence, Drive, DriveKind, DriveOverride

CERTAIN, LIKELY, GUESS = Confidence.CERTAIN, Confidence.LIKELY, Confidence.GUESS
SSD, HDD, UNKNOWN = DriveKind.SSD, DriveKind.HDD, DriveKind.UNKNOWN
SATA = 11

EXTENTS, PROPERTY = 0x00560000, 0x002D1400
DEVICE, SEEK_PENALTY, TRIM = (bytes([number]) + bytes(11) for number in (0, 7, 8))


def extents(*disks: int) -> bytes:
    """A ``VOLUME_DISK_EXTENTS``: each extent is a number, a beginning and a length."""
    rows = [struct.pack("<I4xqq", disk, 1_048_576, 500_107_862_016) for disk in disks]
    return struct.pack("<I4x", len(disks)) + b"".join(rows)


def descriptor(bus: int, *, vendor: str = "", model: str = "", removable: bool = False) -> bytes:
    """A ``STORAGE_DEVICE_DESCRIPTOR`` with its strings behind it."""
    vendor_at = 36 if vendor else 0
    model_at = 36 + len(vendor) + 1 if model else 0
    strings = f"{vendor}\0{model}\0".encode()
    sizes = (40, 36 + len(strings))
    fixed = (0, 0, removable, True, vendor_at, model_at, 0, 0, bus, 0)
    return struct.pack("<IIBB??IIIIII", *sizes, *fixed) + strings


def yes_or_no(answer: bool | None) -> bytes | None:
    return None if answer is None else struct.pack("<IIB3x", 12, 12, answer)


@dataclass
class Pc:
    """A PC whose ``C:`` lies on ``disks``: for each its answers by the question's bytes."""

    disks: dict[int, dict[bytes, bytes | None]] = field(default_factory=dict)
    root: str = "C:\\"
    kind: DriveType = DriveType.FIXED
    on: tuple[int, ...] = (0,)

    def disk(self, number: int, device: bytes | None, seeks: bool | None,
             trims: bool | None = None) -> None:  # fmt: skip
        answers = {DEVICE: device, SEEK_PENALTY: yes_or_no(seeks), TRIM: yes_or_no(trims)}
        self.disks[number] = answers

    def call(self, device: str, code: int, asked: bytes) -> bytes | None:
        if device == r"\\.\C:":
            assert (code, asked) == (EXTENTS, b"")
            return extents(*self.on) if self.on else None
        assert code == PROPERTY
        return self.disks[int(device.removeprefix(r"\\.\PhysicalDrive"))][asked]

    @property
    def machine(self) -> Machine:
        calls = Calls(lambda _: self.root, lambda _: self.kind, self.call)
        return Machine(platform="win32", calls=calls, cores=8)

    def ask(self, path: Path, *words: DriveOverride) -> Drive:
        return get_drive(path, overrides=words, machine=self.machine, prober=None)


def facts(drive: Drive) -> tuple[DriveKind, Confidence, tuple[str, ...], int]:
    return drive.kind, drive.confidence, drive.devices, drive.concurrency


def test_nvme(tmp_path: Path) -> None:
    pc = Pc()
    pc.disk(0, descriptor(Bus.NVME, model="Samsung SSD 990 PRO 2TB"), seeks=False, trims=True)
    drive = pc.ask(tmp_path)
    assert facts(drive) == (SSD, CERTAIN, ("PhysicalDrive0",), 8)
    assert drive.reason == "NVMe"
    assert not drive.network


def test_disk_that_turns(tmp_path: Path) -> None:
    pc = Pc(on=(1,))
    pc.disk(1, descriptor(SATA, model="ST4000VN006-3CW104"), seeks=True, trims=False)
    assert facts(pc.ask(tmp_path)) == (HDD, CERTAIN, ("PhysicalDrive1",), 1)
    assert pc.ask(tmp_path, DriveOverride("PhysicalDrive1", SSD)).kind is SSD


def test_usb_stick(tmp_path: Path) -> None:
    pc = Pc(kind=DriveType.REMOVABLE)
    pc.disk(0, descriptor(Bus.USB, vendor="SanDisk", model="Ultra", removable=True), seeks=False)
    assert facts(pc.ask(tmp_path)) == (SSD, CERTAIN, ("PhysicalDrive0",), 1)
    assert pc.ask(tmp_path).removable


def test_volume_that_spans_disks(tmp_path: Path) -> None:
    pc = Pc(on=(2, 0, 2))
    pc.disk(0, descriptor(Bus.NVME), seeks=False)
    pc.disk(2, descriptor(SATA), seeks=True)
    drive = pc.ask(tmp_path)
    assert facts(drive) == (HDD, CERTAIN, ("PhysicalDrive0", "PhysicalDrive2"), 1)
    assert drive.reason.startswith("PhysicalDrive2: ")


def test_disk_that_answers_nothing(tmp_path: Path) -> None:
    pc = Pc()
    pc.disk(0, None, seeks=None)
    assert facts(pc.ask(tmp_path)) == (UNKNOWN, GUESS, ("PhysicalDrive0",), 1)


def test_volume_whose_disks_are_not_told(tmp_path: Path) -> None:
    assert facts(Pc(on=()).ask(tmp_path)) == (UNKNOWN, GUESS, ("C:",), 1)


@pytest.mark.parametrize(
    ("kind", "root", "verdict", "files", "network"),
    [
        (DriveType.REMOTE, "\\\\nas\\models\\", UNKNOWN, 4, True),
        (DriveType.REMOTE, "Z:\\", UNKNOWN, 4, True),
        (DriveType.RAMDISK, "R:\\", SSD, 8, False),
        (DriveType.CDROM, "D:\\", UNKNOWN, 1, False),
        (DriveType.FIXED, "C:\\mounted\\", UNKNOWN, 1, False),
        (DriveType.NO_ROOT, "", UNKNOWN, 1, False),
    ],
)
def test_drives_that_have_no_disk_of_their_own(
    tmp_path: Path, kind: DriveType, root: str, verdict: DriveKind, files: int, network: bool
) -> None:
    pc = Pc(root=root, kind=kind)
    drive = pc.ask(tmp_path)
    assert (drive.kind, drive.concurrency, drive.devices) == (verdict, files, ())
    assert drive.network is network
    assert is_network(tmp_path, machine=pc.machine) is network


@pytest.mark.parametrize(
    ("answers", "kind", "confidence"),
    [
        (Answers(SATA, seeks=False), SSD, CERTAIN),
        (Answers(SATA, seeks=True), HDD, CERTAIN),
        (Answers(SATA, trims=True), SSD, GUESS),
        (Answers(SATA, trims=False), UNKNOWN, GUESS),
        (Answers(Bus.USB, seeks=False), SSD, CERTAIN),
        (Answers(Bus.USB, seeks=True), HDD, LIKELY),
        (Answers(Bus.USB), UNKNOWN, GUESS),
        (Answers(Bus.RAID, seeks=True), UNKNOWN, GUESS),
        (Answers(Bus.RAID, seeks=False), SSD, CERTAIN),
        (Answers(Bus.ISCSI, seeks=False), UNKNOWN, GUESS),
        (Answers(Bus.SPACES, seeks=False), UNKNOWN, GUESS),
        (Answers(Bus.VIRTUAL, seeks=True), UNKNOWN, GUESS),
        (Answers(Bus.FILE_BACKED_VIRTUAL, seeks=False), UNKNOWN, GUESS),
        (Answers(10, "Msft", "Virtual Disk", seeks=False), UNKNOWN, GUESS),
        (Answers(10, "VMware", "Virtual disk", seeks=True), UNKNOWN, GUESS),
        (Answers(SATA, "", "QEMU HARDDISK", seeks=True), UNKNOWN, GUESS),
        (Answers(Bus.SD, seeks=True), SSD, CERTAIN),
        (Answers(Bus.MMC), SSD, CERTAIN),
        (Answers(Bus.PERSISTENT_MEMORY), SSD, CERTAIN),
        (Answers(), UNKNOWN, GUESS),
    ],
)
def test_verdicts(answers: Answers, kind: DriveKind, confidence: Confidence) -> None:
    medium, sureness, reason = verdict(answers)
    assert (medium.kind, sureness) == (kind, confidence)
    assert reason


def test_question_as_windows_wants_it() -> None:
    # PropertyId, QueryType, AdditionalParameters[1], padded to the alignment of the first two.
    assert windows.question(7) == b"\7\0\0\0\0\0\0\0\0\0\0\0"


def test_reading_of_a_descriptor() -> None:
    device = descriptor(Bus.USB, vendor="WD      ", model="Elements 25A3", removable=True)
    answers = windows.answers_in(device, struct.pack("<IIB3x", 12, 12, 1), b"")
    assert answers == Answers(Bus.USB, "WD", "Elements 25A3", True, seeks=True, trims=None)
    assert windows.answers_in(descriptor(SATA), b"", b"") == Answers(SATA)


@pytest.mark.parametrize("length", [0, 1, 8, 31])
def test_descriptor_that_is_cut_short(length: int) -> None:
    device, short = descriptor(SATA, model="ST4000")[:length], bytes(min(length, 8))
    assert windows.answers_in(device, short, short) == Answers()


def test_strings_that_lie_outside_are_empty() -> None:
    device = bytearray(descriptor(SATA, model="ST4000"))
    struct.pack_into("<I", device, 16, 0xFFFF_FFFF)
    assert windows.answers_in(bytes(device), b"", b"").model == ""


@pytest.mark.parametrize(
    ("data", "numbers"),
    [
        (extents(3), [3]),
        (extents(1, 0, 1), [0, 1]),
        (b"", []),
        (extents(), []),
        (extents(5)[:7], []),
        (struct.pack("<I4x", 1000) + extents(4)[8:], [4]),
        (extents(1, 2)[:33], [1]),
    ],
)
def test_reading_of_extents(data: bytes, numbers: list[int]) -> None:
    assert windows.disk_numbers(data) == numbers


@pytest.mark.skipif(sys.platform == "win32", reason="there they are the system's own")
def test_other_systems_have_no_such_calls() -> None:
    assert (windows.CALLS.root_of("/"), windows.CALLS.type_of("/")) == ("", DriveType.UNKNOWN)
    assert windows.CALLS.ask("/dev/sda", PROPERTY, b"") is None
