"""What the storage under a path is: a verdict with its evidence, never a silent guess.

The file system leads to block devices (:mod:`modelcellar.io.mounts`), those to physical ones
(:mod:`modelcellar.io.devices`); macOS and Windows have ways of their own. What is still unknown is
measured, once for each device. The user's word wins over all of it.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from modelcellar.io import macos, mounts, windows
from modelcellar.io.devices import Leaf, Storage
from modelcellar.io.media import Medium
from modelcellar.io.mounts import Mount, mount_of
from modelcellar.io.probing import Prober
from modelcellar.io.storage import THIS_MACHINE, Machine, storage_under
from modelcellar.records import Confidence, Drive, DriveKind, DriveOverride

__all__ = ["THIS_MACHINE", "Machine", "get_drive", "get_drive_type", "is_network"]

# How many files at a time to begin with; measurements of borgbackup/borg#10161.
_SSD_FILES = 4
_NETWORK_FILES = 4
_SURENESS = (Confidence.GUESS, Confidence.LIKELY, Confidence.CERTAIN)


_PROBER = Prober()


def get_drive(
    path: Path,
    *,
    overrides: Sequence[DriveOverride] = (),
    machine: Machine = THIS_MACHINE,
    prober: Prober | None = _PROBER,
) -> Drive:
    """What the storage under ``path``, an existing file or folder, is.

    Args:
        path: a symbolic link is followed.
        overrides: the user's word; the longest path that ``path`` lies in wins over other paths,
            any path over any device.
        machine: where the facts are read.
        prober: measures a local drive that tells nothing; ``None``: nothing is measured.

    Raises:
        OSError: there is nothing at ``path``, or it cannot be reached.
    """
    machine.stat(os.fspath(path))
    mount, storage = _look(path, machine)
    storage = replace(storage, leaves=tuple(_told(leaf, overrides) for leaf in storage.leaves))
    drive = _drive(path, mount, storage, machine)
    word = _override_of(path, overrides)
    if word is not None:
        reason = f"you said so ({word})"
        files = 1 if word.kind is DriveKind.HDD else _SSD_FILES
        return replace(
            drive,
            kind=word.kind,
            confidence=Confidence.CERTAIN,
            reason=reason,
            concurrency=drive.concurrency if word.kind is drive.kind else files,
        )
    # What has no device may not be local, and leaves nothing to remember a measurement by.
    unsure = drive.kind is DriveKind.UNKNOWN or drive.confidence is Confidence.GUESS
    if prober is None or drive.network or storage.hybrid or not (unsure and drive.devices):
        return drive
    # ZFS answers direct reads from its own cache (before 2.3 all of them).
    if drive.file_system == "zfs":
        return drive
    return _measured(drive, prober)


def get_drive_type(path: Path) -> str:
    """The kind of storage under ``path`` in one word: ``ssd``, ``hdd`` or ``unknown``.

    Raises:
        OSError: there is nothing at ``path``.
    """
    return get_drive(path).kind.value


def is_network(path: Path, *, machine: Machine = THIS_MACHINE) -> bool:
    """Whether ``path`` lies on a network file system, or on FUSE, which may hide one.

    ``fuseblk`` (ntfs-3g, exFAT) is a local disk. Where the system does not tell the answer is
    ``False``.
    """
    if machine.platform == "win32":
        return windows.is_remote(path, machine.calls)
    mount = _mount(path, machine)
    return mount is not None and mounts.is_network_type(mount.fs_type)


def _mount(path: Path, machine: Machine) -> Mount | None:
    if machine.platform == "darwin":
        return macos.mount_of(path, machine.run)
    return mount_of(path, mountinfo=machine.mountinfo)


def _look(path: Path, machine: Machine) -> tuple[Mount | None, Storage]:
    """The mounted file system, where the system has such, and the devices below it."""
    if machine.platform == "win32":
        return None, windows.look(path, machine.calls)
    mount = _mount(path, machine)
    if machine.platform == "darwin":
        return mount, macos.storage_under(mount, machine.run)
    return mount, storage_under(os.fspath(path), machine)


def _drive(path: Path, mount: Mount | None, storage: Storage, machine: Machine) -> Drive:
    leaf, confidence = _decisive(storage)
    kind = DriveKind.UNKNOWN if storage.hybrid else leaf.medium.kind
    reason = "a fast device caches a slow one" if storage.hybrid else leaf.reason
    if len(storage.leaves) > 1:
        reason = f"{leaf.name}: {reason}, one of {len(storage.leaves)} devices"
    if storage.layers:
        reason = f"{reason}; under {', '.join(storage.layers)}"
    fs_type = mount.fs_type if mount is not None else ""
    far = any(one.medium is Medium.NETWORK for one in storage.leaves)
    return Drive(
        path=os.fspath(path),
        kind=kind,
        confidence=Confidence.GUESS if kind is DriveKind.UNKNOWN else confidence,
        devices=tuple(one.name for one in storage.leaves if one.name),
        reason=reason,
        concurrency=_concurrency(kind, storage, machine),
        file_system=fs_type,
        network=far or mounts.is_network_type(fs_type),
        removable=any(one.removable for one in storage.leaves),
    )


def _decisive(storage: Storage) -> tuple[Leaf, Confidence]:
    """The device that decides: one that seeks, else one that is unknown, else the least sure."""
    order = (DriveKind.HDD, DriveKind.UNKNOWN, DriveKind.SSD)
    by_kind = min(
        storage.leaves,
        key=lambda leaf: (order.index(leaf.medium.kind), _SURENESS.index(leaf.confidence)),
    )
    if by_kind.medium.kind is DriveKind.HDD:
        spinning = (leaf for leaf in storage.leaves if leaf.medium.kind is DriveKind.HDD)
        by_kind = max(spinning, key=lambda leaf: _SURENESS.index(leaf.confidence))
    return by_kind, by_kind.confidence


def _concurrency(kind: DriveKind, storage: Storage, machine: Machine) -> int:
    media = {leaf.medium for leaf in storage.leaves}
    if kind is DriveKind.SSD:
        if Medium.CARD in media:
            return 1
        return max(machine.cores, 1) if media <= {Medium.NVME, Medium.RAM} else _SSD_FILES
    if Medium.NETWORK in media:
        return _NETWORK_FILES
    return 1 if storage.hybrid else storage.readers


def _measured(drive: Drive, prober: Prober) -> Drive:
    kind, reason = prober.kind_of(Path(drive.path), drive.devices)
    reason = f"{reason} ({drive.reason})"
    if kind is None:
        return replace(drive, reason=reason)
    sure = Confidence.GUESS if kind is DriveKind.UNKNOWN else Confidence.LIKELY
    files = _SSD_FILES if kind is DriveKind.SSD else 1
    if kind is not DriveKind.SSD and drive.kind is DriveKind.UNKNOWN:
        files = drive.concurrency
    return replace(drive, kind=kind, confidence=sure, reason=reason, concurrency=files)


def _told(leaf: Leaf, overrides: Sequence[DriveOverride]) -> Leaf:
    for word in overrides:
        if word.place == leaf.name:
            medium = Medium.HDD if word.kind is DriveKind.HDD else Medium.SSD
            same = leaf.medium if leaf.medium.kind is word.kind else medium
            return replace(
                leaf, medium=same, confidence=Confidence.CERTAIN, reason=f"you said so ({word})"
            )
    return leaf


def _override_of(path: Path, overrides: Sequence[DriveOverride]) -> DriveOverride | None:
    resolved = path.resolve()
    named = ((Path(word.place), word) for word in overrides)
    places = [(place.resolve(), word) for place, word in named if place.is_absolute()]
    inside = [(place, word) for place, word in places if resolved.is_relative_to(place)]
    return max(inside, key=lambda one: len(one[0].parts))[1] if inside else None
