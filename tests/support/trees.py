"""What a folder looks like, as a value that can be compared before and after."""

import os
import stat
from pathlib import Path

TreeEntry = tuple[str, int, bytes]


def tree(folder: Path, *, without: frozenset[str] = frozenset()) -> dict[bytes, TreeEntry]:
    """Path -> kind, permission bits and content of everything below ``folder``.

    ``without`` names entries right below ``folder`` that are left out.
    """
    found: dict[bytes, TreeEntry] = {}
    for parent, folders, names in os.walk(folder):
        if Path(parent) == folder:
            folders[:] = [name for name in folders if name not in without]
            names = [name for name in names if name not in without]
        for name in [*folders, *names]:
            path = Path(parent, name)
            found[os.fsencode(path.relative_to(folder))] = _entry(path)
    return found


def open_to_all(path: Path) -> None:
    """Let everybody reach ``path``: its folders up to that of all temporary files."""
    for folder in path.parents:
        found = folder.stat()
        if found.st_mode & stat.S_ISVTX or found.st_uid != os.geteuid():
            return
        folder.chmod(0o755)


def stamps(folder: Path) -> dict[bytes, tuple[int, int, int]]:
    """Path -> inode, mtime and ctime in ns: shows writing even where the bytes stay the same."""
    found = {}
    for parent, folders, names in os.walk(folder):
        for name in [".", *folders, *names]:
            status = os.lstat(Path(parent, name))
            key = os.fsencode(Path(parent, name).relative_to(folder))
            found[key] = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return found


def _entry(path: Path) -> TreeEntry:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return ("link", 0, os.fsencode(path.readlink()))
    if stat.S_ISDIR(mode):
        return ("folder", stat.S_IMODE(mode), b"")
    return ("file", stat.S_IMODE(mode), path.read_bytes())
