"""Fetches files over as many connections as are of use, and proves each when it is complete."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from modelcellar.downloads.attempts import Attempts
from modelcellar.downloads.connections import Connections
from modelcellar.downloads.shelf import Shelf
from modelcellar.downloads.transfer import Span, Transfer
from modelcellar.errors import CellarError, NetworkError, WrongContentError
from modelcellar.questions import git_sha1
from modelcellar.remotes import RemoteFile

__all__ = ["Fetcher"]

log = logging.getLogger(__name__)

TICK_S = 0.25
FIRST_TICK_S = 0.02
CHECKPOINT_S = 5.0
CHECKPOINT_BYTES = 256 << 20
"""After either, what has come is made to outlive a power cut. It is also work that need not be done
at the end."""


@dataclass(slots=True)
class Fetcher:
    """One run.

    ``on_tick`` is called several times a second, ``on_note`` with what people should know;
    ``suspicion`` tells why the same wrong bytes may have come twice.
    """

    shelf: Shelf
    attempts: Attempts
    connections: Connections
    on_tick: Callable[[], object]
    on_note: Callable[[str], object]
    suspicion: str = "Try again later, or from another network: something on the way changes it."
    _waiting: list[RemoteFile] = field(default_factory=list)
    _open: list[Transfer] = field(default_factory=list)
    _done: dict[str, Transfer] = field(default_factory=dict)
    _spans: dict[asyncio.Task[None], tuple[Transfer, Span]] = field(default_factory=dict)
    _ending: dict[asyncio.Task[None], Transfer] = field(default_factory=dict)

    async def run(self, files: Sequence[RemoteFile]) -> dict[str, Transfer]:
        """Fetch files whose keys are claimed; each one's transfer, by its key.

        A file that fails stops no other, unless the reason is the network or the disk: then what is
        left is not begun any more. Transfers that failed have an ``error``.

        Raises:
            asyncio.CancelledError: what has come so far is written, and is used by the next run.
        """
        self._waiting = list(files)
        syncing = asyncio.create_task(self._make_durable())
        try:
            while self._begin_more():
                tasks = {*self._spans, *self._ending}
                ended, _ = await asyncio.wait(
                    tasks, timeout=self._tick_s(), return_when=asyncio.FIRST_COMPLETED
                )
                for task in ended:
                    self._settle(task)
                self.connections.look(self.fetched_bytes())
                self.on_tick()
        finally:
            await self._stop([syncing, *self._spans, *self._ending])
        return self._done

    def fetched_bytes(self) -> int:
        """Bytes that came over the network in this run."""
        return sum(one.fetched_bytes for one in (*self._open, *self._done.values()))

    def fetched(self) -> tuple[int, int]:
        """How many files were fetched and proved in this run, and how many bytes came and stay."""
        files = sum(one.error is None for one in self._done.values())
        lost_bytes = sum(one.lost_bytes for one in (*self._open, *self._done.values()))
        return files, self.fetched_bytes() - lost_bytes

    def _tick_s(self) -> float:
        """Others may begin as soon as the first headers say that there are parts."""
        return FIRST_TICK_S if any(one.takes_ranges is None for one in self._open) else TICK_S

    # --- what is begun ---

    def _begin_more(self) -> bool:
        """Give every connection something to do; whether anything is under way."""
        while len(self._spans) < self.connections.allowed:
            found = self._next_span()
            if found is None:
                break
            transfer, span = found
            task = asyncio.create_task(self.attempts.fetch(transfer, span))
            self._spans[task] = (transfer, span)
        return bool(self._spans or self._ending)

    def _next_span(self) -> tuple[Transfer, Span] | None:
        while True:
            for transfer in self._open:
                span = transfer.claim(self.connections.share(self._unclaimed_bytes()))
                if span is not None:
                    return transfer, span
            if not self._waiting:
                return None
            self._open_next()

    def _open_next(self) -> None:
        file = self._waiting.pop(0)
        assert file.size_bytes is not None
        arriving = self.shelf.open(file.key, file.size_bytes)
        transfer = Transfer(file, file.size_bytes, arriving)
        self._open.append(transfer)
        transfer.resume_hashing(self.shelf.slot(file.key).part)
        if transfer.is_fetched:
            self._end(transfer)

    def _unclaimed_bytes(self) -> int:
        waiting = sum(file.size_bytes or 0 for file in self._waiting)
        return waiting + sum(transfer.unclaimed_bytes for transfer in self._open)

    # --- what has ended ---

    def _settle(self, task: asyncio.Task[None]) -> None:
        """A connection has brought its bytes or given up, or a file has been proved or not."""
        if task in self._ending:
            transfer = self._ending.pop(task)
        else:
            transfer, _ = self._spans.pop(task)
            transfer.under_way -= 1
        error = None if task.cancelled() else task.exception()
        if isinstance(error, CellarError | OSError):
            self._fail(transfer, error)
        elif error is not None:
            raise error
        elif transfer.hashed is not None and transfer in self._open:
            self._open.remove(transfer)
            self._done[transfer.file.key] = transfer
        elif transfer.is_fetched and transfer not in self._ending.values():
            self._end(transfer)

    def _end(self, transfer: Transfer) -> None:
        task = asyncio.create_task(self._prove(transfer))
        self._ending[task] = transfer

    def _fail(self, transfer: Transfer, error: CellarError | OSError) -> None:
        transfer.error = transfer.error or error
        if transfer in self._open:
            self._open.remove(transfer)
            self._done[transfer.file.key] = transfer
        for task, (other, _) in self._spans.items():
            if other is transfer:
                task.cancel()
        if isinstance(error, NetworkError | OSError):
            self._waiting.clear()  # it would go wrong as well, after as much patience

    async def _prove(self, transfer: Transfer) -> None:
        """Compare what has come with what is published; once more from zero if it is not that."""
        file, slot = transfer.file, self.shelf.slot(transfer.file.key)
        hashed = await asyncio.to_thread(transfer.finish, slot.part)
        actual = hashed.digests.sha256
        if file.sha256 is None:
            actual = str(await asyncio.to_thread(git_sha1, slot.part, hashed.size_bytes))
        expected = file.sha256 or str(file.git_sha1)
        if actual == expected:
            await asyncio.to_thread(transfer.arriving.close)
            self.shelf.finish(file.key)
            return
        transfer.hashed = None
        if transfer.is_second_try:
            transfer.arriving.close()
            self.shelf.drop(file.key)
            kind = "SHA-256" if file.sha256 else "git SHA-1"
            raise WrongContentError(
                f"{file.path} came twice with other bytes than are published: its {kind} is "
                f"{actual}, not {expected}",
                f"Nothing of it was kept. {self.suspicion}",
                expected=expected,
                actual=actual,
            )
        self.on_note(
            f"{file.path} came with other bytes than are published (it has the digest {actual}, not"
            f" {expected}); it is fetched again from the beginning"
        )
        transfer.is_second_try = True
        transfer.restart()

    # --- beside it ---

    async def _make_durable(self) -> None:
        synced_bytes, synced_at = 0, time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            fetched_bytes, now = self.fetched_bytes(), time.monotonic()
            is_due = now - synced_at >= CHECKPOINT_S and fetched_bytes > synced_bytes
            if not is_due and fetched_bytes - synced_bytes < CHECKPOINT_BYTES:
                continue
            synced_bytes, synced_at = fetched_bytes, now
            for transfer in list(self._open):
                try:
                    await asyncio.to_thread(transfer.arriving.sync)
                except (OSError, ValueError) as error:
                    # Whoever writes next gets the same; closed meanwhile: it is complete.
                    log.debug("%s could not be synced: %s", transfer.file.path, error)

    async def _stop(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        failed = [one for one in self._done.values() if one.error is not None]
        for transfer in (*self._open, *failed):
            await asyncio.to_thread(transfer.arriving.close)
