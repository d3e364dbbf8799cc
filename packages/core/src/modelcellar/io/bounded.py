"""Reads what other programs left on disk within bounds: anything may lie there, of any size."""

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

__all__ = ["MAX_BYTES", "entries", "is_folder", "is_link", "read_bytes"]

MAX_BYTES = 4 << 20
MAX_LISTED = 50_000


def read_bytes(path: Path, *, limit_bytes: int = MAX_BYTES) -> bytes | None:
    """All bytes of a regular file; ``None`` if there is none, or it is longer than the limit."""
    # Without O_NONBLOCK opening a named pipe would wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0))
    except (OSError, ValueError):
        # ValueError: a name with a NUL, which no file has.
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > limit_bytes:
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            # It may have grown since.
            data = file.read(limit_bytes + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return data if len(data) <= limit_bytes else None


def entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, by name, but not without end; nothing if it cannot be listed."""
    try:
        with os.scandir(folder) as found:
            yield from sorted(islice(found, MAX_LISTED), key=lambda entry: entry.name)
    except (OSError, ValueError):
        return


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder and no link to one."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def is_link(entry: os.DirEntry[str]) -> bool:
    """Whether it is a symbolic link."""
    try:
        return entry.is_symlink()
    except OSError:
        return False
