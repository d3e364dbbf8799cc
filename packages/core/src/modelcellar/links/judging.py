"""What has to be done at one place: the wish for it, the ledger's row and the disk, compared."""

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from modelcellar.io.extents import data_key
from modelcellar.io.link_health import is_ours
from modelcellar.link_records import Action, ActionKind, App, Link, LinkHealth, LinkKind, Wish
from modelcellar.links.destinations import OFFLINE_ENDING, Destinations
from modelcellar.naming import caseless

__all__ = ["OFFLINE", "SOURCE_GONE", "Judge", "SourceFile", "is_offline", "is_offline_reason"]

OFFLINE = f"the folder of the application is not there{OFFLINE_ENDING}"
SOURCE_GONE = "the library's file is missing; see: cellar verify"
LAST_COPY = "the library's file is gone, and this may be the last there is of it"
NEEDED = "a model that is not ours there consists of it as well by now"
LINK_OF_OTHERS = "leads to the model already, and is not of this application's links"
CLONE_OF_OTHERS = "shares all its data with the model already, and is not of these links"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The library's file behind a wish: its path inside the library, its SHA-256 and size."""

    source: str
    sha256: str
    size_bytes: int


def is_offline_reason(reason: str) -> bool:
    """Whether an action was skipped because a disk is away."""
    return reason.endswith(OFFLINE_ENDING)


def is_offline(app: App, rows: Iterable[Link]) -> bool:
    """Whether the application's disk is away, or its empty mount point is all that is there."""
    try:
        with os.scandir(app.root) as entries:
            return next(entries, None) is None and any(True for _ in rows)
    except PermissionError:
        return False
    except OSError:
        return True


class Judge:
    """Judges every place of one application. It looks, and changes nothing.

    Args:
        app: whose places they are.
        root: the library's folder.
        rows: the ledger's rows of all applications, by target.
        leaving: rows of this application that go away before anything is made.
        claims: what is going to be made at places, for which application; shared by all judges of
            a plan, because two applications may have one folder of models.
        shadows: where else the application would find the name of a target.
        needed: whether a file that is not ours names a link, which then stays.
    """

    def __init__(
        self,
        app: App,
        root: Path,
        rows: Mapping[Path, Link],
        *,
        leaving: Iterable[Link] = (),
        claims: dict[tuple[str, str], Link] | None = None,
        shadows: Callable[[Path], Iterable[Path]] = lambda _: (),
        needed: Callable[[Link], bool] = lambda _: False,
    ) -> None:
        self._app = app
        self._root = root
        self._rows = rows
        self._leaving = {caseless(str(row.target)): _inode(row.target) for row in leaving}
        self._claims = {} if claims is None else claims
        self._shadows = shadows
        self._needed = needed
        self._destinations = Destinations(root)

    def wished(self, wish: Wish, file: SourceFile) -> Action:
        """What has to be done where ``wish`` says that ``file`` should stand."""
        claim = self._claims.get(self._destinations.place_of(wish.target)) if self._claims else None
        if claim is not None and claim.app != self._app.name:
            return self._claimed(wish, file, claim)
        row = self._rows.get(wish.target)
        if row is not None and row.app != self._app.name:
            return self._of_another(wish, file, row)
        found = _lstat(wish.target)
        if row is None:
            if found is None or self._is_leaving(wish.target, found):
                return self._made(ActionKind.CREATE, wish, file, old=None)
            return self._taken(wish, file, found)
        health = is_ours(row, self._root)
        if health is LinkHealth.MISSING:
            return self._made(ActionKind.CREATE, wish, file, old=row)
        if health is LinkHealth.REPLACED:
            return self._taken(wish, file, found)
        if health is LinkHealth.OK and _is_of(row, file) and _is_allowed(row, wish):
            return self._action(ActionKind.KEEP, wish, file, link=row.kind, old=row)
        if health is LinkHealth.SOURCE_GONE and row.kind is not LinkKind.SYMLINK:
            return self._action(ActionKind.SKIP, wish, file, reason=LAST_COPY)
        return self._made(ActionKind.REPLACE, wish, file, old=row)

    def health(self, row: Link) -> LinkHealth:
        """How a link of ours is; ``OFFLINE`` also where a disk below the application's is away.

        Raises:
            OSError: it cannot be looked at.
        """
        health = is_ours(row, self._root)
        if health is LinkHealth.MISSING:
            problem = self._destinations.problem(row.target.parent)
            return LinkHealth.OFFLINE if is_offline_reason(problem) else health
        return health

    def unwished(self, row: Link) -> Action:
        """What has to be done about a link of ours that nobody wishes for any more."""
        health = self.health(row)
        reason, kind = "", ActionKind.REMOVE
        if health is LinkHealth.MISSING:
            reason = "is gone already"
        elif health is LinkHealth.REPLACED:
            reason, kind = "is not ours any more", ActionKind.SKIP
        elif health is LinkHealth.OFFLINE or _may_be_last(row, health):
            reason = OFFLINE if health is LinkHealth.OFFLINE else LAST_COPY
            return _left(row, reason)
        elif not _leads_nowhere(row, health) and self._needed(row):
            return _left(row, NEEDED)
        return Action(
            kind, row.app, row.model_id, row.target, link=row.kind, reason=reason, old=row
        )

    def _is_leaving(self, target: Path, found: os.stat_result) -> bool:
        """Whether this is another spelling of a name that goes away, where case does not matter."""
        return self._leaving.get(caseless(str(target)), ()) == (found.st_dev, found.st_ino)

    def _taken(self, wish: Wish, file: SourceFile, found: os.stat_result | None) -> Action:
        """Something stands there that is not ours."""
        source = _stat(self._root / file.source)
        if wish.content is None and source is not None:
            leads_to = _stat(wish.target)
            if leads_to is not None and os.path.samestat(leads_to, source):
                return self._action(ActionKind.KEEP, wish, file, reason=LINK_OF_OTHERS)
            if _shares_data(wish.target, self._root / file.source):
                return self._action(ActionKind.KEEP, wish, file, reason=CLONE_OF_OTHERS)
        reason = f"{_kind_of(found)} that is not ours is there"
        return self._action(ActionKind.CONFLICT, wish, file, reason=reason)

    def _of_another(self, wish: Wish, file: SourceFile, row: Link) -> Action:
        is_well = is_ours(row, self._root) is LinkHealth.OK
        if is_well and _is_of(row, file):
            reason = f"is there for {row.app} already"
            return self._action(ActionKind.KEEP, wish, file, link=row.kind, reason=reason)
        reason = f"another link is there for {row.app}"
        return self._action(ActionKind.CONFLICT, wish, file, reason=reason)

    def _made(self, kind: ActionKind, wish: Wish, file: SourceFile, *, old: Link | None) -> Action:
        found = None if wish.content is not None else _lstat(f"{self._root}/{file.source}")
        if wish.content is None and (found is None or not stat.S_ISREG(found.st_mode)):
            return self._action(ActionKind.SKIP, wish, file, reason=SOURCE_GONE)
        problem = self._destinations.problem(wish.target.parent)
        if problem:
            bad = ActionKind.SKIP if is_offline_reason(problem) else ActionKind.CONFLICT
            return self._action(bad, wish, file, reason=problem)
        hiding = self._hiding(wish.target) if kind is ActionKind.CREATE else None
        if hiding is not None:
            reason = f"the application finds {hiding} under that name"
            return self._action(ActionKind.CONFLICT, wish, file, reason=reason)
        link, reason = self._destinations.choice(wish)
        if link is None:
            return self._action(ActionKind.SKIP, wish, file, reason=reason)
        row = Link(
            target=wish.target,
            app=self._app.name,
            model_id=wish.model_id,
            path=wish.path,
            kind=link,
            source=file.source,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            device=0,
            inode=0,
            mtime_ns=0,
            made_at="",
        )
        claim = self._claims.setdefault(self._destinations.place_of(wish.target), row)
        if claim is not row:
            return self._claimed(wish, file, claim)
        why = "" if kind is ActionKind.CREATE else _why(old, row)
        return self._action(kind, wish, file, link=link, reason=why, row=row, old=old)

    def _hiding(self, target: Path) -> Path | None:
        """A file that is not ours, of two of one name of which the application takes one."""
        places = (place for place in self._shadows(target) if place not in self._rows)
        return next((place for place in places if _lstat(place) is not None), None)

    def _claimed(self, wish: Wish, file: SourceFile, claim: Link) -> Action:
        if _is_of(claim, file):
            reason = f"is going to be there for {claim.app}"
            return self._action(ActionKind.KEEP, wish, file, reason=reason)
        reason = f"another link is going to be there for {claim.app}"
        return self._action(ActionKind.CONFLICT, wish, file, reason=reason)

    def _action(
        self,
        kind: ActionKind,
        wish: Wish,
        file: SourceFile,
        *,
        link: LinkKind | None = None,
        reason: str = "",
        row: Link | None = None,
        old: Link | None = None,
    ) -> Action:
        source = None if wish.content is not None else self._root / file.source
        return Action(
            kind,
            self._app.name,
            wish.model_id,
            wish.target,
            source=source,
            link=link,
            reason=reason,
            wish=wish,
            row=row,
            old=old,
        )


def _left(row: Link, reason: str) -> Action:
    return Action(ActionKind.SKIP, row.app, row.model_id, row.target, link=row.kind, reason=reason)


def _leads_nowhere(row: Link, health: LinkHealth) -> bool:
    return row.kind is LinkKind.SYMLINK and health is LinkHealth.SOURCE_GONE


def _is_of(row: Link, file: SourceFile) -> bool:
    # There is no digest of a model that nobody has read whole yet.
    digests = {row.sha256, file.sha256} - {""}
    return row.source == file.source and len(digests) <= 1


def _is_allowed(row: Link, wish: Wish) -> bool:
    return wish.content is not None or row.kind in wish.kinds


def _why(old: Link | None, row: Link) -> str:
    if old is not None and old.source != row.source:
        return "another file is wished for here"
    if old is not None and old.sha256 != row.sha256:
        return "its content is another now"
    if old is not None and old.kind is not row.kind:
        return f"was a {old.kind.value}"
    return "does not lead to the library's file any more"


def _may_be_last(row: Link, health: LinkHealth) -> bool:
    """Whether the bytes of the model may be lost with this link."""
    if health is not LinkHealth.SOURCE_GONE or row.kind is LinkKind.SYMLINK:
        return False
    found = _lstat(row.target)
    return row.kind is not LinkKind.HARDLINK or found is None or found.st_nlink < 2


def _kind_of(found: os.stat_result | None) -> str:
    if found is not None and stat.S_ISLNK(found.st_mode):
        return "a symbolic link"
    if found is not None and stat.S_ISDIR(found.st_mode):
        return "a folder"
    return "a file"


def _inode(path: Path) -> tuple[int, int] | tuple[()]:
    found = _lstat(path)
    return () if found is None else (found.st_dev, found.st_ino)


def _shares_data(path: Path, source: Path) -> bool:
    """Whether the disk tells that a file is a clone of the library's, as after an adoption."""
    if not path.is_file():
        return False
    with suppress(OSError):  # it may not be read
        key = data_key(path)
        return key is not None and key == data_key(source)
    return False


def _lstat(path: Path | str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # nothing, or a link that leads nowhere or round in a circle
        return None
