"""Copies what an inventory lists into a new library, and knows what of it is there already.

A unit is copied into the new library's staging folder and published under its name as a whole. What
an earlier run left, in either place, is read and counts only if its digests are those on record.
"""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelcellar.copying import windows
from modelcellar.io import hashing
from modelcellar.io.manager import IoManager
from modelcellar.io.trees import chmod, remove_tree, seal
from modelcellar.records import CopyJob, HashedFile
from modelcellar.relocate.inventory import Inventory, Part, Unit
from modelcellar.relocate.papers import bring_papers, remove_strangers
from modelcellar.reports import Damage, Progress

__all__ = ["Transfer", "remaining_bytes"]

WINDOW_UNITS = 256
WINDOW_BYTES = 16 << 30
"""How much is copied before it is published, which is what a kill can cost at most."""

STAGED = Path("staging", "relocate")
_OF_THE_TARGET = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


@dataclass(slots=True)
class _Work:
    """A unit that is being brought over, and those of its parts that are there and right."""

    unit: Unit
    staged: Path
    final: Path
    is_published: bool = False
    maybe: list[Part] = field(default_factory=list)
    has_others: bool = False
    good: set[str] = field(default_factory=set)
    is_bad: bool = False

    @property
    def good_bytes(self) -> int:
        return sum(part.size_bytes for part in self.unit.parts if part.path in self.good)

    @property
    def base(self) -> Path:
        return self.final if self.is_published else self.staged


class Transfer:
    """One run of copying from ``source`` to ``target``; may be asked to bring things repeatedly.

    Args:
        source: the old library's folder.
        target: the new one's.
        disks: runs the copies.
        reflink: whether copies may share their data with the originals.
        verify: ``disk`` reads every copy back from the disk.
        with_damaged: files that are not what is on record come along as they are.
        on_progress: told how far things are.
    """

    def __init__(
        self,
        source: Path,
        target: Path,
        *,
        disks: IoManager,
        reflink: hashing.Reflink,
        verify: hashing.Verify,
        with_damaged: bool,
        on_progress: Callable[[Progress], object] | None,
    ) -> None:
        self._source = source
        self._target = target
        self._disks = disks
        self._reflink: hashing.Reflink = reflink
        self._verify: hashing.Verify = verify
        self._with_damaged = with_damaged
        self._on_progress = on_progress
        self._there: dict[str, Unit] = {}
        self._damage: dict[str, list[Damage]] = {}
        self._total = Inventory((), (), (), ())
        self._done_bytes = 0
        self.copied_bytes = 0
        self.kept_bytes = 0

    @property
    def damaged(self) -> tuple[Damage, ...]:
        """What of the last inventory was not what is on record."""
        return tuple(one for damage in self._damage.values() for one in damage)

    @property
    def is_whole(self) -> bool:
        """Whether no model was damaged; what is in the trash comes along as it is."""
        return not any(place.startswith("models/") for place in self._damage)

    def bring(self, inventory: Inventory) -> None:
        """Copy what is not there yet, and take away what is not in the inventory any more.

        Raises:
            OSError: the new disk is full or fails; what is there is found by the next run.
        """
        self.bring_units(inventory)
        remove_strangers(inventory, self._source, self._target)
        bring_papers(inventory.papers, self._source, self._target, self._target / STAGED)

    def bring_units(self, inventory: Inventory) -> None:
        """Copy the models that are not there yet; as :meth:`bring`."""
        self._total = inventory
        wanted = {unit.place for unit in inventory.units}
        self._there = {place: unit for place, unit in self._there.items() if place in wanted}
        self._damage = {place: one for place, one in self._damage.items() if place in wanted}
        todo = [unit for unit in inventory.units if self._there.get(unit.place) != unit]
        self._done_bytes = inventory.size_bytes - sum(unit.size_bytes for unit in todo)
        for window in windows(todo, most=WINDOW_UNITS, most_bytes=WINDOW_BYTES):
            self._bring_window(window)

    def _bring_window(self, units: Sequence[Unit]) -> None:
        for unit in units:
            self._damage.pop(unit.place, None)
            self._there.pop(unit.place, None)
        works = [self._look(unit) for unit in units]
        self._check_what_is_there(works)
        self._copy([work for work in works if not work.is_published])
        ready = [work for work in works if not (work.is_published or work.is_bad)]
        self._publish(ready)
        for work in works:
            if work.unit.is_model and not work.is_bad:
                # Also of what an earlier run published and had no time to protect.
                chmod(work.final, 0o555)
            if not work.is_bad:
                self._there[work.unit.place] = work.unit
        self._done_bytes += sum(unit.size_bytes for unit in units)

    def _look(self, unit: Unit) -> _Work:
        final = self._target / unit.place
        work = _Work(unit, self._target / STAGED / unit.place, final, final.is_dir())
        found = dict(_files(work.base))
        for part in unit.parts:
            # What nobody wrote the digests down of is copied again.
            if found.get(part.path) == part.size_bytes and part.digests is not None:
                work.maybe.append(part)
        work.has_others = len(found) > len(work.maybe)
        return work

    def _check_what_is_there(self, works: Sequence[_Work]) -> None:
        asked = [(work, part) for work in works for part in work.maybe]
        paths = [work.base / part.path for work, part in asked]
        done = self._done_bytes
        results = self._disks.hash_many(
            paths, progress=lambda read, _: self._tell("check", done + read, works)
        )
        for (work, part), result in zip(asked, results, strict=True):
            if isinstance(result, HashedFile) and result.digests == part.digests:
                work.good.add(part.path)
        for work in works:
            is_whole = len(work.good) == len(work.unit.parts) and not work.has_others
            if work.is_published and not is_whole:
                remove_tree(work.final)
                work.is_published, work.good = False, set()
            self.kept_bytes += work.good_bytes

    def _copy(self, works: Sequence[_Work]) -> None:
        asked = [(work, part) for work in works for part in self._prepare(work)]
        jobs = [
            CopyJob(self._source / work.unit.place / part.path, work.staged / part.path)
            for work, part in asked
        ]
        done = self._done_bytes + sum(work.good_bytes for work in works)
        results = self._disks.copy_many(
            jobs,
            reflink=self._reflink,
            verify=self._verify,
            progress=lambda read, _: self._tell("copy", done + read, works),
        )
        for (work, part), result in zip(asked, results, strict=True):
            self._judge(work, part, result)

    def _prepare(self, work: _Work) -> list[Part]:
        """Make the staged folder hold nothing but what is right; the parts that are to come."""
        work.staged.mkdir(parents=True, exist_ok=True)
        for folder, _, _ in os.walk(work.staged):
            chmod(Path(folder), 0o755)
        for path, _ in list(_files(work.staged)):
            if path not in work.good:
                (work.staged / path).unlink()
        missing = [part for part in work.unit.parts if part.path not in work.good]
        for part in missing:
            (work.staged / part.path).parent.mkdir(parents=True, exist_ok=True)
        return missing

    def _judge(self, work: _Work, part: Part, result: HashedFile | OSError) -> None:
        if isinstance(result, OSError):
            if result.errno in _OF_THE_TARGET or self._is_of_the_target(result):
                raise result
            is_missing = isinstance(result, FileNotFoundError | NotADirectoryError)
            actual = "missing" if is_missing else f"unreadable: {result.strerror or result}"
        else:
            self.copied_bytes += result.size_bytes
            if part.digests is None or result.digests == part.digests:
                return
            actual = result.digests.blake3
        model_id = work.unit.place.rpartition("/")[2]
        expected = "" if part.digests is None else part.digests.blake3
        damage = Damage(model_id, part.path, expected, actual)
        self._damage.setdefault(work.unit.place, []).append(damage)
        if not self._with_damaged and work.unit.is_model:
            work.is_bad = True
            (work.staged / part.path).unlink(missing_ok=True)

    def _is_of_the_target(self, error: OSError) -> bool:
        names = [name for name in (error.filename, error.filename2) if name is not None]
        return any(Path(os.fsdecode(name)).is_relative_to(self._target) for name in names)

    def _publish(self, works: Sequence[_Work]) -> None:
        for work in works:
            seal(work.staged)
        flags = hashing.publish([(work.staged, work.final) for work in works])
        if not all(flags):
            raise FileExistsError(errno.EEXIST, "taken meanwhile", str(self._target))

    def _tell(self, phase: str, done_bytes: int, works: Sequence[_Work]) -> None:
        if self._on_progress is not None and works:
            total = self._total
            current = works[0].unit.place
            units = len(self._there)
            self._on_progress(
                Progress(phase, units, len(total.units), done_bytes, total.size_bytes, current)
            )


def remaining_bytes(inventory: Inventory, target: Path) -> int:
    """Bytes that are not in ``target`` yet, by the sizes of what is there."""
    missing = 0
    for unit in inventory.units:
        final = target / unit.place
        there = dict(_files(final if final.is_dir() else target / STAGED / unit.place))
        missing += sum(p.size_bytes for p in unit.parts if there.get(p.path) != p.size_bytes)
    return missing


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Every file below a folder of ours, with its size."""
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            yield path.relative_to(folder).as_posix(), path.lstat().st_size
