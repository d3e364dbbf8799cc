"""Hard links in the place of equal files, each step written down before, so that all go back.

One record is a file of JSON lines in the user's state folder: which files lie where is a fact about
this machine and has no place in a library. It belongs to one run; every swap has a line before it
begins and one after it is done, both on the disk before the next step.
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from modelcellar.dedupe_records import OWN_PREFIX, DiskFile
from modelcellar.errors import LibraryBusyError, LibraryFormatError
from modelcellar.io import hashing
from modelcellar.io.attributes import Attributes
from modelcellar.io.bytewise import are_equal
from modelcellar.io.locking import try_lock
from modelcellar.records import JsonValue
from modelcellar.swap_steps import Swap, changed, put_in_place, separate, settle_one

__all__ = ["SwapRecord", "only_one"]


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
            put_in_place(aside, target, old)
        except OSError:
            if not os.path.lexists(aside):
                self._write({"undone": number})
            elif swap.is_kept_file(aside):
                aside.unlink()  # one of several names of the kept file
                self._write({"undone": number})
            raise  # else it is the old file, which the next run puts back
        hashing.sync_folder(target.parent)
        with suppress(OSError):  # it is done, and who settles it sees that
            self._write({"done": number})

    def settle(self) -> list[Path]:
        """Take back what was begun and cut short; returns what had to be left, to be looked at."""
        left = []
        for number, swap, state in self._swaps():
            if state != "begun":
                continue
            if (settled := settle_one(swap)) is None:
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
                separate(swap)
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
        with self.path.open("a+b") as file:
            _cut_to_whole_lines(file)
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


def _cut_to_whole_lines(file: BinaryIO) -> None:
    """Take away a last line that was cut short, by a full disk say: none may go on from it."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read() != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


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
