"""Reading the attributes of sysfs: small files, any of which may be missing."""

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["entries", "line", "number", "text"]


def text(path: Path) -> str:
    """What an attribute says; empty when it is not there."""
    return line(path).strip()


def line(path: Path) -> str:
    """The same with spaces at its ends, which the name of a file may have."""
    try:
        return os.fsdecode(path.read_bytes()).removesuffix("\n")
    except OSError:
        return ""


def number(path: Path) -> int | None:
    """The number that an attribute begins with: an array that is reshaped says ``3 (2)``."""
    first, *_ = text(path).split() or [""]
    return int(first) if first.isdecimal() else None


def entries(folder: Path) -> Iterator[Path]:
    """What lies in a folder; nothing when it is not there."""
    try:
        yield from folder.iterdir()
    except OSError:
        return
