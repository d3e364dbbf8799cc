"""Small files: each is one request and one answer in memory, many at the same time.

An answer that is not at once what is published is no matter here: the file is left to those who
have the patience for it.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelcellar.downloads.shelf import Shelf
from modelcellar.errors import NetworkError, OfflineError
from modelcellar.io import hashing
from modelcellar.network.http import Request
from modelcellar.network.manager import NetworkManager
from modelcellar.network.secret import Secret
from modelcellar.records import HashedFile
from modelcellar.remotes import RemoteFile

__all__ = ["SMALL_BYTES", "SmallFiles"]

SMALL_BYTES = 256 << 10
"""What is larger is worth going on with when it breaks off."""
AT_ONCE = 24


@dataclass(slots=True)
class SmallFiles:
    """Fetches small files whose keys are claimed. ``on_bytes`` is told what came."""

    network: NetworkManager
    shelf: Shelf
    authorization: Secret | None
    bucket: str
    on_bytes: Callable[[int], object]

    async def run(self, files: Sequence[RemoteFile]) -> dict[str, HashedFile]:
        """Fetch files; those that came at once and are right, by their keys.

        Raises:
            OSError: they could not be written.
        """
        found: dict[str, HashedFile] = {}
        waiting = list(reversed(files))
        is_down = False

        async def work() -> None:
            nonlocal is_down
            while waiting and not is_down:
                file = waiting.pop()
                try:
                    hashed = await self._fetch(file)
                except OfflineError:
                    is_down = True
                    return
                if hashed is not None:
                    found[file.key] = hashed

        tasks = [asyncio.create_task(work()) for _ in range(min(AT_ONCE, len(files)))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return found

    async def _fetch(self, file: RemoteFile) -> HashedFile | None:
        body = b""
        if file.size_bytes:
            headers: dict[str, str | Secret] = {"accept-encoding": "identity"}
            if self.authorization is not None:
                headers["authorization"] = self.authorization
            request = Request(
                "GET", file.url, headers, bucket=self.bucket, max_bytes=file.size_bytes
            )
            try:
                response = await self.network.request(request)
            except OfflineError:
                raise
            except NetworkError:
                return None
            body = response.body
            if response.status == 200:
                self.on_bytes(len(body))
            if response.status != 200 or len(body) != file.size_bytes:
                return None
        return self._keep(file, body)

    def _keep(self, file: RemoteFile, body: bytes) -> HashedFile | None:
        """Write it down if it is what is published."""
        slot = self.shelf.slot(file.key)
        slot.part.write_bytes(body)
        hashed = hashing.hash_file(slot.part)
        if file.sha256 is not None:
            is_right = hashed.digests.sha256 == file.sha256
        else:
            blob = b"blob %d\0" % len(body) + body
            is_right = hashlib.sha1(blob, usedforsecurity=False).hexdigest() == file.git_sha1
        if not is_right:
            slot.part.unlink()
            return None
        self.shelf.finish(file.key)
        return hashed
