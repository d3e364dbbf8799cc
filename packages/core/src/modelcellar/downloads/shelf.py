"""The place of unfinished downloads: ``staging/downloads``, a few files for each content.

``<key>.part`` are its bytes, ``<key>.record`` tells which of them are written, ``<key>.json`` what
it is for people, ``<key>.taken`` is somebody's file while it is looked at whether it is the same,
``<key>.file`` is all of it and proved. Whoever works on it holds ``<key>.lock``.
The key is the digest, so that it does not matter which address the bytes come from.
"""

import errno
import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelcellar.io.hashing import ArrivingFile
from modelcellar.io.locking import try_lock
from modelcellar.io.trees import chmod
from modelcellar.layout import DOWNLOADS
from modelcellar.records import JsonValue

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["PIECE_BYTES", "Note", "Shelf", "Slot"]

log = logging.getLogger(__name__)

PIECE_BYTES = 16 << 20
"""One connection fetches such a piece from its beginning to its end; how far it is is on record."""
_READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_MAX_NOTE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one content lies until it is a part of a model."""

    folder: Path
    key: str

    @property
    def part(self) -> Path:
        """The bytes that have come so far, in their places."""
        return self.folder / f"{self.key}.part"

    @property
    def record(self) -> Path:
        """Which bytes of the part have come; its format is that of the extension."""
        return self.folder / f"{self.key}.record"

    @property
    def note(self) -> Path:
        """What it is, for people and for later runs."""
        return self.folder / f"{self.key}.json"

    @property
    def taken(self) -> Path:
        """A file from somewhere else that is not proved yet."""
        return self.folder / f"{self.key}.taken"

    @property
    def done(self) -> Path:
        """All of it; its digest was found to be what was published."""
        return self.folder / f"{self.key}.file"

    @property
    def lock(self) -> Path:
        """Held by the process that works on it."""
        return self.folder / f"{self.key}.lock"


@dataclass(frozen=True, slots=True)
class Note:
    """What is written down about a content: where it was asked for, when, for which command.

    ``arguments`` are those of ``cellar download`` after the target.
    """

    key: str
    target: str
    arguments: tuple[str, ...]
    provider: str
    place: str
    path: str
    size_bytes: int
    began_at: str


class Shelf:
    """The unfinished downloads of one library, for one process. Close it to let go of the locks."""

    def __init__(self, root: Path, *, piece_bytes: int = PIECE_BYTES) -> None:
        self.folder = root / "staging" / DOWNLOADS
        self.piece_bytes = piece_bytes
        self._held: dict[str, BaseFileLock] = {}

    def close(self) -> None:
        """Let others work on what this process worked on."""
        for key in list(self._held):
            slot = self.slot(key)
            if not any(path.exists() for path in (slot.part, slot.taken, slot.done, slot.note)):
                slot.lock.unlink(missing_ok=True)  # it was claimed in vain
            self.release(key)

    def slot(self, key: str) -> Slot:
        """The place of a content."""
        return Slot(self.folder, key)

    def claim(self, key: str) -> bool:
        """Work on a content; ``False`` while another process does.

        Raises:
            OSError: the library cannot be written to.
        """
        if key in self._held:
            return True
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.slot(key).lock
        while True:
            path.touch()
            before = _inode(path)
            lock = try_lock(path, 0)
            if lock is None:
                return False
            if before is not None and before == _inode(path):
                self._held[key] = lock
                return True
            # Its last holder was done with it, and took the file away that was locked here.
            lock.release()

    def release(self, key: str) -> None:
        """Let others work on it."""
        lock = self._held.pop(key, None)
        if lock is not None:
            lock.release()

    def open(self, key: str, size_bytes: int) -> ArrivingFile:
        """The bytes of a claimed content, its space reserved; goes on with what is there.

        Raises:
            OSError: there is no room for it, or the disk fails.
        """
        slot = self.slot(key)
        return ArrivingFile(slot.part, slot.record, size_bytes, piece_bytes=self.piece_bytes)

    def held_bytes(self, key: str, size_bytes: int) -> int:
        """How many bytes of a content an earlier run has left; 0 where others work on it, or nobody
        can, since the library can only be read."""
        slot = self.slot(key)
        if not (slot.part.exists() and slot.record.exists()) or not self._may_claim(key):
            return 0
        arriving = self.open(key, size_bytes)
        try:
            return arriving.written_bytes
        finally:
            arriving.close()

    def _may_claim(self, key: str) -> bool:
        try:
            return self.claim(key)
        except OSError as error:
            if error.errno not in _READ_ONLY:
                raise
            return False

    def finish(self, key: str, came: Path | None = None) -> Path:
        """Call a claimed content complete and proved; where it is now.

        ``came`` is where all of it is, by default in its part.
        """
        slot = self.slot(key)
        # Protected under its last name: a part that can only be read nobody could go on with.
        (came or slot.part).replace(slot.done)
        self.protect(key)
        for path in (slot.record, slot.part):
            path.unlink(missing_ok=True)
        return slot.done

    def protect(self, key: str) -> None:
        """Let nobody write to a complete content.

        It gets a second name soon, and files with several are not write-protected then. One that
        has several already is somebody else's as well.
        """
        done = self.slot(key).done
        with suppress(FileNotFoundError):  # another process has just taken it into the library
            if done.lstat().st_nlink == 1:
                chmod(done, 0o444)

    def drop(self, key: str) -> None:
        """Forget a content, and let go of it; one that another process works on stays.

        Raises:
            OSError: the library cannot be written to.
        """
        if not self.claim(key):
            return
        slot = self.slot(key)
        for path in (slot.record, slot.part, slot.taken, slot.done, slot.note, slot.lock):
            path.unlink(missing_ok=True)
        self.release(key)

    def write_note(self, note: Note) -> None:
        """Write down what a claimed content is."""
        path = self.slot(note.key).note
        staged = path.with_suffix(f".json-{os.getpid()}")
        staged.write_text(json.dumps(asdict(note)) + "\n", encoding="utf-8")
        staged.replace(path)

    def notes(self) -> Iterator[Note]:
        """What is on the shelf, as far as that was written down."""
        for path in sorted(self.folder.glob("*.json")):
            with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
                with path.open("rb") as file:
                    note = _note(json.loads(file.read(_MAX_NOTE_BYTES)))
                if note.key == path.stem:
                    yield note

    def tidy(self) -> None:
        """Take away what nobody can go on with: notes half written, and the folder if empty."""
        for path in self.folder.glob("*.json-*"):
            path.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()


def _note(document: JsonValue) -> Note:
    """A note as it was written. Raises ``TypeError`` for what is none."""
    note = Note(**{**document, "arguments": tuple(document["arguments"])})
    texts = (note.key, note.target, note.provider, note.place, note.path, note.began_at)
    if not all(isinstance(one, str) for one in (*texts, *note.arguments)):
        raise TypeError("a text was expected")
    if type(note.size_bytes) is not int or note.size_bytes < 0:
        raise TypeError("a size was expected")
    return note


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
