"""The applications that are given links: added, synced, looked after and removed again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from modelcellar import journal
from modelcellar import manifest as manifests
from modelcellar.catalogs import WholeCatalog
from modelcellar.errors import UsageError
from modelcellar.index import Catalog, Filter
from modelcellar.link_records import (
    Action,
    ActionKind,
    App,
    Applied,
    AppReport,
    Link,
    LinkHealth,
    LinkKind,
    LinkState,
    Plan,
    SyncReport,
)
from modelcellar.links import invokeai
from modelcellar.links.app_list import app_to_json
from modelcellar.links.judging import Judge, is_offline, is_offline_reason
from modelcellar.links.keeper import LinkKeeper
from modelcellar.links.layouts import wishes_of
from modelcellar.links.preset_values import Preset
from modelcellar.links.presets import load_preset
from modelcellar.links.removing import remove_empty_folders
from modelcellar.links.roots import is_root, likely_roots
from modelcellar.mapper import AppModels, apply_plan, plan_links
from modelcellar.records import JournalEntry, JsonValue, ModelRecord
from modelcellar.search.linked import needs_links
from modelcellar.search.parser import parse_query

__all__ = ["Applications"]

CHANGING = (ActionKind.CREATE, ActionKind.REPLACE, ActionKind.REMOVE)
FOLDERS = "folders"
"""The layout in which no two models share anything."""
LIST = ""
"""The model of wishes that are about many: a file that lists where models are."""
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


class Applications:
    """What a library does for applications; reached as ``library.applications``."""

    def __init__(self, whole: WholeCatalog, links: LinkKeeper, *, offline: bool = False) -> None:
        self._whole = whole
        self._links = links
        self._is_offline = offline

    def list(self) -> tuple[App, ...]:
        """The applications that are given links, by name."""
        return self._links.ledger.apps() if self._links.is_used else ()

    def get(self, name: str) -> App:
        """The application of this name.

        Raises:
            UsageError: there is none.
        """
        for app in self.list():
            if app.name == name:
                return app
        known = ", ".join(app.name for app in self.list())
        raise UsageError(
            f"no application is called {name!r}",
            f"There are: {known}." if known else "Add one with: cellar app add NAME DIR",
        )

    def add(
        self,
        name: str,
        root: Path | None = None,
        *,
        preset: str | None = None,
        link: LinkKind | None = None,
        only: str = "",
        folders: Mapping[str, str] | None = None,
        dry_run: bool = False,
    ) -> AppReport:
        """Put an application on the list, or change what is said of it. Nothing is linked yet.

        Args:
            name: what it is called from now on: ``a-z``, digits, ``-_.``.
            root: its folder; by default the one usual place where it is installed. Of one that is
                on the list and not where it was any more: where it is now, with its links.
            preset: how it wants its models laid out; by default the preset of its name.
            link: the only kind of link that it gets, instead of the preset's order.
            only: a search query; only models that it finds are given.
            folders: model type -> folder inside ``root``, over the preset's; "" for none.
            dry_run: check, and change nothing.

        Raises:
            UsageError: the name, the preset or the folder cannot be meant.
        """
        if not name or name.startswith(".") or not set(name) <= _NAME_CHARACTERS:
            raise UsageError(f"{name!r} is no name for an application", "Use a-z, 0-9, - and _.")
        if needs_links(parse_query(only)):
            raise UsageError(
                f"{only!r} asks for links, which depend on what an application is given",
                "Leave out app: and is:unused.",
            )
        chosen = load_preset(preset or name)
        root = self._checked_root(_likely_root(chosen) if root is None else root)
        books = self._whole.books
        app = App(name, chosen.name, root, link, only, dict(folders or {}), books.timestamp())
        for _ in wishes_of(app, chosen, (), self._links.place):
            pass  # says what cannot be meant, whatever models there are
        before = next((one for one in self.list() if one.name == name), None)
        has_moved = before is not None and before.root != root
        if before is not None and has_moved and not self._is_away(before):
            raise UsageError(
                f"{name} is at {before.root} already",
                f"Give this one another name, or first: cellar app remove {name}",
            )
        details: dict[str, JsonValue] = {"app": app_to_json(app)}
        details["before"] = None if before is None else app_to_json(before)
        entry = None
        if not dry_run:
            with self._links.changing():
                if before is not None and has_moved:
                    self._links.follow(before, app)
                entry = self._written("app add", details)
                self._links.ledger.add_app(app)
        notes = chosen.hazards
        if not is_root(chosen, root):
            marks = " or ".join(chosen.root.marks)
            notes = (f"{root} does not look like {chosen.title}: there is no {marks}", *notes)
        return AppReport(app, chosen.title, notes, entry, dry_run)

    def remove(self, name: str, *, forget: bool = False, dry_run: bool = False) -> SyncReport:
        """Take an application's links away, then the application off the list.

        Args:
            name: of the application.
            forget: also where its folder is not there, as after it was deleted by hand.
            dry_run: plan, and change nothing.

        Raises:
            UsageError: no application is called so, or its disk is away.
        """
        app = self.get(name)
        rows = [row for row in self._links.rows().values() if row.app == name]
        is_away = self._is_away(app)
        if is_away and not forget:
            raise UsageError(
                f"the folder of {name} is not there: {app.root}",
                "Mount its disk. If it was deleted for good: cellar app remove --forget " + name,
            )
        if dry_run:
            return SyncReport((app,), self._links.plan_removal(rows).actions, dry_run=True)
        with self._links.changing():
            ledger = self._links.ledger
            entry = self._written("app remove", {"app": app_to_json(app), "forgotten": is_away})
            rows = ledger.links(name)
            if is_away:
                ledger.intend((), gone=[(row, None) for row in rows], entry_id=entry.id)
            plan = Plan(()) if is_away else self._links.plan_removal(rows)
            applied = self._apply(plan, entry.id)
            remove_empty_folders(ledger, name)
            stay = {action.target for action, _ in applied.failures}
            stay |= {one.target for one in applied.actions if is_offline_reason(one.reason)}
            ledger.gone([row.target for row in rows if row.target not in stay])
            if not stay:
                ledger.forget_folders(ledger.made_folders(name))
                ledger.remove_app(name)
        return SyncReport((app,), applied.actions, applied.failures, entry)

    def sync(
        self,
        app: str | None = None,
        *,
        dry_run: bool = False,
        on_action: Callable[[Action], object] | None = None,
    ) -> SyncReport:
        """Give every application, or one, the links that it should have, and no others.

        Args:
            app: the name of one.
            dry_run: only plan.
            on_action: told of each action as soon as it is done.

        Raises:
            UsageError: no application is called so.
            LibraryBusyError: another process did not let go in time.
        """
        apps = self.list() if app is None else (self.get(app),)
        if not apps:
            return SyncReport((), (), dry_run=dry_run)
        if dry_run:
            return SyncReport(apps, self._plan(apps).actions, dry_run=True)
        with self._links.changing():
            plan = self._plan(apps)
            entry = None
            if any(plan.count(kind) for kind in CHANGING):
                counts: dict[str, JsonValue] = {kind.value: plan.count(kind) for kind in CHANGING}
                names: list[JsonValue] = [one.name for one in apps]
                entry = self._written("sync", {"apps": names, **counts})
            applied = self._apply(plan, None if entry is None else entry.id, on_action)
        actions = self._told_servers(apps, applied.actions)
        return SyncReport(apps, actions, applied.failures, entry)

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Hold the links, with what a process that died left half-done settled.

        Raises:
            LibraryBusyError: another process did not let go in time.
        """
        with self._links.changing():
            yield

    def links(self, model_id: str | None = None) -> tuple[LinkState, ...]:
        """Every link that is ours, or those of one model, and how each is."""
        if not self._links.is_used:
            return ()
        rows = self._links.rows()
        away = self._links.offline_apps(rows.values())
        judge = Judge(App("", "", self._links.place.root), self._links.place.root, rows)
        return tuple(
            LinkState(row, LinkHealth.OFFLINE if row.app in away else _health(row, judge))
            for row in rows.values()
            if model_id in (None, row.model_id)
        )

    def _is_away(self, app: App) -> bool:
        return is_offline(app, self._links.ledger.links(app.name))

    def write_lists(self, entry_id: str) -> None:
        """Make good what was of several models, as a part of the change ``entry_id``.

        That is a file that lists them all, and what went with one of them and others need as well:
        a projector in Ollama's store, the reference to a commit of which another file stays. For
        whoever holds the links and the library and has just changed which models there are.
        """
        lost = {(one.link.app, one.link.target) for one in self._links.ledger.changes(entry_id)}
        names = {name for name, _ in lost}
        names |= {row.app for row in self._links.rows().values() if row.model_id == LIST}
        apps = [app for app in self.list() if app.name in names and _may_share(app)]
        if apps:
            actions = [
                one
                for one in self._plan(apps).actions
                if one.model_id == LIST or (one.app, one.target) in lost
            ]
            self._apply(Plan(tuple(actions)), entry_id)

    def _plan(self, apps: Sequence[App]) -> Plan:
        models = self._models()
        wanted = [AppModels(app, load_preset(app.preset), models) for app in apps]
        return plan_links(wanted, self._links.rows(), self._links.place)

    def _models(self) -> Sequence[ModelRecord]:
        def find(catalog: Catalog) -> Sequence[ModelRecord]:
            _, found = catalog.page(Filter(None, None, "name"), limit=None, offset=0)
            return [manifests.to_record(one) for one in found]

        return self._whole.read(find)

    def _told_servers(self, apps: Sequence[App], actions: tuple[Action, ...]) -> tuple[Action, ...]:
        """Ask the servers that take models in place, and tell in the actions what they said."""
        presets = {app.name: load_preset(app.preset) for app in apps}
        asked = [app for app in apps if presets[app.name].layout == invokeai.LAYOUT]
        if not asked:
            return actions
        models, answers = self._models(), {}
        for app in asked:
            preset = presets[app.name]
            found = invokeai.registrations(app, preset, models, self._links.place)
            wanted = [one for one in found if isinstance(one, invokeai.Registration)]
            server = invokeai.server_of(preset)
            for said in invokeai.register_now(server, wanted, offline=self._is_offline):
                answers[app.name, said.registration.model_id] = said.told
        return tuple(
            replace(one, reason=answers.get((one.app, one.model_id), one.reason)) for one in actions
        )

    def _apply(
        self,
        plan: Plan,
        entry_id: str | None,
        on_action: Callable[[Action], object] | None = None,
    ) -> Applied:
        return apply_plan(
            plan,
            self._links.ledger,
            self._links.place.root,
            entry_id=entry_id,
            at=self._whole.books.timestamp(),
            on_action=on_action,
        )

    def _written(self, command: str, details: Mapping[str, JsonValue]) -> JournalEntry:
        """A journal entry, durable; the ledger knows that it is one of this machine."""
        books = self._whole.books
        with books.change() as staging:
            entry = journal.new_entry(command, books.next_entry_at(), details=details)
            self._links.ledger.note_entry(entry.id)
            books.store.write_journal(staging, entry)
        return entry

    def _checked_root(self, root: Path) -> Path:
        root = root.expanduser().resolve()
        if not root.is_dir():
            raise UsageError(f"{root} is no folder", "Give the folder of the application.")
        library = self._links.place.root
        if library in (root, *root.parents):
            raise UsageError(f"{root} is inside the library", "Give the application's own folder.")
        return root


def _health(row: Link, judge: Judge) -> LinkHealth:
    try:
        return judge.health(row)
    except OSError:
        return LinkHealth.OFFLINE


def _likely_root(preset: Preset) -> Path:
    found = list(likely_roots(preset))
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{preset.title} is at {' and at '.join(map(str, found))}", "Name its folder."
        )
    hint = f" It is {preset.root.hint}." if preset.root.hint else ""
    raise UsageError(f"{preset.title} is not where it usually is", f"Name its folder.{hint}")


def _may_share(app: App) -> bool:
    """Whether models may have something in common there; not known where its preset is gone."""
    try:
        return load_preset(app.preset).layout != FOLDERS
    except UsageError:
        return False
