"""Links of an application whose folder was moved: found again by inode, by text, or by digest."""

import hashlib
import stat
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from modelcellar.io.link_health import is_ours
from modelcellar.link_records import Link, LinkHealth, LinkKind

__all__ = ["found_again", "moved_to"]

_OURS = (LinkHealth.OK, LinkHealth.BROKEN, LinkHealth.SOURCE_GONE)


def moved_to(path: Path, old: Path, new: Path) -> Path:
    """Where ``path`` is now that the folder ``old`` is called ``new``."""
    return new / path.relative_to(old) if path.is_relative_to(old) else path


def found_again(rows: Iterable[Link], old: Path, new: Path, library: Path) -> list[Link]:
    """Those of the links below ``old`` that stand below ``new``, as they are there.

    A move to another disk gives everything a new inode and makes files of hard links. A symlink is
    ours if it ends as we wrote it, a file if it has the digest of the library's file.

    Raises:
        OSError: one cannot be read.
    """
    found = []
    for row in rows:
        there = replace(row, target=moved_to(row.target, old, new))
        health = is_ours(there, library)
        if health is LinkHealth.REPLACED and _is_same(there):
            health = LinkHealth.BROKEN
        if health in _OURS:
            status = there.target.lstat()
            found.append(
                replace(
                    there,
                    device=status.st_dev,
                    inode=status.st_ino,
                    mtime_ns=status.st_mtime_ns,
                )
            )
    return found


def _is_same(link: Link) -> bool:
    status = link.target.lstat()
    if stat.S_ISLNK(status.st_mode):
        is_end = f"/{link.target.readlink()}".endswith(f"/{link.source}")
        return link.kind is LinkKind.SYMLINK and is_end
    if not stat.S_ISREG(status.st_mode) or status.st_size != link.size_bytes:
        return False
    with link.target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == link.sha256
