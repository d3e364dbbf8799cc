"""Checks of the links in applications: the ledger, what a process left unsettled, every link.

The ledger is looked at in a copy, because to open one that is damaged sets it aside.
"""

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from modelcellar import naming
from modelcellar.doctor.findings import Finding, Status, counted, named
from modelcellar.doctor.patient import Patient
from modelcellar.errors import CellarError
from modelcellar.io.link_health import is_ours
from modelcellar.io.locking import try_lock
from modelcellar.library import ModelLibrary
from modelcellar.link_records import App, Link, LinkHealth
from modelcellar.links.judging import is_offline
from modelcellar.links.ledger import Ledger, ledger_folder
from modelcellar.links.presets import load_preset

__all__ = ["check_links"]

_FILES = ("links.db", "links.db-wal", "apps.json")
_SYNC = "Have a look with: cellar plan. Then: cellar sync"
_FIXES = {
    LinkHealth.BROKEN: ("lead elsewhere than to the library's files", _SYNC),
    LinkHealth.MISSING: ("are not there any more", _SYNC),
    LinkHealth.REPLACED: (
        "are gone, and something that is not ours stands there",
        "It is never touched. Move it away, or have it adopted, and run: cellar sync",
    ),
}


def check_links(patient: Patient) -> Iterator[Finding]:
    """Is the ledger readable, is every link well, is every application there?"""
    if patient.library_id is None:
        text = "which links are ours is not known without library.json"
        yield Finding("links", Status.SKIPPED, text)
        return
    folder = ledger_folder(patient.library_id)
    if not (folder / "links.db").exists():
        yield Finding("links", Status.OK, "no application is given links on this machine")
        return
    held = try_lock(folder / ".lock", min(1.0, patient.settings.lock_timeout_s))
    if held is None:
        text = "another process is making links"
        yield Finding("links", Status.SKIPPED, text, "Run cellar doctor again later.")
        return
    try:
        with _copied(folder) as copy:
            yield from _look_into(patient, copy)
    except CellarError as error:
        yield Finding("links", Status.ERROR, naming.display(error.message), error.hint)
    finally:
        held.release()


def _look_into(patient: Patient, folder: Path) -> Iterator[Finding]:
    with closing(Ledger(folder)) as ledger:
        rows, intents, apps = ledger.links(), ledger.intents(), ledger.apps()
    if (folder / "links.db.damaged").exists():
        place = naming.display(str(ledger_folder(patient.library_id or "")))
        yield Finding(
            "links",
            Status.ERROR,
            "the ledger of links is damaged: which links are ours is not known",
            f"Restore {place} from a backup. Without one the next command makes it anew; the links "
            "stay where they are, and are then taken for yours.",
        )
        return
    found = [*_of_apps(apps, rows), *_of_links(patient, apps, rows)]
    if intents:
        text = f"{counted(len(intents), 'link')} about to be made when a process died"
        targets = tuple(naming.display(str(link.target)) for link in intents)
        fix = "The next command about links settles that; so does --fix."
        settle = partial(_settle, patient)
        found.append(Finding("links", Status.WARNING, text, fix, targets, settle))
    yield from found
    if not found:
        text = f"{counted(len(rows), 'link')} in {counted(len(apps), 'application')}, all well"
        yield Finding("links", Status.OK, text)


def _of_apps(apps: Sequence[App], rows: Sequence[Link]) -> Iterator[Finding]:
    for app in apps:
        if is_offline(app, [row for row in rows if row.app == app.name]):
            text = f"the folder of {app.name} is not there: {app.root}"
            fix = f"Mount its disk. If it was deleted: cellar app remove --forget {app.name}"
            yield Finding("links", Status.WARNING, naming.display(text), fix)
        try:
            load_preset(app.preset)
        except CellarError as error:
            text = naming.display(f"{app.name}: {error.message}")
            yield Finding("links", Status.WARNING, text, error.hint)


def _of_links(patient: Patient, apps: Sequence[App], rows: Sequence[Link]) -> Iterator[Finding]:
    away = {app.name for app in apps if is_offline(app, [r for r in rows if r.app == app.name])}
    by_health: dict[LinkHealth, list[str]] = defaultdict(list)
    root = patient.root.resolve()
    for row in rows:
        if row.app not in away:
            by_health[_health(row, root)].append(naming.display(str(row.target)))
    for health, (what, fix) in _FIXES.items():
        if targets := by_health[health]:
            text = f"{counted(len(targets), 'link')} that {what}: {named(targets)}"
            yield Finding("links", Status.WARNING, text, fix, tuple(targets))
    if gone := by_health[LinkHealth.SOURCE_GONE]:
        text = f"{counted(len(gone), 'link')} to files that the library lost: {named(gone)}"
        fix = "A hard link or copy may be the last there is: cellar import PATH mends the model."
        yield Finding("links", Status.ERROR, text, fix, tuple(gone))


def _health(row: Link, root: Path) -> LinkHealth:
    try:
        return is_ours(row, root)
    except OSError:
        return LinkHealth.OFFLINE


@contextmanager
def _copied(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="modelcellar-doctor-") as place:
        for name in _FILES:
            if (folder / name).exists():
                shutil.copyfile(folder / name, Path(place, name))
        yield Path(place)


def _settle(patient: Patient) -> str:
    with (
        ModelLibrary(patient.root, settings=patient.settings) as library,
        library.applications.settled(),
    ):
        return "settled what a process left half-done"
