"""Hard links in the place of equal files, each step written down before, so that all go back.

One record is a file of JSON lines in the user's state folder: which files lie where is a fact about
this machine and has no place in a library. It belongs to one run; every swap has a line before it
begins and one after it is done, both on the disk before the next step.
"""

import errno
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelcellar.dedupe_records import OWN_PREFIX, DiskFile
from modelcellar.errors import LibraryBusyError, LibraryFormatError
from modelcellar.io import hashing
from modelcellar.io.attributes import Attributes
from modelcellar.io.bytewise import are_equal
from modelcellar.io.cloning import swap_names
from modelcellar.io.locking import try_lock
from modelcellar.records import JsonValue

__all__ = ["Swap", "SwapRecord", "changed", "only_one"]


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the records: another process's swap under way must not look like one cut short.

    Raises:
        LibraryBusyError: another process holds them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = try_lock(folder / ".lock", 0)
    if held is None:
        raise LibraryBusyError(
            "another process is making hard links of equal files, or takes them back",
            "Wait for it and run the command again.",
        )
    try:
        yield
    finally:
        held.release()


@dataclass(frozen=True, slots=True)
class Swap:
    """One name that was of a file of its own and became a name of ``keep``.

    ``aside`` is where the new name is made and where the old file stands for a moment.
    """

    keep: Path
    target: Path
    aside: Path
    device: int
    inode: int
    size_bytes: int
    mtime_ns: int
    attributes: Attributes
    """Permissions, owner, times and extended attributes of the old file."""

    def is_kept_file(self, path: Path) -> bool:
        """Whether ``path`` is a name of the kept file."""
        try:
            now = path.lstat()
        except OSError:
            return False
        return (now.st_dev, now.st_ino) == (self.device, self.inode)

    def is_kept_content(self, path: Path) -> bool:
        """Whether it is, and nobody has written into that file since."""
        if not self.is_kept_file(path):
            return False
        now = path.lstat()
        return (now.st_size, now.st_mtime_ns) == (self.size_bytes, self.mtime_ns)


class SwapRecord:
    """The record of one run, ``<folder>/<entry id>.jsonl``. Not made before the first swap."""

    def __init__(self, folder: Path, entry_id: str) -> None:
        self.path = folder / f"{entry_id}.jsonl"
        self._count: int | None = None

    @classmethod
    def all_in(cls, folder: Path) -> list["SwapRecord"]:
        """Every record, the newest first."""
        return [cls(folder, path.stem) for path in sorted(folder.glob("*.jsonl"), reverse=True)]

    def swap(self, keep: DiskFile, old: DiskFile, target: Path) -> None:
        """Make ``target``, a name of ``old``, a name of ``keep``; the bytes are compared again.

        Raises:
            OSError: ``ESTALE`` if one of them changed, or the disk fails; both are as they were.
        """
        aside = target.with_name(f"{OWN_PREFIX}{secrets.token_hex(8)}.aside")
        swap = Swap(
            keep.path,
            target,
            aside,
            keep.device,
            keep.inode,
            keep.size_bytes,
            keep.mtime_ns,
            Attributes.of(target),
        )
        number = self._begin(swap)
        try:
            os.link(keep.path, aside)
            is_equal = are_equal(keep.path, target)
            if not is_equal or not keep.is_unchanged(keep.path) or not old.is_unchanged(target):
                raise changed(target)
            _put_in_place(aside, target, old)
        except OSError:
            if not os.path.lexists(aside):
                self._write({"undone": number})
            elif swap.is_kept_file(aside):
                aside.unlink()  # one of several names of the kept file
                self._write({"undone": number})
            raise  # else it is the old file, which the next run puts back
        hashing.sync_folder(target.parent)
        self._write({"done": number})

    def settle(self) -> list[Path]:
        """Take back what was begun and cut short; returns what had to be left, to be looked at."""
        left = []
        for number, swap, state in self._swaps():
            if state != "begun":
                continue
            if (settled := _settle(swap)) is None:
                left.append(swap.aside)
            else:
                self._write({settled: number})
        return left

    def is_in_force(self) -> bool:
        """Whether there is a link to take back."""
        return any(state != "undone" for _, _, state in self._swaps())

    def undo(self) -> tuple[list[Path], list[Path]]:
        """Make files of their own again of all links: which, and which are not ours any more.

        Raises:
            OSError: the disk is full or fails. What is done is done; the next call does the rest.
        """
        back, foreign = [], []
        for number, swap, state in reversed(list(self._swaps())):
            if state == "undone":
                continue
            if state == "begun":
                foreign.append(swap.aside)  # not even settling could tell what is what there
            elif swap.is_kept_file(swap.target):
                _separate(swap)
                back.append(swap.target)
            else:
                foreign.append(swap.target)
            self._write({"undone": number})
        return back, foreign

    def _begin(self, swap: Swap) -> int:
        number = sum(1 for _ in self._swaps()) if self._count is None else self._count
        self._count = number + 1
        self._write(
            {
                "begun": number,
                "keep": os.fspath(swap.keep.absolute()),
                "target": os.fspath(swap.target.absolute()),
                "aside": os.fspath(swap.aside.absolute()),
                "kept": [swap.device, swap.inode, swap.size_bytes, swap.mtime_ns],
                "attributes": swap.attributes.to_json(),
            }
        )
        return number

    def _write(self, line: JsonValue) -> None:
        is_new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            hashing.sync_folder(self.path.parent)

    def _swaps(self) -> Iterator[tuple[int, Swap, str]]:
        """Every swap with its number and how far it is: ``begun``, ``done`` or ``undone``."""
        if not self.path.exists():
            return
        begun: dict[int, Swap] = {}
        states: dict[int, str] = {}
        # A last line without its end was cut short before anything was done for it.
        for line in self.path.read_bytes().split(b"\n")[:-1]:
            try:
                document = json.loads(line)
                state = next(one for one in ("begun", "done", "undone") if one in document)
                number = int(document[state])
                states[number] = state
                if state == "begun":
                    begun[number] = _read(document)
            except (ValueError, KeyError, TypeError, StopIteration) as error:
                raise LibraryFormatError(
                    f"{self.path} is no record of links: {error!r}", "Move the file away."
                ) from error
        for number, swap in begun.items():
            yield number, swap, states[number]


def _read(document: JsonValue) -> Swap:
    device, inode, size_bytes, mtime_ns = (int(value) for value in document["kept"])
    return Swap(
        Path(document["keep"]),
        Path(document["target"]),
        Path(document["aside"]),
        device,
        inode,
        size_bytes,
        mtime_ns,
        Attributes.from_json(document["attributes"]),
    )


def changed(path: Path) -> OSError:
    """The error for a file that is not what it was when it was looked at."""
    return OSError(errno.ESTALE, "changed since it was read; nothing was done", os.fspath(path))


def _put_in_place(aside: Path, target: Path, old: DiskFile) -> None:
    """Let the new name take the place of the old file, which goes only if nobody wrote into it."""
    try:
        swap_names(aside, target)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        if not old.is_unchanged(target):
            raise changed(target) from None
        aside.replace(target)
        return
    # By now no one can open the old file by its name; who had it open may have written.
    if not old.is_unchanged(aside):
        swap_names(aside, target)
        raise changed(target)
    aside.unlink()


def _settle(swap: Swap) -> str | None:
    """Take back a swap that was cut short, unless it was as good as done.

    Returns what it is now, or ``None`` where it is not clear any more what is what.
    """
    if not os.path.lexists(swap.aside):
        # After its last step, or before its first.
        return "done" if swap.is_kept_file(swap.target) else "undone"
    if swap.is_kept_file(swap.aside):
        if swap.aside.lstat().st_nlink == 1:
            return None
        swap.aside.unlink()
        return "undone"
    # The old file. It goes back where it was, unless somebody has written through the new name.
    if not swap.is_kept_content(swap.target) or swap.target.lstat().st_nlink == 1:
        return None
    swap.aside.replace(swap.target)
    hashing.sync_folder(swap.target.parent)
    return "undone"


def _separate(swap: Swap) -> None:
    """Put a file of its own in the place of the link, with what the file had that stood there."""
    before = swap.target.lstat()
    swap.aside.unlink(missing_ok=True)  # a copy of an undo that was cut short
    try:
        # Not by way of a name that no record knows: what is cut short is tidied by the next undo.
        hashing.copy_with_hashing(swap.target, swap.aside, publish=False)
        with swap.aside.open("rb") as copy:
            os.fsync(copy.fileno())
        swap.attributes.put_on(swap.aside)
        now = swap.target.lstat()
        if (now.st_ino, now.st_mtime_ns) != (before.st_ino, before.st_mtime_ns):
            raise changed(swap.target)
        swap.aside.replace(swap.target)
    except OSError:
        swap.aside.unlink(missing_ok=True)
        raise
    hashing.sync_folder(swap.target.parent)
