"""Small files: each is one request and one answer in memory, many at the same time.

An answer that is not at once what is published is no matter here: the file is left to those who
have the patience for it.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelcellar.download_records import Patience
from modelcellar.downloads.shelf import Shelf
from modelcellar.errors import NetworkError, OfflineError
from modelcellar.network.http import Request, Response
from modelcellar.network.manager import NetworkManager
from modelcellar.network.secret import Secret
from modelcellar.remotes import RemoteFile

__all__ = ["SMALL_BYTES", "SmallFiles"]

SMALL_BYTES = 256 << 10
"""What is larger is worth going on with when it breaks off."""
AT_ONCE = 16
"""As many as may be under way to one host."""


@dataclass(slots=True)
class SmallFiles:
    """Fetches small files whose keys are claimed. ``on_bytes`` is told what came."""

    network: NetworkManager
    shelf: Shelf
    authorization: Secret | None
    bucket: str
    on_bytes: Callable[[int], object]
    patience: Patience
    _has_shortcuts: bool = True

    async def run(self, files: Sequence[RemoteFile]) -> set[str]:
        """Fetch files; the keys of those that came at once and are right.

        Raises:
            OSError: they could not be written.
        """
        found: set[str] = set()
        waiting = list(reversed(files))
        is_down = False

        async def work() -> None:
            nonlocal is_down
            while waiting and not is_down:
                file = waiting.pop()
                try:
                    is_right = await self._fetch(file)
                except OfflineError:
                    is_down = True
                    return
                if is_right:
                    found.add(file.key)

        tasks = [asyncio.create_task(work()) for _ in range(min(AT_ONCE, len(files)))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return found

    async def _fetch(self, file: RemoteFile) -> bool:
        if not file.size_bytes:
            return self._keep(file, b"")
        body = None
        if file.shortcut is not None and self._has_shortcuts:
            body = await self._ask(file.shortcut, file.size_bytes)
            self._has_shortcuts = body is not None
        if body is None:
            body = await self._ask(file.url, file.size_bytes)
        return body is not None and self._keep(file, body)

    async def _ask(self, url: str, size_bytes: int) -> bytes | None:
        """What is there; ``None`` for anything that is not of the right size."""
        headers: dict[str, str | Secret] = {"accept-encoding": "identity"}
        if self.authorization is not None:
            headers["authorization"] = self.authorization
        came = _Body(size_bytes)
        request = Request("GET", url, headers, bucket=self.bucket)
        try:
            await self.network.pull(request, came.receive, patience=self.patience)
        except OfflineError:
            raise
        except (NetworkError, _TooLongError):
            return None
        body = b"".join(came.pieces)
        self.on_bytes(len(body))
        return body if len(body) == size_bytes else None

    def _keep(self, file: RemoteFile, body: bytes) -> bool:
        """Write it down if it is what is published."""
        if file.sha256 is not None:
            is_right = hashlib.sha256(body).hexdigest() == file.sha256
        else:
            blob = b"blob %d\0" % len(body) + body
            is_right = hashlib.sha1(blob, usedforsecurity=False).hexdigest() == file.git_sha1
        if is_right:
            part = self.shelf.slot(file.key).part
            # Never into what is there: it may have another name, where it is somebody else's.
            part.unlink(missing_ok=True)
            part.write_bytes(body)
            self.shelf.finish(file.key)
        return is_right


class _TooLongError(Exception):
    """More comes than was published."""


class _Body:
    """What comes of one answer, if that is the file; in a thread of its own."""

    def __init__(self, most_bytes: int) -> None:
        self.pieces: list[bytes] = []
        self._left_bytes = most_bytes

    def receive(self, response: Response) -> Callable[[bytes], None] | None:
        coding = response.headers.get("content-encoding", "identity").lower()
        return self._take if response.status == 200 and coding == "identity" else None

    def _take(self, piece: bytes) -> None:
        self._left_bytes -= len(piece)
        if self._left_bytes < 0:
            raise _TooLongError
        self.pieces.append(piece)
