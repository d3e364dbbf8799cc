"""Plans what should change in the folders of applications, and does it.

Wishes come from the layouts, what is ours from the ledger, what is there from the disk. The plan
that is shown is the plan that is done.
"""

import hashlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from modelcellar.errors import LibraryBusyError, UsageError
from modelcellar.failures import failure
from modelcellar.io.locking import try_lock
from modelcellar.io.platform import is_ours
from modelcellar.link_records import (
    Action,
    ActionKind,
    App,
    Applied,
    Link,
    LinkHealth,
    LinkKind,
    Plan,
    Unplaced,
    Wish,
)
from modelcellar.links.app_list import app_from_json, app_to_json
from modelcellar.links.applying import apply_plan
from modelcellar.links.judging import OFFLINE, Judge, SourceFile, is_offline
from modelcellar.links.layouts import wishes_of
from modelcellar.links.ledger import Ledger, ledger_folder
from modelcellar.links.place import Place
from modelcellar.links.preset_values import Preset
from modelcellar.records import JournalEntry, ModelRecord

__all__ = ["LINK_COMMANDS", "AppModels", "Mapper", "apply_plan", "plan_links"]

log = logging.getLogger(__name__)

LINK_COMMANDS = ("app add", "app remove", "sync")
"""Changes of the journal that are about links alone."""


@dataclass(frozen=True, slots=True)
class AppModels:
    """An application, its preset, and all models of the library."""

    app: App
    preset: Preset
    models: Sequence[ModelRecord]


def plan_links(
    wanted: Sequence[AppModels],
    rows: Mapping[Path, Link],
    place: Place,
    *,
    model_ids: Collection[str] | None = None,
) -> Plan:
    """What has to be done so that every application has what it should have. Changes nothing.

    Args:
        wanted: the applications to plan for. Each is given all models of the library, because what
            one is called may depend on others.
        rows: the ledger's rows of all applications, by target; see :meth:`Mapper.rows`.
        place: where the library's files are.
        model_ids: plan only for these models, and leave the links of all others alone.

    Returns:
        First what goes away, then what is made, application by application.
    """
    actions: list[Action] = []
    for one in wanted:
        own = [row for row in rows.values() if row.app == one.app.name]
        wishes: list[Wish] = []
        unplaced: list[Action] = []
        for wish in wishes_of(one.app, one.preset, one.models, place):
            if model_ids is not None and wish.model_id not in model_ids:
                continue
            if isinstance(wish, Wish):
                wishes.append(wish)
            else:
                unplaced.append(_unplaced(one.app, wish))
        if model_ids is not None:
            own = [row for row in own if row.model_id in model_ids]
        actions += unplaced
        actions += _app_actions(one, wishes, own, rows, place)
    return Plan(tuple(actions))


def _app_actions(
    one: AppModels,
    wishes: Sequence[Wish],
    own: Sequence[Link],
    rows: Mapping[Path, Link],
    place: Place,
) -> Iterator[Action]:
    app = one.app
    if is_offline(app, own):
        for wish in wishes:
            yield _skipped(app, wish, OFFLINE)
        return
    targets = {wish.target for wish in wishes}
    leaving = removal_order([row for row in own if row.target not in targets])
    judge = Judge(app, place.library, rows, leaving)
    for row in leaving:
        try:
            yield judge.unwished(row)
        except OSError as error:
            reason = failure(error).message
            yield Action(ActionKind.SKIP, app.name, row.model_id, row.target, reason=reason)
    files = _Files(one.models, place)
    for wish in sorted(wishes, key=lambda wish: wish.order):
        try:
            yield judge.wished(wish, files.of(wish))
        except OSError as error:
            yield _skipped(app, wish, failure(error).message)


def removal_order(rows: Sequence[Link]) -> list[Link]:
    """What we wrote first: it names the other files (Ollama's manifests, the Hub's refs)."""
    return sorted(rows, key=lambda row: row.kind is not LinkKind.GENERATED)


class _Files:
    """The library's files behind wishes."""

    def __init__(self, models: Sequence[ModelRecord], place: Place) -> None:
        self._models = {model.id: model for model in models}
        folder = place.content_path("id")
        self._home = folder.parent.relative_to(place.library).as_posix()
        self._last: tuple[str, dict[str, SourceFile]] = ("", {})

    def of(self, wish: Wish) -> SourceFile:
        if wish.content is not None:
            return SourceFile("", hashlib.sha256(wish.content).hexdigest(), len(wish.content))
        if self._last[0] != wish.model_id:
            folder = f"{self._home}/{wish.model_id}"
            self._last = (
                wish.model_id,
                {
                    file.path: SourceFile(
                        f"{folder}/{file.path}", file.digests.sha256, file.size_bytes
                    )
                    for file in self._models[wish.model_id].files
                },
            )
        return self._last[1][wish.path]


class Mapper:
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

    def plan_removal(self, rows: Sequence[Link]) -> Plan:
        """Taking these links away, but where an application's disk is away."""
        away = self.offline_apps(rows)
        apps = {app.name: app for app in self.ledger.apps()}
        actions = []
        for row in removal_order(rows):
            if row.app in away:
                actions.append(
                    Action(ActionKind.SKIP, row.app, row.model_id, row.target, reason=OFFLINE)
                )
            else:
                app = apps.get(row.app, App(row.app, "", row.target.parent))
                actions.append(Judge(app, self.place.library, {}).unwished(row))
        return Plan(tuple(actions))

    def withdraw(self, model_ids: Sequence[str], entry_id: str | None, at: str) -> Applied:
        """Take the links of these models away; within :meth:`changing`."""
        rows = [row for one in model_ids for row in self.ledger.links(model_id=one)]
        plan = self.plan_removal(rows)
        return apply_plan(plan, self.ledger, self.place.library, entry_id=entry_id, at=at)

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
            self.ledger.add_app(app_from_json(entry.details["app"]))
        self.take_back(entry, at)
        if entry.command == "app add":
            before = entry.details["before"]
            if before is None:
                self.ledger.remove_app(entry.details["app"]["name"])
            else:
                self.ledger.add_app(app_from_json(before))

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
        for change in reversed(changes):
            if change.link.app in away:
                continue  # the model comes back all the same, and its links with the next sync
            link = change.link
            if not change.made:
                actions.append(self._again(link, change.content))
                rows.pop(link.target, None)
            elif link.target in rows:
                actions += self.plan_removal([rows.pop(link.target)]).actions
        plan = Plan(tuple(actions))
        applied = apply_plan(plan, self.ledger, self.place.library, entry_id=None, at=at)
        for wanted, action in zip(plan.actions, applied.actions, strict=True):
            if action.action is not wanted.action:
                log.warning("%s: not taken back: %s", action.target, action.reason)

    def _again(self, link: Link, content: bytes | None) -> Action:
        source = self.place.library / link.source if link.kind is not LinkKind.GENERATED else None
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
                if is_ours(intent, self.place.library) is LinkHealth.OK:
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


def _unplaced(app: App, found: Unplaced) -> Action:
    return Action(ActionKind.SKIP, app.name, found.model_id, app.root, reason=found.reason)


def _skipped(app: App, wish: Wish, reason: str) -> Action:
    return Action(ActionKind.SKIP, app.name, wish.model_id, wish.target, reason=reason, wish=wish)
