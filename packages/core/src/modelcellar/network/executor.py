"""Threads for what blocks, which keep no command from ending.

Python waits at its end for every thread of a ``ThreadPoolExecutor``, and a name look-up on a dead
line takes half a minute that nothing can cut short.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

__all__ = ["DaemonExecutor"]

IDLE_S = 5.0
"""How long a thread waits for another call. To start one takes a third of a millisecond, which
counts where a thousand small files are fetched."""

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Work = Callable[[], None]


class DaemonExecutor(ThreadPoolExecutor):
    """Each call in a daemon thread that does nothing else meanwhile, as many as there are calls.

    What still runs at the end is left alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._resting: list[queue.SimpleQueue[_Work]] = []

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> "Future[_T]":
        """Start ``fn`` and return at once."""
        future: Future[_T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits for it
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            inbox = self._resting.pop() if self._resting else None
        if inbox is not None:
            inbox.put(run)
        else:
            threading.Thread(target=self._work, args=(run,), daemon=True).start()
        return future

    def _work(self, run: _Work) -> None:
        inbox: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        while True:
            run()
            del run  # it holds the result, and what it was made of
            with self._lock:
                self._resting.append(inbox)
            try:
                run = inbox.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    if inbox in self._resting:
                        self._resting.remove(inbox)
                        return
                run = inbox.get()  # a call was given to it in this very moment
