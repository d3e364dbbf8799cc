"""Moving a library: what may be moved where, how, and in which order."""

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from modelcellar.config import Settings
from modelcellar.errors import LibraryBusyError, UsageError
from modelcellar.io import hashing
from modelcellar.io.locking import try_lock
from modelcellar.io.manager import IoManager
from modelcellar.io.surroundings import nearest_existing
from modelcellar.io.trees import remove_tree
from modelcellar.io.validator import raise_errors, validate_mapping_target
from modelcellar.layout import DOWNLOADS, make_folders, read_library_id
from modelcellar.links.ledger import ledger_folder
from modelcellar.relocate import switching
from modelcellar.relocate.inventory import Inventory, not_arrived, take_inventory
from modelcellar.relocate.transfer import STAGED, Transfer, remaining_bytes
from modelcellar.reports import Progress, RelocateReport
from modelcellar.store import Store

__all__ = ["RelocateOptions", "relocate"]

_IGNORED = frozenset({"lost+found", ".relocating.json.partial"})
"""What an empty file system has in it, and what a run leaves that was killed at its very start."""


@dataclass(frozen=True, slots=True)
class RelocateOptions:
    """How to move.

    ``copy``: copy also where the folder could simply be renamed. ``with_damaged``: files that are
    not what is on record come along as they are, and do not keep the library from moving.
    ``delete_old``: delete what was copied once the new place is the library.
    """

    copy: bool = False
    with_damaged: bool = False
    verify: hashing.Verify = "memory"
    delete_old: bool = False
    dry_run: bool = False


def relocate(
    root: Path,
    target: Path,
    settings: Settings,
    options: RelocateOptions = RelocateOptions(),
    *,
    progress: Callable[[Progress], object] | None = None,
) -> RelocateReport:
    """Move the library at ``root`` to ``target``, a new or empty folder.

    On one disk the folder is renamed. Else everything is copied, each digest computed over what is
    written and compared with the one on record; only when all is there and right ``target`` becomes
    the library. The old folder stays as it is, marked so that no command takes it for the library.
    A run that was cut short is finished by the next one, which reads what is there and copies the
    rest.

    Raises:
        UsageError: ``target`` holds other things, or one folder lies in the other.
        LibraryNotFoundError, LibraryMovedError: there is no library at ``root`` (any more).
        LibraryBusyError: another process did not let go of the library in time.
        SourceRefusedError: nothing may be made at ``target``.
        OSError: it is full, or a disk fails. The library is where it was.
    """
    began = time.monotonic()
    root, target = root.resolve(), target.resolve()
    _check_apart(root, target)
    report = RelocateReport(os.fspath(root), os.fspath(target), dry_run=options.dry_run)
    has_arrived = (target / "library.json").exists()
    if switching.is_moved(root, target):
        if has_arrived:
            return _after(replace(report, how="moved before"), root, target, options)
        if not options.dry_run:
            switching.take_back(root)
    store = Store(root, lock_timeout_s=settings.lock_timeout_s)
    begun = _check_empty(target, store.library_id)
    if begun and has_arrived:
        # It may have changed since: nothing is ever copied into a library.
        return _after(replace(report, how="moved before"), root, target, options)
    if not options.dry_run and store.is_writable():
        with store.change():
            pass  # what other processes left half-made is finished or tidied
    inventory = take_inventory(root)
    report = replace(
        report,
        models=inventory.models,
        size_bytes=inventory.size_bytes,
        left=inventory.left,
        has_links=(ledger_folder(store.library_id) / "links.db").exists(),
    )
    if not (options.copy or begun) and _could_rename(root, target):
        if options.dry_run:
            return replace(report, how="renamed")
        if _rename(store, target):
            return replace(report, how="renamed", switched=True, seconds=_since(began))
    report = replace(report, how="copied")
    _check_room(inventory, target, settings)
    if options.dry_run:
        return replace(report, damaged=inventory.lacking)
    report = _copy(store, target, settings, options, progress, report)
    return _after(replace(report, seconds=_since(began)), root, target, options)


def _copy(
    store: Store,
    target: Path,
    settings: Settings,
    options: RelocateOptions,
    progress: Callable[[Progress], object] | None,
    report: RelocateReport,
) -> RelocateReport:
    root = store.root
    transfer = Transfer(
        root,
        target,
        disks=IoManager(settings.drive),
        reflink="auto" if settings.reflink == "auto" else "never",
        verify=options.verify,
        with_damaged=options.with_damaged,
        on_progress=progress,
    )
    switching.begin(root, target, store.library_id)
    make_folders(target)
    with _alone(target):
        # Without the lock of the library, for this may take hours: what is published stays.
        transfer.bring_units(take_inventory(root))
        with _held(store):
            inventory, may_switch = _finish(transfer, store, target, options)
    return replace(
        report,
        models=inventory.models,
        size_bytes=inventory.size_bytes,
        left=inventory.left,
        copied_bytes=transfer.copied_bytes,
        kept_bytes=transfer.kept_bytes,
        damaged=transfer.damaged,
        switched=may_switch,
    )


def _finish(
    transfer: Transfer, store: Store, target: Path, options: RelocateOptions
) -> tuple[Inventory, bool]:
    """Bring what has changed meanwhile, and switch over if all is right."""
    inventory = take_inventory(store.root)
    transfer.bring(inventory)
    may_switch = options.with_damaged or transfer.is_whole
    if may_switch:
        if (target / STAGED).exists():
            remove_tree(target / STAGED)
        switching.switch_over(store.root, target, is_writable=store.is_writable())
    return inventory, may_switch


def _after(
    report: RelocateReport, root: Path, target: Path, options: RelocateOptions
) -> RelocateReport:
    """What is left to do once the new place is the library."""
    if report.how == "moved before":
        has_links = (ledger_folder(read_library_id(target)) / "links.db").exists()
        report = replace(report, switched=True, has_links=has_links)
        if not options.dry_run:
            switching.finish(target)
    marked = switching.is_moved(root, target)
    report = replace(report, old_is_kept=root.exists(), old_is_marked=marked)
    if report.how == "moved before" and options.delete_old and marked:
        # What the earlier run found is not known any more.
        inventory = take_inventory(root)
        damaged = tuple(not_arrived(inventory, root, target))
        report = replace(report, left=inventory.left, damaged=damaged)
    if not (report.switched and options.delete_old and marked) or options.dry_run:
        return report
    if report.left or report.damaged:
        return report  # something was not copied, and this is the only place where it is
    switching.delete_old(root, target)
    return replace(report, old_is_kept=root.exists(), old_is_marked=False)


def _check_apart(root: Path, target: Path) -> None:
    if root == target:
        raise UsageError(f"the library is at {root} already", "Give another folder.")
    if target.is_relative_to(root) or root.is_relative_to(target):
        raise UsageError(
            f"{root} and {target} lie one in the other", "Give a folder beside the library."
        )


def _check_empty(target: Path, library_id: str) -> bool:
    """Whether an earlier run began to fill ``target``; raises where something else did."""
    if switching.has_begun(target, library_id):
        return True
    if target.exists():
        if not target.is_dir():
            raise UsageError(f"{target} is not a folder", "Give a new or empty folder.")
        names = sorted({path.name for path in target.iterdir()} - _IGNORED)
        if names:
            raise UsageError(
                f"{target} is not empty (it holds {names[0]!r})", "Give a new or empty folder."
            )
    return False


def _check_room(inventory: Inventory, target: Path, settings: Settings) -> None:
    sizes = [part.size_bytes for unit in inventory.units for part in unit.parts]
    names = [f"{unit.place}/{part.path}" for unit in inventory.units for part in unit.parts]
    size_bytes = remaining_bytes(inventory, target) + settings.min_free_bytes
    findings = validate_mapping_target(
        target, names=names, size_bytes=size_bytes, largest_bytes=max(sizes, default=0)
    )
    raise_errors(findings, target)


def _could_rename(root: Path, target: Path) -> bool:
    """Whether both are on one file system, and neither is where one is mounted."""
    if target.exists() and any(target.iterdir()):
        return False
    device = root.stat().st_dev
    places = (root.parent, nearest_existing(target), nearest_existing(target.parent))
    return all(place.stat().st_dev == device for place in places)


def _rename(store: Store, target: Path) -> bool:
    """Rename the folder; ``False`` where the system does not, as between two mounts of a disk."""
    root = store.root
    missing = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with store.lock():
            _require_no_download(root)
            root.rename(target)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EBUSY):
            return False
        raise
    for folder in (target.parent, root.parent, *(folder.parent for folder in missing)):
        hashing.sync_folder(folder)
    return True


def _require_no_download(root: Path) -> None:
    """Renaming would pull the folder from under a download, which holds no lock of the library."""
    for path in (root / "staging" / DOWNLOADS).glob("*.lock"):
        held = try_lock(path, 0)
        if held is None:
            raise LibraryBusyError(
                f"a download into {root} is under way", "Stop it with Ctrl-C, or wait for it."
            )
        held.release()


@contextmanager
def _held(store: Store) -> Iterator[None]:
    """The lock; a library that can only be read needs none, for nobody changes it."""
    with store.lock() if store.is_writable() else nullcontext():
        yield


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Keep a second run away from the same new place.

    Raises:
        LibraryBusyError: there is one.
    """
    held = try_lock(target / ".lock", 0)
    if held is None:
        raise LibraryBusyError(
            f"another process is moving a library to {target}", "Wait for it to end."
        )
    try:
        yield
    finally:
        held.release()


def _since(began: float) -> float:
    return time.monotonic() - began
