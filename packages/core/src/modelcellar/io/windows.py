"""What the storage under a path is on Windows: drive letter, physical disks, their answers.

The questions are those of winioctl.h; a handle without any access is enough for them, so nobody
needs to be an administrator. What goes in and out are bytes, packed and read by functions that
know nothing of Windows; the few calls of the system at the end of this module are tested nowhere
but there.
"""

import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from modelcellar.io.devices import Leaf, Storage, together, unseen
from modelcellar.io.media import Medium, is_virtual
from modelcellar.records import Confidence

__all__ = ["CALLS", "Answers", "Bus", "Calls", "DriveType", "is_remote", "look", "verdict"]

GET_VOLUME_DISK_EXTENTS = 0x00560000
QUERY_PROPERTY = 0x002D1400
DEVICE, SEEK_PENALTY, TRIM = 0, 7, 8
_ANSWER_BYTES = 4096


class DriveType(IntEnum):
    """What ``GetDriveTypeW`` answers."""

    UNKNOWN = 0
    NO_ROOT = 1
    REMOVABLE = 2
    FIXED = 3
    REMOTE = 4
    CDROM = 5
    RAMDISK = 6


class Bus(IntEnum):
    """Those of ``STORAGE_BUS_TYPE`` that matter here."""

    USB = 7
    RAID = 8
    ISCSI = 9
    SD = 12
    MMC = 13
    VIRTUAL = 14
    FILE_BACKED_VIRTUAL = 15
    SPACES = 16
    NVME = 17
    PERSISTENT_MEMORY = 18


@dataclass(frozen=True, slots=True)
class Calls:
    """The system's calls, so that tests can make up machines.

    ``root_of`` gives the mount point of a path (``C:\\``), ``type_of`` the kind of a root, and
    ``ask`` what a device answers to a control code with a question, or ``None``.
    """

    root_of: Callable[[str], str]
    type_of: Callable[[str], int]
    ask: Callable[[str, int, bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a disk tells of itself; ``None`` where it does not answer."""

    bus: int = 0
    vendor: str = ""
    model: str = ""
    removable: bool = False
    seeks: bool | None = None
    trims: bool | None = None


def look(path: Path, calls: Calls) -> Storage:
    """The physical disks under ``path``."""
    root = calls.root_of(os.fspath(path.resolve()))
    match calls.type_of(root):
        case DriveType.REMOTE:
            reason = "a network drive; what disks it has cannot be seen"
            return Storage((Leaf("", Medium.NETWORK, Confidence.GUESS, reason),))
        case DriveType.RAMDISK:
            return Storage((Leaf("", Medium.RAM, Confidence.CERTAIN, "memory"),))
        case DriveType.CDROM:
            return unseen("", "an optical drive")
    letter = root[:2]
    if len(root) != 3 or letter[1] != ":":
        return unseen("", "a volume without a letter of its own")
    extents = calls.ask(rf"\\.\{letter}", GET_VOLUME_DISK_EXTENTS, b"")
    numbers = disk_numbers(extents or b"")
    if not numbers:
        return unseen(letter, "Windows does not tell which disk it lies on")
    return together(_disk(f"PhysicalDrive{number}", calls) for number in numbers)


def is_remote(path: Path, calls: Calls) -> bool:
    """Whether ``path`` lies on another machine."""
    return calls.type_of(calls.root_of(os.fspath(path.resolve()))) == DriveType.REMOTE


def _disk(name: str, calls: Calls) -> Storage:
    def property_of(which: int) -> bytes:
        return calls.ask(rf"\\.\{name}", QUERY_PROPERTY, question(which)) or b""

    answers = answers_in(property_of(DEVICE), property_of(SEEK_PENALTY), property_of(TRIM))
    medium, confidence, reason = verdict(answers)
    removable = answers.removable or medium is Medium.CARD
    return Storage((Leaf(name, medium, confidence, reason, removable),))


def question(which: int) -> bytes:
    """A ``STORAGE_PROPERTY_QUERY`` for the standard descriptor of a property."""
    return struct.pack("<IIB3x", which, 0, 0)


def disk_numbers(extents: bytes) -> list[int]:
    """The disks in ``VOLUME_DISK_EXTENTS``, each once: a spanned volume lies on several."""
    if len(extents) < 8:
        return []
    (count,) = struct.unpack_from("<I", extents)
    # Number (4), padding (4), begin and length (8 each); the first one is aligned to 8.
    starts = range(8, min(8 + count * 24, len(extents) - 3), 24)
    return sorted({struct.unpack_from("<I", extents, start)[0] for start in starts})


def answers_in(device: bytes, seek_penalty: bytes, trim: bytes) -> Answers:
    """What ``STORAGE_DEVICE_DESCRIPTOR`` and the two yes-or-no descriptors say."""
    seeks, trims = _yes_or_no(seek_penalty), _yes_or_no(trim)
    if len(device) < 32:
        return Answers(seeks=seeks, trims=trims)
    removable, vendor, model, bus = struct.unpack_from("<10x?xII8xI", device)
    vendor, model = _string(device, vendor), _string(device, model)
    return Answers(bus, vendor, model, removable, seeks, trims)


def _yes_or_no(descriptor: bytes) -> bool | None:
    # Version (4), size (4), a BOOLEAN.
    return descriptor[8] != 0 if len(descriptor) > 8 else None


def _string(descriptor: bytes, start: int) -> str:
    """The text that begins at an offset, where 0 means that there is none."""
    text = descriptor[start:].partition(b"\0")[0] if start else b""
    return text.decode("ascii", "replace").strip()


def verdict(answers: Answers) -> tuple[Medium, Confidence, str]:
    """What a disk is, by what it tells."""
    sure, likely, guess = Confidence.CERTAIN, Confidence.LIKELY, Confidence.GUESS
    match answers.bus:
        case Bus.SD | Bus.MMC:
            return Medium.CARD, sure, "a memory card or eMMC: no seeks, but slow to write"
        case Bus.PERSISTENT_MEMORY:
            return Medium.RAM, sure, "memory"
        case Bus.ISCSI:
            return Medium.NETWORK, guess, "a disk on another machine"
        case Bus.SPACES:
            return Medium.UNKNOWN, guess, "Storage Spaces, which hide what their disks are"
        case Bus.VIRTUAL | Bus.FILE_BACKED_VIRTUAL:
            return Medium.UNKNOWN, guess, "a virtual disk, which tells nothing"
    if is_virtual(answers.vendor, answers.model):
        return Medium.UNKNOWN, guess, "a virtual disk, which tells nothing"
    match answers.seeks:
        case False if answers.bus == Bus.NVME:
            return Medium.NVME, sure, "NVMe"
        case False if answers.bus == Bus.USB and answers.removable:
            return Medium.CARD, sure, "a USB stick: no seeks, but slow to write"
        case False:
            return Medium.SSD, sure, "the disk says that seeks cost nothing"
        case True if answers.bus == Bus.RAID:
            return Medium.UNKNOWN, guess, "a RAID controller, which hides what its disks are"
        case True:
            reason = "the disk says that seeks cost time"
            return Medium.HDD, likely if answers.bus == Bus.USB else sure, reason
    if answers.trims:
        return Medium.SSD, guess, "the disk takes TRIM, and does not say whether seeks cost time"
    return Medium.UNKNOWN, guess, "the disk does not say whether seeks cost time"


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _KERNEL = ctypes.WinDLL("kernel32")
    _KERNEL.CreateFileW.restype = wintypes.HANDLE
    _NO_HANDLE = wintypes.HANDLE(-1).value

    def _root_of(path: str) -> str:
        root = ctypes.create_unicode_buffer(32768)
        found = _KERNEL.GetVolumePathNameW(ctypes.c_wchar_p(path), root, len(root))
        return root.value if found else ""

    def _type_of(root: str) -> int:
        return int(_KERNEL.GetDriveTypeW(ctypes.c_wchar_p(root)))

    def _ask(device: str, code: int, asked: bytes) -> bytes | None:
        name = ctypes.c_wchar_p(device)
        # No access; shared with readers and writers (3); what exists (3).
        handle = wintypes.HANDLE(_KERNEL.CreateFileW(name, 0, 3, None, 3, 0, None))
        if handle.value == _NO_HANDLE:
            return None
        answer, size = ctypes.create_string_buffer(_ANSWER_BYTES), wintypes.DWORD()
        put, got = (asked or None, len(asked)), (answer, len(answer), ctypes.byref(size))
        done = _KERNEL.DeviceIoControl(handle, wintypes.DWORD(code), *put, *got, None)
        _KERNEL.CloseHandle(handle)
        return answer.raw[: size.value] if done else None

    CALLS = Calls(_root_of, _type_of, _ask)
else:
    CALLS = Calls(lambda _: "", lambda _: DriveType.UNKNOWN, lambda *_: None)
"""Those of this machine."""
