"""The moment a library is at its new place: which of two folders is the library.

``library.json`` says so. The old one is renamed first and the new one published last, so that at no
moment both folders are the library; a process that dies between the two leaves none, and the next
run goes on.
"""

import json
import os
from pathlib import Path

from modelcellar.errors import UsageError
from modelcellar.io import hashing
from modelcellar.io.trees import remove_tree, write_file
from modelcellar.layout import BEGUN_FILE, FOLDERS, MOVED_FILE, README_FILE, read_library_id

__all__ = ["begin", "delete_old", "finish", "has_begun", "is_moved", "switch_over", "take_back"]


def begin(root: Path, target: Path, library_id: str) -> None:
    """Mark ``target`` as the future place of this library."""
    target.mkdir(parents=True, exist_ok=True)
    if not has_begun(target, library_id):
        document = {"format": 1, "library_id": library_id, "from": os.fspath(root)}
        _write(target / BEGUN_FILE, json.dumps(document).encode() + b"\n")
    hashing.sync_folder(target.parent)


def has_begun(target: Path, library_id: str) -> bool:
    """Whether an earlier run began to move this library to ``target``."""
    return _value(target / BEGUN_FILE, "library_id") == library_id


def is_moved(root: Path, target: Path) -> bool:
    """Whether the library that was at ``root`` has gone to ``target``, or was about to."""
    if (root / "library.json").exists():
        return False
    return _value(root / MOVED_FILE, "moved_to") == os.fspath(target)


def switch_over(root: Path, target: Path, *, is_writable: bool) -> None:
    """Make ``target`` the library; the old folder is only marked, if it can be.

    Raises:
        OSError: the old folder is the library still.
    """
    data = (root / "library.json").read_bytes()
    if is_writable:
        document = {**json.loads(data), "moved_to": os.fspath(target)}
        _write(root / MOVED_FILE, json.dumps(document).encode() + b"\n")
        (root / "library.json").unlink()
        hashing.sync_folder(root)
    try:
        _write(target / "library.json", data)
    except OSError:
        if is_writable:
            take_back(root)
        raise
    finish(target)


def finish(target: Path) -> None:
    """Tidy the new place after it has become the library."""
    (target / BEGUN_FILE).unlink(missing_ok=True)
    hashing.sync_folder(target)


def take_back(root: Path) -> None:
    """Make the old folder the library again, after a switch that did not come to its end."""
    document = json.loads((root / MOVED_FILE).read_bytes())
    document.pop("moved_to")
    _write(root / "library.json", json.dumps(document).encode() + b"\n")
    (root / MOVED_FILE).unlink()
    hashing.sync_folder(root)


def delete_old(root: Path, target: Path) -> None:
    """Delete what was moved, and nothing else that lies there.

    Raises:
        UsageError: ``root`` is not what was left behind by moving the library at ``target``.
    """
    library_id = read_library_id(target)
    if not is_moved(root, target) or _value(root / MOVED_FILE, "library_id") != library_id:
        raise UsageError(
            f"{root} is not marked as moved to {target}, so nothing in it is deleted",
            "Look at both folders; delete the old one by hand.",
        )
    for name in FOLDERS:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
    for name in (README_FILE, ".lock", MOVED_FILE):
        (root / name).unlink(missing_ok=True)
    if not any(root.iterdir()) and not os.path.ismount(root):
        root.rmdir()


def _write(path: Path, data: bytes) -> None:
    staged = path.with_name(f".{path.name.lstrip('.')}.partial")
    hashing.publish([(write_file(staged, data), path)], replace=True)


def _value(path: Path, key: str) -> object:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return document.get(key) if isinstance(document, dict) else None
