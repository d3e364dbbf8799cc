"""The small files of a library, and what of an earlier run is in the new one and not in the old."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from modelcellar.io import hashing
from modelcellar.io.trees import remove_tree, write_file
from modelcellar.relocate.inventory import Inventory

__all__ = ["bring_papers", "remove_strangers"]


def bring_papers(papers: Sequence[str], source: Path, target: Path, staging: Path) -> None:
    """Copy those small files that are not there, or not the same, and publish them together."""
    items = []
    for number, place in enumerate(papers):
        data = (source / place).read_bytes()
        final = target / place
        if not final.is_file() or final.read_bytes() != data:
            staged = staging / "papers" / str(number)
            staged.parent.mkdir(parents=True, exist_ok=True)
            items.append((write_file(staged, data), final))
    hashing.publish(items, replace=True)
    for entry in _folders(source / "trash"):
        # Since when it is in the trash is told by the folder.
        found, copy = entry.stat(), target / "trash" / entry.name
        if copy.is_dir():
            os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))


def remove_strangers(inventory: Inventory, source: Path, target: Path) -> None:
    """Take away what an earlier run brought and the old library does not have any more."""
    units = {unit.place for unit in inventory.units}
    papers = set(inventory.papers)
    entries = _folders(target / "trash")
    for folder in (target / "models", *entries):
        for path in _folders(folder):
            if path.relative_to(target).as_posix() not in units:
                remove_tree(path)
    for folder in (target / "manifests", target / "journal", *entries):
        for path in _files(folder):
            if path.relative_to(target).as_posix() not in papers:
                path.unlink()
    for entry in entries:
        if not (source / "trash" / entry.name).exists():
            remove_tree(entry)


def _folders(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_dir()]


def _files(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if not path.is_dir()]


def _entries(folder: Path) -> Iterable[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
