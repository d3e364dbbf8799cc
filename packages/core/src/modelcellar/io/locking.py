"""Locks between processes. They save work; safety comes from how files are published."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["try_lock"]


def try_lock(path: Path, timeout_s: float) -> "BaseFileLock | None":
    """Lock the file ``path``, waiting up to ``timeout_s`` seconds; ``None`` when others hold it."""
    import filelock  # half of a search's start-up time, and searching takes no lock

    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=timeout_s)
    except filelock.Timeout:
        return None
    return lock
