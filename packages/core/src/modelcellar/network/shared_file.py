"""A small JSON file that the processes of one user share, written whole and never trusted."""

import json
import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from modelcellar.records import JsonValue

__all__ = ["SharedFile"]

LARGEST_BYTES = 256 << 10
LOCK_TIMEOUT_S = 0.5
LOOK_SECONDS = 0.005
"""It is held for a millisecond. Asked every 50 ms, as filelock does by itself, some of eight who
come at once are too late."""
_LOG = logging.getLogger(__name__)

Document = dict[str, JsonValue]


class SharedFile:
    """The file ``path``. What it holds saves time only, so every failure to use it is let pass."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> Document:
        """The document; empty when there is none, or none that is a JSON object."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                data = file.read(LARGEST_BYTES + 1)
            self._seen = (found.st_mtime_ns, found.st_size, found.st_ino)
            document = json.loads(data) if len(data) <= LARGEST_BYTES else None
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            _LOG.debug("%s is not readable and not used: %s", self.path.name, type(error).__name__)
            return {}
        return document if isinstance(document, dict) else {}

    def read_if_changed(self) -> Document | None:
        """The document if it is another than at the last reading or writing, else ``None``."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        if (found.st_mtime_ns, found.st_size, found.st_ino) == self._seen:
            return None
        return self.read()

    def update(self, change: Callable[[Document], Document]) -> None:
        """Replace the document by what ``change`` makes of it, alone among all processes."""
        import filelock

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(f"{self.path}.lock", LOCK_TIMEOUT_S)
            with lock.acquire(poll_interval=LOOK_SECONDS):
                self._replace(change(self.read()))
        except (OSError, filelock.Timeout) as error:
            _LOG.debug("%s could not be written: %s", self.path.name, type(error).__name__)

    def _replace(self, document: Document) -> None:
        staged = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            # Whom this user asked and when is nobody else's business.
            descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(json.dumps(document, allow_nan=False).encode())
            staged.replace(self.path)
        except OSError:
            staged.unlink(missing_ok=True)
            raise
        found = self.path.stat()
        self._seen = (found.st_mtime_ns, found.st_size, found.st_ino)
