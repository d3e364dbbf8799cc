"""Checks of what changes leave behind: staging folders, the trash, the journal."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from modelcellar import journal, naming
from modelcellar.doctor.findings import Finding, Status, counted, named
from modelcellar.doctor.patient import Patient
from modelcellar.downloads.shelf import Shelf
from modelcellar.errors import LibraryBusyError, LibraryFormatError
from modelcellar.io.locking import try_lock
from modelcellar.io.trees import tree_bytes
from modelcellar.layout import DOWNLOADS
from modelcellar.store import Store

__all__ = ["check_downloads", "check_journal", "check_staging", "check_trash"]

OLD_TRASH = timedelta(days=30)
OLD_DOWNLOADS = timedelta(days=30)


def check_staging(patient: Patient) -> Iterator[Finding]:
    """Work in progress, and what was left by processes that died."""
    staging = patient.root / "staging"
    if not (names := {path.stem for path in staging.iterdir()} - {DOWNLOADS}):
        yield Finding("staging", Status.OK, "nothing is under way, and nothing was left behind")
        return
    try:
        dead = _dead(patient, sorted(names))
    except LibraryBusyError as error:
        yield Finding("staging", Status.SKIPPED, error.message, error.hint)
        return
    except OSError as error:
        text = f"whether {counted(len(names), 'change')} under way still cannot be told: {error}"
        yield Finding("staging", Status.SKIPPED, text, "See the permissions.")
        return
    alive = len(names) - len(dead)
    if alive:
        yield Finding(
            "staging", Status.OK, f"{counted(alive, 'change')} under way by other processes"
        )
    if dead:
        size_bytes = sum(tree_bytes(staging / name) for name in dead)
        yield Finding(
            "staging",
            Status.WARNING,
            f"{counted(len(dead), 'change')} cut short, with {size_bytes:,} bytes: {named(dead)}",
            "The next command that changes something finishes or tidies them; so does --fix.",
            tuple(dead),
            lambda: _recover(patient),
        )


def check_downloads(patient: Patient) -> Iterator[Finding]:
    """Downloads that were begun and not finished, and the space that they hold."""
    folder = patient.root / "staging" / DOWNLOADS
    notes = list(Shelf(patient.root).notes())
    if not notes:
        yield Finding("downloads", Status.OK, "no download is unfinished")
        return
    targets = tuple(sorted({naming.display(note.target) for note in notes}))
    text = (
        f"{counted(len(targets), 'download')} unfinished, with {tree_bytes(folder):,} bytes of "
        f"space: {named(targets)}"
    )
    oldest = min(note.began_at for note in notes)
    if oldest > journal.timestamp(patient.now - OLD_DOWNLOADS):
        yield Finding("downloads", Status.OK, f"{text}; cellar status tells more")
        return
    fix = "Go on with it, or get the space back: cellar download TARGET --discard."
    yield Finding("downloads", Status.WARNING, f"{text}, the oldest of {oldest[:10]}", fix, targets)


def check_trash(patient: Patient) -> Iterator[Finding]:
    """How much is in the trash, and for how long."""
    folders = [path for path in (patient.root / "trash").iterdir() if path.is_dir()]
    if not folders:
        yield Finding("trash", Status.OK, "the trash is empty")
        return
    size_bytes = sum(map(tree_bytes, folders))
    oldest = patient.now.timestamp() - min(path.stat().st_mtime for path in folders)
    days = int(oldest // 86_400)
    text = f"{size_bytes:,} bytes in the trash, of {counted(len(folders), 'change')}"
    if oldest < OLD_TRASH.total_seconds():
        yield Finding("trash", Status.OK, text)
        return
    text += f", the oldest {days:,} days ago"
    fix = f"To get the space back: cellar purge --older-than {OLD_TRASH.days}d (for good)."
    yield Finding("trash", Status.WARNING, text, fix)


def check_journal(patient: Patient) -> Iterator[Finding]:
    """Can every entry be read? One that cannot is in the way of ``cellar undo``."""
    garbled: list[Path] = []
    newer: list[Path] = []
    count = 0
    for path in sorted((patient.root / "journal").glob("*.json")):
        count += 1
        try:
            entry = journal.decode(data := path.read_bytes(), str(path))
        except LibraryFormatError:
            (newer if _is_newer(data) else garbled).append(path)
        except OSError:
            garbled.append(path)
        else:
            if entry.id != path.stem or not all(map(naming.is_model_id, entry.model_ids)):
                garbled.append(path)
    if garbled:
        names = tuple(naming.display(path.name) for path in garbled)
        yield Finding(
            "journal",
            Status.ERROR,
            f"entries that cannot be read keep cellar undo from working: {named(names)}",
            "Restore them from a backup; --fix renames them to NAME.damaged.",
            names,
            lambda: _set_aside(patient, garbled),
        )
    if newer:
        names = tuple(naming.display(path.name) for path in newer)
        text = f"entries of a newer version: {named(names)}"
        yield Finding("journal", Status.WARNING, text, "Update modelcellar to undo them.", names)
    if not (garbled or newer):
        yield Finding("journal", Status.OK, f"{counted(count, 'entry', 'entries')} readable")


def _dead(patient: Patient, names: list[str]) -> list[str]:
    """Those of the staging folders whose process died.

    Under the library's lock: to try the lock of a change that just begins would take it from it.
    """
    held = try_lock(patient.root / ".lock", min(1.0, patient.settings.lock_timeout_s))
    if held is None:
        raise LibraryBusyError(
            "another process is changing the library", "Wait for it and run cellar doctor again."
        )
    dead = []
    try:
        for name in names:
            own = patient.root / "staging" / f"{name}.lock"
            was_there = own.exists()
            free = try_lock(own, 0)
            if free is not None:
                dead.append(name)
                free.release()
                if not was_there:
                    own.unlink(missing_ok=True)
    finally:
        held.release()
    return dead


def _recover(patient: Patient) -> str:
    with Store(patient.root, lock_timeout_s=patient.settings.lock_timeout_s).change():
        pass
    return "finished or tidied what was cut short"


def _is_newer(data: bytes) -> bool:
    try:
        number = json.loads(data)["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    return isinstance(number, int) and number > journal.FORMAT


def _set_aside(patient: Patient, paths: list[Path]) -> str:
    with Store(patient.root, lock_timeout_s=patient.settings.lock_timeout_s).lock():
        for path in paths:
            target = path.with_name(f"{path.name}.damaged")
            if path.exists() and not target.exists():
                path.rename(target)
    return f"renamed {counted(len(paths), 'entry', 'entries')} to NAME.damaged"
