"""Does what a plan says, and nothing else: looks again at each place right before it is touched.

Actions are taken in batches. What a batch will make and take away is in the ledger before it
begins, and what came of it afterwards, so that a batch costs a few flushes instead of one a link.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from modelcellar.failures import failure
from modelcellar.io.platform import create_link, write_new
from modelcellar.link_records import (
    Action,
    ActionKind,
    Applied,
    Link,
    LinkHealth,
    Plan,
)
from modelcellar.links.judging import SOURCE_GONE
from modelcellar.links.ledger import Ledger
from modelcellar.links.removing import OURS, content_of, remove_empty_folders, take_away
from modelcellar.records import ErrorInfo

__all__ = ["apply_plan"]

BATCH = 500
"""Actions between two flushes of the ledger: 10,000 links take some forty of them."""

_TAKES_AWAY = (ActionKind.REMOVE, ActionKind.REPLACE)


def apply_plan(
    plan: Plan,
    ledger: Ledger,
    root: Path,
    *,
    entry_id: str | None,
    at: str,
    on_action: Callable[[Action], object] | None = None,
) -> Applied:
    """Do what ``plan`` says, in its order.

    Args:
        plan: made a moment ago, from this ledger.
        ledger: is told of every link, before and after.
        root: the library's folder.
        entry_id: the journal entry that undo takes back; None keeps nothing for undo.
        at: the present instant, as journals write it.
        on_action: told of each action as it was done.

    Returns:
        Every action as it was done. Where something stood in the way meanwhile it is a conflict;
        where the disk failed it stands among the failures and nothing else is stopped.

    Raises:
        OSError, LibraryBusyError: the ledger cannot be written; nothing of this batch was begun.
    """
    done: list[Action] = []
    failures: list[tuple[Action, ErrorInfo]] = []
    for start in range(0, len(plan.actions), BATCH):
        batch = _Batch(plan.actions[start : start + BATCH], ledger, root, at)
        batch.intend(entry_id)
        try:
            for action, error in batch.run():
                done.append(action)
                if error is not None:
                    failures.append((action, error))
                if on_action is not None:
                    on_action(action)
        finally:
            batch.settle()
    return Applied(tuple(done), tuple(failures))


class _Batch:
    """Some actions, and what has come of them so far."""

    def __init__(self, actions: Sequence[Action], ledger: Ledger, root: Path, at: str) -> None:
        self._actions = actions
        self._ledger = ledger
        self._root = root
        self._at = at
        self._made: list[Link] = []
        self._gone: list[Path] = []
        self._unmade: list[Path] = []
        self._left: dict[Path, str] = {}

    def intend(self, entry_id: str | None) -> None:
        """Write down what is about to happen."""
        rows = [replace(one.row, made_at=self._at) for one in self._actions if one.row is not None]
        taken = [one.old for one in self._actions if one.old and one.action in _TAKES_AWAY]
        if not rows and not taken:
            return
        gone = [(link, content_of(link)) for link in taken]
        folders = {
            folder: action.app
            for action in self._actions
            if action.row is not None
            for folder in _missing_folders(action.target.parent)
        }
        self._ledger.intend(rows, gone=gone, entry_id=entry_id, folders=folders.items())

    def run(self) -> Iterator[tuple[Action, ErrorInfo | None]]:
        """Each action as it was done, with the error where it failed."""
        for action in self._actions:
            try:
                yield self._do(action), None
            except OSError as error:
                if action.row is not None:
                    self._unmade.append(action.target)
                info = failure(error)
                yield replace(action, action=ActionKind.SKIP, reason=info.message), info

    def settle(self) -> None:
        """Write down what has come of it, and take away folders of ours that are empty now."""
        stands = {link.target for link in self._made}
        self._ledger.gone([target for target in self._gone if target not in stands])
        self._ledger.made(self._made)
        self._ledger.gone(self._unmade, intents_only=True)
        for app in set(self._left.values()):
            remove_empty_folders(
                self._ledger, app, near=[p for p, a in self._left.items() if a == app]
            )

    def _do(self, action: Action) -> Action:
        if action.action is ActionKind.REMOVE:
            return self._remove(action)
        if action.action is ActionKind.REPLACE:
            return self._replace(action)
        if action.action is ActionKind.CREATE:
            return self._create(action)
        if action.action is ActionKind.SKIP and action.old is not None:
            self._gone.append(action.target)
        return action

    def _remove(self, action: Action) -> Action:
        assert action.old is not None
        health = take_away(action.old, self._root)
        if health not in (*OURS, LinkHealth.MISSING, LinkHealth.REPLACED):
            return replace(action, action=ActionKind.SKIP, reason=str(health))
        self._gone.append(action.target)
        self._left[action.target.parent] = action.app
        if health is LinkHealth.REPLACED:
            return replace(action, action=ActionKind.SKIP, reason="is not ours any more")
        return action

    def _replace(self, action: Action) -> Action:
        assert action.old is not None
        health = take_away(action.old, self._root)
        if health not in (*OURS, LinkHealth.MISSING):
            self._unmade.append(action.target)
            reason = "something that is not ours is there now"
            return replace(action, action=ActionKind.CONFLICT, reason=reason)
        self._gone.append(action.target)
        return self._create(action)

    def _create(self, action: Action) -> Action:
        row, content = action.row, action.wish.content if action.wish else None
        assert row is not None
        if content is None and (action.source is None or not action.source.is_file()):
            self._unmade.append(action.target)
            return replace(action, action=ActionKind.SKIP, reason=SOURCE_GONE)
        action.target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if content is not None:
                made = write_new(action.target, content)
            else:
                assert action.source is not None
                made = create_link(action.source, action.target, row.kind)
        except FileExistsError:
            self._unmade.append(action.target)
            reason = "something that is not ours is there now"
            return replace(action, action=ActionKind.CONFLICT, reason=reason)
        self._made.append(
            replace(
                row,
                device=made.device,
                inode=made.inode,
                mtime_ns=made.mtime_ns,
                made_at=self._at,
            )
        )
        return action


def _missing_folders(folder: Path) -> list[Path]:
    missing = []
    while not folder.is_dir() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    return missing
