"""What the rooms of the links pass to each other: applications, wishes, links, actions.

A preset says how one kind of application wants its models laid out; an app is one installation of
it. From both come wishes: what should stand where. The ledger holds the links that are ours; a plan
compares wishes, ledger and disk, and applying it does exactly that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from modelcellar.records import ErrorInfo, JournalEntry

__all__ = [
    "Action",
    "ActionKind",
    "App",
    "AppReport",
    "Applied",
    "Change",
    "Link",
    "LinkHealth",
    "LinkKind",
    "LinkState",
    "MadeLink",
    "Plan",
    "SyncReport",
    "Unplaced",
    "Wish",
]


class LinkKind(StrEnum):
    """How a file of the library appears in an application's folder.

    ``generated`` is a small file that we wrote ourselves, such as Ollama's manifest.
    """

    HARDLINK = "hardlink"
    REFLINK = "reflink"
    SYMLINK = "symlink"
    COPY = "copy"
    GENERATED = "generated"


class ActionKind(StrEnum):
    """What a plan does at one place. ``replace`` touches nothing but a link that is ours."""

    CREATE = "create"
    KEEP = "keep"
    REPLACE = "replace"
    REMOVE = "remove"
    CONFLICT = "conflict"
    SKIP = "skip"


class LinkHealth(StrEnum):
    """``replaced``: something that is not ours stands there; ``source_gone``: the library's file
    is missing; ``offline``: the disk of the application or of the library is not there."""

    OK = "ok"
    BROKEN = "broken"
    MISSING = "missing"
    REPLACED = "replaced"
    SOURCE_GONE = "source_gone"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class App:
    """One installation of an application that is given links.

    ``only`` is a search query (``docs/search.md``): which models it gets. ``folders`` lay other
    folders over those of the preset, by model type; "" takes a type away. ``link`` is None for the
    preset's own order. ``root`` is absolute.
    """

    name: str
    preset: str
    root: Path
    link: LinkKind | None = None
    only: str = ""
    folders: Mapping[str, str] = field(default_factory=dict)
    added_at: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """What should stand at ``target``: a file of a model, or ``content`` that is written there.

    ``path`` is the file's path inside its model. ``kinds`` are the allowed links, the best first;
    empty with ``content``. ``order``: wishes with a higher number are made after all with a lower
    one (Ollama's manifest after its blobs).
    """

    target: Path
    model_id: str
    path: str = ""
    kinds: tuple[LinkKind, ...] = ()
    content: bytes | None = None
    order: int = 0


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A model that an application is not given, and why, in a clause for people."""

    model_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class MadeLink:
    """A link as it was made; the numbers are those of the target itself, see `Link`."""

    kind: LinkKind
    device: int
    inode: int
    mtime_ns: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Link:
    """One row of the ledger: a link that is ours.

    ``device`` and ``inode`` are those of the target itself (of the symlink, not of what it points
    to), as it was made. ``source`` is the path inside the library's folder. ``sha256`` is that of
    the library's file, or of a generated content.
    """

    target: Path
    app: str
    model_id: str
    path: str
    kind: LinkKind
    source: str
    sha256: str
    size_bytes: int
    device: int
    inode: int
    mtime_ns: int
    made_at: str


@dataclass(frozen=True, slots=True)
class Action:
    """One step of a plan; ``source`` is absolute, None where content is written or removed.

    ``row`` is what the ledger will hold when it is done (``create``, ``replace``), ``old`` what it
    holds of this place now. A ``skip`` with ``old`` forgets that row: nothing of ours is there.
    """

    action: ActionKind
    app: str
    model_id: str
    target: Path
    source: Path | None = None
    link: LinkKind | None = None
    reason: str = ""
    wish: Wish | None = None
    row: Link | None = None
    old: Link | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What syncing would do, application by application, in the order it would be done."""

    actions: tuple[Action, ...]

    def count(self, kind: ActionKind) -> int:
        """How many actions are of this kind."""
        return sum(action.action is kind for action in self.actions)


@dataclass(frozen=True, slots=True)
class Change:
    """What undo takes back: a link that was ``made``, or one that was ours and was taken away.

    ``content`` is what stood in a generated file that was taken away.
    """

    made: bool
    link: Link
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a plan: each action as it was done, with the error where it failed."""

    actions: tuple[Action, ...]
    failures: tuple[tuple[Action, ErrorInfo], ...] = ()


@dataclass(frozen=True, slots=True)
class AppReport:
    """An application that was added; ``hazards`` are what its preset warns of."""

    app: App
    title: str
    hazards: tuple[str, ...] = ()
    entry: JournalEntry | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a plan would do, or what was done, application by application.

    ``entry`` is that of the journal; None when nothing was changed.
    """

    apps: tuple[App, ...]
    actions: tuple[Action, ...]
    failures: tuple[tuple[Action, ErrorInfo], ...] = ()
    entry: JournalEntry | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class LinkState:
    """A link of the ledger and how it is now."""

    link: Link
    health: LinkHealth
