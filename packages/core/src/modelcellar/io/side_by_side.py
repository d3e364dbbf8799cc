"""Several blocking jobs at the same time, for a caller who need not know about threads."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Protocol

__all__ = ["Caller", "Stopped", "run_side_by_side"]


class Stopped(Exception):  # noqa: N818  (not an error: it is what ends a job of which nothing is wanted)
    """Raised inside a job when the others have been given up."""


class Caller(Protocol):
    """What a job may ask of the thread that waits for it."""

    def call(self, function: Callable[[], object]) -> None:
        """Have ``function`` called in the caller's thread, soon."""

    def check(self) -> None:
        """Go on.

        Raises:
            Stopped: the caller wants no more.
        """


def run_side_by_side(jobs: Sequence[Callable[[Caller], object]]) -> None:
    """Run ``jobs``, one of them right here, several on a thread each; returns when all have ended.

    What a job raises, what the functions raise that it wants called, and Ctrl-C end all: the jobs
    hear of it at their next :meth:`Caller.check`, and have ended when it comes out here.
    """
    if len(jobs) <= 1:
        for job in jobs:
            job(_Here())
        return
    there = _There()
    with ThreadPoolExecutor(len(jobs), thread_name_prefix="cellar-disk") as pool:
        try:
            running = [pool.submit(job, there) for job in jobs]
            for future in running:
                future.add_done_callback(there.ended)
            there.answer(len(running))
        finally:
            # Those that still run when something was raised; nothing to anybody otherwise.
            there.stopping.set()


class _Here:
    """The job runs in the caller's thread, which a signal reaches by itself."""

    def call(self, function: Callable[[], object]) -> None:
        function()

    def check(self) -> None:
        pass


class _There:
    """The caller's thread does nothing but call what the jobs want called."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._wanted: SimpleQueue[Callable[[], object] | Future[object]] = SimpleQueue()

    def call(self, function: Callable[[], object]) -> None:
        self._wanted.put(function)

    def check(self) -> None:
        if self.stopping.is_set():
            raise Stopped

    def ended(self, future: "Future[object]") -> None:
        self._wanted.put(future)

    def answer(self, jobs: int) -> None:
        """Call what is wanted until all jobs have ended; raises what the first failure raised."""
        while jobs:
            wanted = self._wanted.get()
            if isinstance(wanted, Future):
                jobs -= 1
                wanted.result()
            else:
                wanted()
