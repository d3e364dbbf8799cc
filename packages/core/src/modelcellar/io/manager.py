"""Runs copies and digests as suits the storage under the files.

:mod:`~modelcellar.io.plans` says what is done how, :mod:`~modelcellar.io.tokens` when it may begin.
Disks that have nothing to do with each other work at the same time.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelcellar.io import hashing
from modelcellar.io.climbing import SLICE_BYTES, Climb
from modelcellar.io.drives import get_drive
from modelcellar.io.plans import FileFacts, Plan, make_plans
from modelcellar.io.side_by_side import Caller, run_side_by_side
from modelcellar.io.tokens import SHARED_TOKENS, Tokens
from modelcellar.records import CopyJob, Drive, DriveKind, DriveOverride, HashedFile

__all__ = ["IoManager"]

MEASURED_FROM_BYTES = 64 << 20
"""So much work is worth a look at the drive; less is done before that pays."""

MOST_STREAMS = 4 * (os.cpu_count() or 1)
"""More than the engine works on at the same time are none."""

_Results = dict[int, HashedFile | OSError]


@dataclass(slots=True)
class IoManager:
    """Runs the copies and digests of one command, each disk's files in one go.

    Args:
        overrides: the user's word about drives.
        drive_of: finds out about the drive that a path is on.
        tokens: shared with all whose jobs must not disturb these.
    """

    overrides: Sequence[DriveOverride] = ()
    drive_of: Callable[..., Drive] = get_drive
    tokens: Tokens = SHARED_TOKENS
    _drives: dict[int, Drive] = field(default_factory=dict)
    _told: dict[int, Drive] = field(default_factory=dict)
    _climbs: dict[frozenset[str], Climb] = field(default_factory=dict)

    def copy_many(
        self,
        jobs: Sequence[CopyJob],
        *,
        reflink: hashing.Reflink = "auto",
        verify: hashing.Verify = "memory",
        found: _Results | None = None,
        on_done: hashing.OnDone | None = None,
        progress: hashing.ByteProgress | None = None,
    ) -> list[HashedFile | OSError]:
        """:func:`modelcellar.io.hashing.copy_many`, as it suits the drives of each job."""
        results: _Results = {} if found is None else found

        def work(plan: Plan, report: "_Report") -> None:
            mine: _Results = {}
            try:
                hashing.copy_many(
                    [jobs[number] for number in plan.order],
                    streams=plan.streams,
                    alternate=plan.alternate,
                    reflink=reflink,
                    verify=verify,
                    found=mine,
                    on_done=report.on_done(plan),
                    progress=report.progress,
                )
            finally:
                results.update({plan.order[number]: result for number, result in mine.items()})

        target = jobs[0].target.parent if jobs else None
        callbacks = _Callbacks(on_done, progress, passes=2 if verify == "disk" else 1)
        self._run([job.source for job in jobs], target, work, callbacks)
        return [results[number] for number in range(len(jobs))]

    def hash_many(
        self,
        paths: Sequence[Path],
        *,
        from_disk: bool = False,
        on_done: hashing.OnDone | None = None,
        progress: hashing.ByteProgress | None = None,
    ) -> list[HashedFile | OSError]:
        """:func:`modelcellar.io.hashing.hash_many`, as it suits the drive of each file."""
        results: _Results = {}

        def work(plan: Plan, report: "_Report") -> None:
            mine = hashing.hash_many(
                [paths[number] for number in plan.order],
                streams=plan.streams,
                from_disk=from_disk,
                on_done=report.on_done(plan),
                progress=report.progress,
            )
            results.update(zip(plan.order, mine, strict=True))

        self._run(paths, None, work, _Callbacks(on_done, progress))
        return [results[number] for number in range(len(paths))]

    def drive(self, path: Path) -> Drive:
        """The drive under ``path``.

        Raises:
            OSError: there is nothing at ``path``.
        """
        return self.drive_of(path, overrides=self.overrides)

    def plan(self, sources: Sequence[Path], target: Path | None) -> Iterator[Plan]:
        """How ``sources`` would be read, and written below ``target`` if there is one."""
        facts = [FileFacts.of(path) for path in sources]
        return make_plans(sources, facts, target, self._drive)

    def _run(
        self,
        sources: Sequence[Path],
        target: Path | None,
        work: Callable[[Plan, "_Report"], None],
        callbacks: "_Callbacks",
    ) -> None:
        _CALLBACK.forbid()
        facts = [FileFacts.of(path) for path in sources]
        callbacks.total_bytes = callbacks.passes * sum(fact.size_bytes for fact in facts)

        def job(plan: Plan) -> Callable[[Caller], None]:
            def run(caller: Caller) -> None:
                with self.tokens.hold(plan.shares, check=caller.check):
                    for part, climb in self._parts(plan, facts):
                        size_bytes = sum(facts[number].size_bytes for number in part.order)
                        report = _Report(callbacks, caller)
                        begin = time.perf_counter()
                        work(part, report)
                        report.progress(callbacks.passes * size_bytes, size_bytes)
                        if climb is not None:
                            climb.measured(size_bytes, time.perf_counter() - begin)

            return run

        plans = list(make_plans(sources, facts, target, self._drive))
        run_side_by_side([job(plan) for plan in plans])

    def _parts(self, plan: Plan, facts: Sequence[FileFacts]) -> Iterator[tuple[Plan, Climb | None]]:
        """The plan, or parts of it that are each a step of the climb; with what wants to learn."""
        if not plan.climbing:
            yield plan, None
            return
        climb = self._climbs.setdefault(plan.climbing, Climb(plan.streams, MOST_STREAMS))
        rest = plan.order
        while not climb.settled:
            count = _step(rest, facts, climb.streams)
            if not count:
                break
            yield replace(plan, order=rest[:count], streams=climb.streams), climb
            rest = rest[count:]
        if rest:
            yield replace(plan, order=rest, streams=climb.streams), None

    def _drive(self, path: Path, size_bytes: int) -> Drive | None:
        """The drive of ``path``; ``None`` where it cannot be told or is not worth asking."""
        try:
            device = path.stat().st_dev
            if device not in self._drives and size_bytes < MEASURED_FROM_BYTES:
                # Too little to measure a drive for. One that is known to seek is asked in order.
                if device not in self._told:
                    self._told[device] = self.drive_of(path, overrides=self.overrides, prober=None)
                told = self._told[device]
                return told if told.kind is DriveKind.HDD else None
            if device not in self._drives:
                self._drives[device] = self.drive(path)
        except OSError:
            return None
        return self._drives[device]


def _step(order: Sequence[int], facts: Sequence[FileFacts], streams: int) -> int:
    """How many of the files make a measurement of ``streams``; 0 when all are too few."""
    size_bytes = 0
    for count, number in enumerate(order, 1):
        size_bytes += facts[number].size_bytes
        if size_bytes >= SLICE_BYTES and count >= 2 * streams:
            return count
    return 0


@dataclass(slots=True)
class _Callbacks:
    """What the caller wants to hear, in his own thread."""

    on_done: hashing.OnDone | None
    progress: hashing.ByteProgress | None
    passes: int = 1
    total_bytes: int = 0
    done_bytes: int = 0

    def advance(self, size_bytes: int) -> None:
        self.done_bytes += size_bytes
        if self.progress is not None:
            with _CALLBACK.inside():
                self.progress(self.done_bytes, self.total_bytes)

    def tell(self, number: int, result: HashedFile | OSError) -> None:
        if self.on_done is not None:
            with _CALLBACK.inside():
                self.on_done(number, result)


@dataclass(slots=True)
class _Report:
    """Passes on what one call of the engine reports, perhaps from another thread."""

    callbacks: _Callbacks
    caller: Caller
    done_bytes: int = 0

    def progress(self, done_bytes: int, _total_bytes: int) -> None:
        self.caller.check()
        more = done_bytes - self.done_bytes
        self.done_bytes = done_bytes
        if more:
            self.caller.call(lambda: self.callbacks.advance(more))

    def on_done(self, plan: Plan) -> hashing.OnDone | None:
        if self.callbacks.on_done is None:
            return None

        def told(number: int, result: HashedFile | OSError) -> None:
            self.caller.call(lambda: self.callbacks.tell(plan.order[number], result))

        return told


class _Callback(threading.local):
    """Whether this thread is in a callback. Its job has the drive until it comes back."""

    is_running = False

    @contextmanager
    def inside(self) -> Iterator[None]:
        self.is_running = True
        try:
            yield
        finally:
            self.is_running = False

    def forbid(self) -> None:
        if self.is_running:
            raise RuntimeError("a callback asked for more work on drives; it would wait for itself")


_CALLBACK = _Callback()
