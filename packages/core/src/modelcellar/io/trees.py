"""Files and folders that are ours: written, write-protected, removed. Links are never followed."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

__all__ = ["chmod", "remove_tree", "seal", "tree_bytes", "write_file"]

MOST_TRIES = 1000


def write_file(path: Path, data: bytes) -> Path:
    """Write a small file; it is not durable until it is published.

    Raises:
        OSError: with errno and file name.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        error.filename = os.fspath(path)  # a failed write names no file
        raise
    return path


def seal(staged: Path) -> None:
    """Write-protect what lies in a staged folder; the folder itself must stay movable.

    A file that has another name somewhere is also that of whoever gave it that name, and its
    permissions are left: hard links have them in common.
    """
    for folder, subfolders, names in os.walk(staged):
        for name in names:
            path = Path(folder, name)
            if path.lstat().st_nlink == 1:
                chmod(path, 0o444)
        for name in subfolders:
            chmod(Path(folder, name), 0o555)


def chmod(path: Path, mode: int) -> None:
    """Set the permission bits, where there are any."""
    # File systems without permission bits (exFAT, some network mounts) refuse; that is no loss.
    with suppress(PermissionError):
        path.chmod(mode)


def tree_bytes(path: Path) -> int:
    """Bytes of all files below a folder of ours."""
    return sum(
        Path(folder, name).lstat().st_size for folder, _, names in os.walk(path) for name in names
    )


def remove_tree(path: Path) -> None:
    """Remove a folder of ours with everything in it, write-protected or not.

    A copy that was cut short may be removing its own files there at this moment.
    """
    for tries_left in reversed(range(MOST_TRIES)):
        try:
            for folder, _, _ in os.walk(path):
                chmod(Path(folder), 0o700)
            shutil.rmtree(path)
        except FileNotFoundError:
            # One that vanished before its turn; the next may do so too, but each only once.
            if not tries_left and path.exists():
                raise
        if not path.exists():
            return
