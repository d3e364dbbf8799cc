"""What an import hands to the thread that looks up where its files are from."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from modelcellar.records import FileRecord
from modelcellar.sources import Source

__all__ = ["Ask", "Inbox"]


@dataclass(frozen=True, slots=True)
class Ask:
    """A source that is being copied (no ``records`` yet), or has been, under the asker's key."""

    source: Source
    key: str = ""
    records: tuple[FileRecord, ...] = ()


class Inbox:
    """What one thread puts in and another takes out, which is told when there is something."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asks: list[Ask] = []
        self._tell: Callable[[], object] | None = None
        self._is_closed = False

    def put(self, ask: Ask) -> None:
        """Hand something over."""
        with self._lock:
            self._asks.append(ask)
        self._notify()

    def close(self) -> None:
        """Nothing more will come."""
        self._is_closed = True
        self._notify()

    def attach(self, tell: Callable[[], object]) -> None:
        """Have ``tell`` called, in the thread of whoever puts something in, for each change."""
        self._tell = tell
        tell()

    def take(self) -> tuple[list[Ask], bool]:
        """All that is there, and whether more may come."""
        with self._lock:
            asks, self._asks = self._asks, []
            return asks, not self._is_closed

    def _notify(self) -> None:
        if self._tell is not None:
            self._tell()
