"""The steps of putting a hard link in the place of an equal file, and of going back."""

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from modelcellar.dedupe_records import DiskFile
from modelcellar.io import hashing
from modelcellar.io.attributes import Attributes
from modelcellar.io.cloning import swap_names

__all__ = ["Swap", "changed", "put_in_place", "separate", "settle_one"]


@dataclass(frozen=True, slots=True)
class Swap:
    """One name that was of a file of its own and became a name of ``keep``.

    ``aside`` is where the new name is made and where the old file stands for a moment.
    """

    keep: Path
    target: Path
    aside: Path
    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    attributes: Attributes
    """Permissions, owner, times and extended attributes of the old file."""

    def is_kept_file(self, path: Path) -> bool:
        """Whether ``path`` is a name of the kept file."""
        try:
            now = path.lstat()
        except OSError:
            return False
        if now.st_ino != self.inode:
            return False
        # The number of a device changes from one mount to the next. Then the file is told by its
        # size and time, or by the kept name, since others may have written into it.
        is_as_kept = (now.st_size, now.st_mtime_ns) == (self.size_bytes, self.mtime_ns)
        return now.st_dev == self.device or is_as_kept or self._is_keep(now)

    def _is_keep(self, found: os.stat_result) -> bool:
        try:
            return os.path.samestat(found, self.keep.lstat())
        except OSError:
            return False

    def is_kept_content(self, path: Path) -> bool:
        """Whether it is, and nobody has written into that file since."""
        if not self.is_kept_file(path):
            return False
        now = path.lstat()
        return (now.st_size, now.st_mtime_ns) == (self.size_bytes, self.mtime_ns)


def changed(path: Path) -> OSError:
    """The error for a file that is not what it was when it was looked at."""
    return OSError(errno.ESTALE, "changed since it was read; nothing was done", os.fspath(path))


def put_in_place(aside: Path, target: Path, old: DiskFile) -> None:
    """Let the new name take the place of the old file, which goes only if nobody wrote into it."""
    try:
        swap_names(aside, target)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        if not old.is_unchanged(target):
            raise changed(target) from None
        aside.replace(target)
        return
    # By now no one can open the old file by its name; who had it open may have written.
    if not old.is_unchanged(aside):
        swap_names(aside, target)
        raise changed(target)
    aside.unlink()


def settle_one(swap: Swap) -> str | None:
    """Take back a swap that was cut short, unless it was as good as done.

    Returns what it is now, or ``None`` where it is not clear any more what is what.
    """
    if not os.path.lexists(swap.aside):
        # After its last step, or before its first.
        return "done" if swap.is_kept_file(swap.target) else "undone"
    if swap.is_kept_file(swap.aside):
        if swap.aside.lstat().st_nlink == 1:
            return None
        swap.aside.unlink()
        return "undone"
    # The old file. It goes back where it was, unless somebody has written through the new name.
    if not swap.is_kept_content(swap.target) or swap.target.lstat().st_nlink == 1:
        return None
    swap.aside.replace(swap.target)
    hashing.sync_folder(swap.target.parent)
    return "undone"


def separate(swap: Swap) -> None:
    """Put a file of its own in the place of the link, with what the file had that stood there."""
    before = swap.target.lstat()
    swap.aside.unlink(missing_ok=True)  # a copy of an undo that was cut short
    try:
        # Not by way of a name that no record knows: what is cut short is tidied by the next undo.
        hashing.copy_with_hashing(swap.target, swap.aside, publish=False)
        with swap.aside.open("rb") as copy:
            os.fsync(copy.fileno())
        swap.attributes.put_on(swap.aside)
        now = swap.target.lstat()
        if (now.st_ino, now.st_mtime_ns) != (before.st_ino, before.st_mtime_ns):
            raise changed(swap.target)
        swap.aside.replace(swap.target)
    except OSError:
        swap.aside.unlink(missing_ok=True)
        raise
    hashing.sync_folder(swap.target.parent)
