"""Checks of the library's own folders: is it there, is it whole, may it be read and changed?"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from modelcellar import naming
from modelcellar.doctor.findings import Finding, Status, named
from modelcellar.doctor.patient import Patient
from modelcellar.errors import CellarError, LibraryNotFoundError
from modelcellar.layout import FOLDERS, make_folders

__all__ = ["check_folders", "check_library", "check_permissions"]

_MOUNT_IT = (
    "Connect and mount the disk that it is on, or name the right folder with --library "
    "(see: cellar config show)."
)


def check_library(patient: Patient) -> Iterator[Finding]:
    """``library.json``, which makes the folder a library and holds its id."""
    root, error = patient.root, patient.error
    if error is None:
        yield Finding("library", Status.OK, f"library {patient.library_id}")
        return
    shown = naming.display(str(root))
    if not root.exists():
        yield Finding("library", Status.ERROR, f"there is no folder {shown}", _MOUNT_IT)
    elif root.is_dir() and _is_empty(root):
        text = f"{shown} is empty, as a mount point is when nothing is mounted there"
        yield Finding("library", Status.ERROR, text, _MOUNT_IT)
    elif isinstance(error, LibraryNotFoundError) and patient.has_folders:
        yield Finding(
            "library",
            Status.ERROR,
            f"library.json is missing from {shown}; all else of a library is there",
            "Restore it from a backup. Without one: cellar init with this folder makes a new one; "
            "no model is lost, but links to it in applications are then no longer known.",
        )
    elif isinstance(error, CellarError):
        yield Finding("library", Status.ERROR, naming.display(error.message), error.hint)
    else:
        text = f"{shown}: library.json cannot be read: {error.strerror or error}"
        yield Finding("library", Status.ERROR, text, "Check the permissions and the disk.")


def check_folders(patient: Patient) -> Iterator[Finding]:
    """The sub-folders: there, folders, and on one file system, or nothing can be published."""
    missing: list[str] = []
    no_folders: list[str] = []
    elsewhere: list[str] = []
    device = patient.root.stat().st_dev
    for name in FOLDERS:
        path = patient.root / name
        try:
            found = path.stat()
        except FileNotFoundError:
            # A link that leads nowhere is in the way of a new folder.
            (no_folders if path.is_symlink() else missing).append(name)
            continue
        if not stat.S_ISDIR(found.st_mode):
            no_folders.append(name)
        elif found.st_dev != device:
            elsewhere.append(name)
    if no_folders:
        text = f"something else stands where a folder should be: {named(no_folders)}"
        fix = "Move it out of the library; the next command makes the folder anew."
        yield Finding("folders", Status.ERROR, text, fix, tuple(no_folders))
    if elsewhere:
        text = f"on another file system than the library itself: {named(elsewhere)}"
        fix = "Keep the library on one disk: nothing can be moved into place between two."
        yield Finding("folders", Status.ERROR, text, fix, tuple(elsewhere))
    if missing:
        yield Finding(
            "folders",
            Status.WARNING,
            f"folders are missing: {named(missing)}",
            "They are made anew by the next command that changes something.",
            tuple(missing),
            lambda: _make_folders(patient.root),
        )
    if not (missing or no_folders or elsewhere):
        yield Finding("folders", Status.OK, f"all {len(FOLDERS)} folders are there")


def check_permissions(patient: Patient) -> Iterator[Finding]:
    """What this user may do: change the library, and read every file."""
    places = [patient.root, *(patient.root / name for name in FOLDERS)]
    there = [path for path in places if path.is_dir()]
    closed = [_short(patient, path) for path in there if not os.access(path, os.R_OK | os.X_OK)]
    fixed = [_short(patient, path) for path in there if not os.access(path, os.W_OK | os.X_OK)]
    unread = [
        f"{model_id}/{file.path}"
        for model_id, paper in patient.papers.items()
        for file in paper.manifest.files
        if _is_forbidden(patient.root / "models" / model_id / file.path)
    ]
    if closed or unread:
        shown = [naming.display(name) for name in (*closed, *unread)]
        text = f"this user may not read {named(shown)}"
        fix = "Run cellar as the owner of the library, or give it back to yourself (chown -R)."
        yield Finding("permissions", Status.ERROR, text, fix, tuple(shown))
    if fixed:
        text = f"nothing can be changed: this user may not write to {named(fixed)}"
        fix = "Good if the library is only to be read; else see who owns it and how it is mounted."
        yield Finding("permissions", Status.WARNING, text, fix, tuple(fixed))
    if not (closed or unread or fixed):
        yield Finding("permissions", Status.OK, "everything can be read and changed")


def _make_folders(root: Path) -> str:
    make_folders(root)
    return "made the missing folders"


def _short(patient: Patient, path: Path) -> str:
    return naming.display(path.name if path != patient.root else str(path))


def _is_forbidden(path: Path) -> bool:
    """Whether a file is there and may not be read; one that is missing is another's business."""
    return path.exists() and not os.access(path, os.R_OK)


def _is_empty(root: Path) -> bool:
    try:
        return not any(root.iterdir())
    except OSError:
        return False
