"""What has become of a link that we made."""

import hashlib
import os
import stat
from pathlib import Path

from modelcellar.link_records import Link, LinkHealth, LinkKind

__all__ = ["is_ours"]

READ_BYTES = 1 << 20


def is_ours(link: Link, library_root: Path) -> LinkHealth:
    """What has become of a link that we made; only what an application wrote to is read.

    ``BROKEN``: it is ours, but does not lead to the library's file, as after the library moved.
    ``SOURCE_GONE`` of a hard link, reflink or copy: it may be the last there is of those bytes.

    Raises:
        OSError: it cannot be looked at.
    """
    if _is_well(link, library_root):
        return LinkHealth.OK
    if not library_root.is_dir():
        return LinkHealth.OFFLINE
    try:
        found = link.target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return LinkHealth.MISSING
    source = library_root / link.source
    if link.kind is LinkKind.SYMLINK:
        return _symlink_health(link, found, source)
    if not stat.S_ISREG(found.st_mode):
        return LinkHealth.REPLACED
    original = _lstat(source)
    if link.kind is LinkKind.HARDLINK:
        if original is not None and os.path.samestat(found, original):
            return LinkHealth.OK
        if not _is_as_made(link, found):
            return LinkHealth.REPLACED
        return LinkHealth.SOURCE_GONE if original is None else LinkHealth.BROKEN
    if not _is_as_made(link, found) and not _has_digest(link, found):
        return LinkHealth.REPLACED
    is_written = link.kind is LinkKind.GENERATED
    return LinkHealth.OK if is_written or original is not None else LinkHealth.SOURCE_GONE


def _is_well(link: Link, library_root: Path) -> bool:
    """Whether it is plainly as it should be. Text and two or three calls: the case of thousands."""
    try:
        found = os.lstat(link.target)
        original = os.lstat(f"{library_root}/{link.source}")
        if not stat.S_ISREG(original.st_mode):
            return False
        if link.kind is LinkKind.HARDLINK:
            return os.path.samestat(found, original)
        if link.kind is not LinkKind.SYMLINK or not _is_as_made(link, found):
            return False
        # Nobody can write to a symlink: it still says what we made it say.
        return stat.S_ISLNK(found.st_mode) and os.path.samestat(link.target.stat(), original)
    except OSError:
        return False


def _symlink_health(link: Link, found: os.stat_result, source: Path) -> LinkHealth:
    if not stat.S_ISLNK(found.st_mode):
        return LinkHealth.REPLACED
    if _end_of(link.target) == source.parent.resolve() / source.name:
        return LinkHealth.SOURCE_GONE if _lstat(source) is None else LinkHealth.OK
    return LinkHealth.BROKEN if _is_as_made(link, found) else LinkHealth.REPLACED


def _end_of(target: Path) -> Path:
    """What a symlink says it leads to; the last name is not followed, be it a link itself."""
    end = target.parent / target.readlink()
    return end.parent.resolve() / end.name


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_as_made(link: Link, found: os.stat_result) -> bool:
    # Not the device: its number changes from one mount to the next. The time that a file was
    # written goes with its inode, which a file system hands out again.
    made = (link.inode, link.mtime_ns)
    is_size_kept = link.kind is LinkKind.SYMLINK or found.st_size == link.size_bytes
    return (found.st_ino, found.st_mtime_ns) == made and is_size_kept


def _has_digest(link: Link, found: os.stat_result) -> bool:
    if found.st_size != link.size_bytes:
        return False
    digest = hashlib.sha256()
    with link.target.open("rb") as file:
        while data := file.read(READ_BYTES):
            digest.update(data)
    return digest.hexdigest() == link.sha256
