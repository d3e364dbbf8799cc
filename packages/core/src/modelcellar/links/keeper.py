"""Keeps the links of one library on this machine: one process at a time, undone when asked."""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from modelcellar.errors import LibraryBusyError, UsageError
from modelcellar.failures import failure
from modelcellar.io.link_health import is_ours
from modelcellar.io.locking import try_lock
from modelcellar.link_records import (
    Action,
    ActionKind,
    App,
    Applied,
    Link,
    LinkHealth,
    LinkKind,
    Plan,
    Wish,
)
from modelcellar.links.app_list import app_from_json, app_to_json
from modelcellar.links.applying import apply_plan
from modelcellar.links.judging import OFFLINE, Judge, is_offline
from modelcellar.links.ledger import Ledger, ledger_folder
from modelcellar.links.moving import found_again, moved_to
from modelcellar.links.place import Place
from modelcellar.records import JournalEntry

__all__ = ["LINK_COMMANDS", "LinkKeeper", "removal_order"]

log = logging.getLogger(__name__)

LINK_COMMANDS = ("app add", "app remove", "sync")
"""Changes of the journal that are about links alone."""


class LinkKeeper:
    """The links of one library on this machine, changed by one process at a time.

    Nothing is made on disk before the first application is added.
    """

    def __init__(self, place: Place, library_id: str, *, lock_timeout_s: float) -> None:
        self.place = place
        self.folder = ledger_folder(library_id)
        self._lock_timeout_s = lock_timeout_s

    @property
    def is_used(self) -> bool:
        """Whether any application has ever been added on this machine."""
        return "ledger" in self.__dict__ or (self.folder / "links.db").exists()

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, opened when it is first needed."""
        return Ledger(self.folder, lock_timeout_s=self._lock_timeout_s)

    def close(self) -> None:
        """Close the ledger, if it was opened."""
        if "ledger" in self.__dict__:
            self.ledger.close()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the links against other processes; what a killed one left behind is settled first.

        Taken before the lock of the library where both are.

        Raises:
            LibraryBusyError: another process did not let go within the time-out.
        """
        ledger = self.ledger
        held = try_lock(self.folder / ".lock", self._lock_timeout_s)
        if held is None:
            raise LibraryBusyError(
                f"another process has been making links for {self._lock_timeout_s:g} s",
                "Wait for it and run the command again.",
            )
        try:
            if intents := ledger.intents():
                self._settle(intents)
            yield
        finally:
            held.release()

    def rows(self) -> dict[Path, Link]:
        """The links that are ours, by target, with those that a killed process had just made."""
        rows = {row.target: row for row in self.ledger.links()}
        rows.update((row.target, row) for row in self._came_true(self.ledger.intents()))
        return rows

    def offline_apps(self, rows: Collection[Link]) -> frozenset[str]:
        """The applications whose disk is away."""
        return frozenset(
            app.name
            for app in self.ledger.apps()
            if is_offline(app, [row for row in rows if row.app == app.name])
        )

    def plan_removal(
        self, rows: Sequence[Link], needed: Callable[[Link], bool] | None = None
    ) -> Plan:
        """Taking these links away, but where an application's disk is away.

        ``needed``: whether others need a link, where that is asked in several calls.
        """
        away = self.offline_apps(rows)
        # A row is judged by where it stands; which application it is of does not matter.
        app = App("", "", self.place.root)
        judge = Judge(app, self.place.root, {}, needed=needed or _Needs(self))
        actions = []
        for row in removal_order(rows):
            skip = partial(
                Action, ActionKind.SKIP, row.app, row.model_id, row.target, link=row.kind
            )
            try:
                actions.append(skip(reason=OFFLINE) if row.app in away else judge.unwished(row))
            except OSError as error:
                actions.append(skip(reason=failure(error).message))
        return Plan(tuple(actions))

    def withdraw(self, model_ids: Sequence[str], entry_id: str | None, at: str) -> Applied:
        """Take the links of these models away; within :meth:`changing`."""
        rows = [row for one in model_ids for row in self.ledger.links(model_id=one)]
        plan = self.plan_removal(rows)
        applied = apply_plan(plan, self.ledger, self.place.root, entry_id=entry_id, at=at)
        for action, error in applied.failures:
            log.warning("%s: the link stays: %s", action.target, error.message)
        return applied

    def is_in_force(self, entry: JournalEntry) -> bool:
        """Whether an entry of the journal changed links on this machine that can be taken back."""
        if not self.is_used:
            return False
        if entry.command == "app add":
            return self.ledger.knows_entry(entry.id) and any(
                app_to_json(app) == entry.details["app"] for app in self.ledger.apps()
            )
        if entry.command == "app remove":
            return self.ledger.knows_entry(entry.id)
        return bool(self.ledger.changes(entry.id))

    def undo(self, entry: JournalEntry, at: str) -> None:
        """Take back what an entry did to applications and links; within :meth:`changing`.

        Raises:
            as :meth:`take_back`.
        """
        if entry.command == "app remove":
            self._put_on_the_list(entry, at)
            return
        self.take_back(entry, at)
        if entry.command == "app add":
            before = entry.details["before"]
            if before is None:
                self.ledger.remove_app(entry.details["app"]["name"])
            else:
                was, now = app_from_json(before), app_from_json(entry.details["app"])
                if was.root != now.root:
                    rows = [
                        replace(row, target=moved_to(row.target, now.root, was.root))
                        for row in self.ledger.links(now.name)
                    ]
                    self._move(now, was, rows)
                self.ledger.add_app(was)

    def _put_on_the_list(self, entry: JournalEntry, at: str) -> None:
        """Undo the removal of an application."""
        app = app_from_json(entry.details["app"])
        self.ledger.add_app(app)
        if entry.details.get("forgotten", False):
            # Its folder was away, and nothing in there was touched.
            known = {row.target for row in self.ledger.links()}
            links = [change.link for change in self.ledger.changes(entry.id)]
            self.ledger.made([link for link in links if link.target not in known])
            return
        try:
            self.take_back(entry, at)
        except UsageError:
            self.ledger.remove_app(app.name)
            raise

    def follow(self, old: App, new: App) -> None:
        """Find the links of an application again whose folder was moved; in :meth:`changing`.

        Raises:
            UsageError: none of them is there.
        """
        rows = self.ledger.links(old.name)
        found = found_again(rows, old.root, new.root, self.place.root)
        if rows and not found:
            raise UsageError(
                f"{old.name} was at {old.root}, and none of its links is at {new.root}",
                f"If its folder was deleted: cellar app remove --forget {old.name}",
            )
        self._move(old, new, found)

    def _move(self, old: App, new: App, rows: Sequence[Link]) -> None:
        folders = self.ledger.made_folders(old.name)
        self.ledger.move(old.name, rows, [moved_to(one, old.root, new.root) for one in folders])

    def take_back(self, entry: JournalEntry, at: str) -> None:
        """Undo what an entry of the journal did to links; within :meth:`changing`.

        What is not as the entry left it stays, and is logged.

        Raises:
            UsageError: the disk of one of the applications is away; nothing was changed.
        """
        changes = self.ledger.changes(entry.id)
        if not changes:
            return
        rows = self.rows()
        away = self.offline_apps(rows.values()) & {change.link.app for change in changes}
        if away and entry.command in LINK_COMMANDS:
            raise UsageError(
                f"the folder of {min(away)} is not there",
                "Mount its disk and run the command again.",
            )
        actions: list[Action] = []
        needed = _Needs(self)
        for change in reversed(changes):
            if change.link.app in away:
                continue  # the model comes back all the same, and its links with the next sync
            link = change.link
            if not change.made and self._stands(link, rows.get(link.target)):
                continue  # it could not be taken away
            if not change.made:
                actions.append(self._again(link, change.content))
                rows.pop(link.target, None)
            elif link.target in rows:
                actions += self.plan_removal([rows.pop(link.target)], needed).actions
        plan = Plan(tuple(actions))
        applied = apply_plan(plan, self.ledger, self.place.root, entry_id=None, at=at)
        for wanted, action in zip(plan.actions, applied.actions, strict=True):
            if action.action is not wanted.action:
                log.warning("%s: not taken back: %s", action.target, action.reason)

    def _stands(self, link: Link, row: Link | None) -> bool:
        """Whether a link that was to go is there and in the ledger as it was."""
        if row is None or replace(row, made_at=link.made_at) != link:
            return False
        with suppress(OSError):
            return is_ours(row, self.place.root) is LinkHealth.OK
        return False

    def _again(self, link: Link, content: bytes | None) -> Action:
        source = self.place.root / link.source if link.kind is not LinkKind.GENERATED else None
        return Action(
            ActionKind.CREATE,
            link.app,
            link.model_id,
            link.target,
            source=source,
            link=link.kind,
            wish=Wish(link.target, link.model_id, link.path, (link.kind,), content),
            row=link,
        )

    def _came_true(self, intents: Sequence[Link]) -> list[Link]:
        """Those of them that stand now."""
        true = []
        for intent in intents:
            with suppress(OSError):
                if is_ours(intent, self.place.root) is LinkHealth.OK:
                    found = intent.target.lstat()
                    true.append(
                        replace(
                            intent,
                            device=found.st_dev,
                            inode=found.st_ino,
                            mtime_ns=found.st_mtime_ns,
                        )
                    )
        return true

    def _settle(self, intents: Sequence[Link]) -> None:
        """Decide about what a killed process had begun."""
        true = self._came_true(intents)
        self.ledger.made(true)
        self.ledger.gone([intent.target for intent in intents], intents_only=True)
        for app in {intent.app for intent in intents}:
            made = self.ledger.made_folders(app)
            self.ledger.forget_folders([folder for folder in made if not folder.is_dir()])
        for folder in {intent.target.parent for intent in intents}:
            for left in folder.glob(".modelcellar-*.partial"):
                left.unlink(missing_ok=True)


class _Needs:
    """Whether links of any application are needed by others; each is looked at once."""

    def __init__(self, keeper: LinkKeeper) -> None:
        self._keeper = keeper
        self._by_app: dict[str, Callable[[Link], bool]] = {}

    def __call__(self, link: Link) -> bool:
        if link.app not in self._by_app:
            self._by_app[link.app] = self._of(link.app)
        return self._by_app[link.app](link)

    def _of(self, name: str) -> Callable[[Link], bool]:
        # Not for those who only ask which links there are: a search, say.
        from modelcellar.links.needed import Needed
        from modelcellar.links.presets import load_preset

        keeper = self._keeper
        app = next((one for one in keeper.ledger.apps() if one.name == name), None)
        layout = ""
        with suppress(UsageError):  # the preset is gone
            layout = load_preset(app.preset).layout if app is not None else ""
        root = app.root if app is not None else keeper.place.root
        return Needed(root, layout, keeper.rows, keeper.place.root)


def removal_order(rows: Sequence[Link]) -> list[Link]:
    """What we wrote first: it names the other files (Ollama's manifests, the Hub's refs)."""
    return sorted(rows, key=lambda row: row.kind is not LinkKind.GENERATED)
