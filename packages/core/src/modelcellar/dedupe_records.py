"""What a search for equal files finds and does, as frozen values."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from modelcellar.records import Digests, ErrorInfo

__all__ = [
    "OWN_PREFIX",
    "DedupeAction",
    "DedupeGroup",
    "DedupeKind",
    "DedupeReport",
    "DiskFile",
]

OWN_PREFIX = ".modelcellar-"
"""What our own unfinished files in folders of the user begin with."""


class DedupeKind(StrEnum):
    """What happens to a file that equals the one that is kept.

    ``share``: it keeps being a file of its own and shares the data. ``link``: its names become
    names of the kept file. ``shared``: both share their data already. ``skip``: nothing, for the
    reason that is given. ``failed``: nothing was changed, though it was to be.
    """

    SHARE = "share"
    LINK = "link"
    SHARED = "shared"
    SKIP = "skip"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DiskFile:
    """One file on a disk, under all its names that were met; those in the library apart.

    ``link_count`` is how many names it has in all.
    """

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    link_count: int
    disk_bytes: int
    names: tuple[Path, ...]
    library_names: tuple[Path, ...] = ()

    @property
    def path(self) -> Path:
        """One of its names; that in the library if it has one."""
        return (*self.library_names, *self.names)[0]

    def is_unchanged(self, path: Path) -> bool:
        """Whether ``path`` is still a name of this file, with the content that it had."""
        now = path.lstat()
        wanted = (self.device, self.inode, self.size_bytes, self.mtime_ns)
        return (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) == wanted


@dataclass(frozen=True, slots=True)
class DedupeAction:
    """What happens, or did, to one file. ``reclaims_bytes`` is what its disk gets back by it."""

    file: DiskFile
    action: DedupeKind
    reclaims_bytes: int = 0
    reason: str = ""
    error: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class DedupeGroup:
    """Files of one content on one disk. ``digests`` are ``None`` where the disk alone told it."""

    size_bytes: int
    digests: Digests | None
    keep: DiskFile
    actions: tuple[DedupeAction, ...]


@dataclass(frozen=True, slots=True)
class DedupeReport:
    """What deduplication would do, or did where it ``is_applied``.

    ``files`` counts each file once, however many names it has. ``entry_id`` names the journal of
    hard links that were made, with which they can be taken back.
    """

    groups: tuple[DedupeGroup, ...]
    files: int
    bytes_read: int
    problems: tuple[tuple[Path, ErrorInfo], ...] = ()
    is_applied: bool = False
    entry_id: str | None = None
    seconds: float = 0.0

    @property
    def reclaims_bytes(self) -> int:
        """Bytes that the disks get back."""
        return sum(one.reclaims_bytes for group in self.groups for one in group.actions)
