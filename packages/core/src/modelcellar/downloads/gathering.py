"""Brings the bytes of every wanted file together: from where they are, or over the network.

Other processes may be at the same files. Whoever holds a content's lock fetches it; the others wait
and take what came.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelcellar.bookkeeping import Bookkeeper
from modelcellar.content import foretold_ranges
from modelcellar.download_records import FileState
from modelcellar.downloads.fetching import Fetcher
from modelcellar.downloads.hub_cache import HubCache
from modelcellar.downloads.planning import Planned, plan
from modelcellar.downloads.shelf import Note, Shelf
from modelcellar.downloads.small import SMALL_BYTES, SmallFiles
from modelcellar.downloads.transfer import Transfer
from modelcellar.errors import CellarError, SourceRefusedError, TransferBrokenError
from modelcellar.io import hashing
from modelcellar.io.linking import Linker
from modelcellar.questions import git_name
from modelcellar.records import CopyJob, FileRecord, HashedFile
from modelcellar.remotes import RemoteFile

__all__ = ["Gathered", "Gatherer"]

LOOK_S = 0.5
MOST_LOOKS = 5
AT_ONCE = 200
"""So many files are locked at the same time; each lock is an open file."""
_Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """A wanted file whose bytes are at ``source``, proved to be what is published.

    ``planned`` is where they were before. ``hashed`` are digests that are known by now, and
    ``ranges`` what those of its ranges are of.
    """

    planned: Planned
    source: Path
    hashed: HashedFile | None = None
    ranges: _Ranges = ()
    fetched_bytes: int = 0


@dataclass(slots=True)
class Gatherer:
    """One run. ``note_of`` makes what is written down about a file that is begun.

    ``on_missing`` is told of a file that was thought to be here and has to be fetched.
    """

    books: Bookkeeper
    shelf: Shelf
    cache: HubCache
    fetcher: Fetcher
    small: SmallFiles
    note_of: Callable[[Planned], Note]
    on_note: Callable[[str], object]
    on_missing: Callable[[Planned], object]
    found: dict[str, Gathered] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    """Ids of models of which a file proved to be another than it was."""

    async def run(self, planned: Sequence[Planned]) -> list[Gathered]:
        """The same files, with their bytes.

        Raises:
            CellarError, OSError: that of the first file that failed; what came of all others stays
                on the shelf for the next run.
        """
        wanted = list({one.file.key: one for one in planned}.values())
        for begin in range(0, len(wanted), AT_ONCE):
            await self._gather(wanted[begin : begin + AT_ONCE])
        return [self._as_planned(one) for one in planned]

    def find_again(self, one: Planned) -> Path | None:
        """Where a gathered file is now, if another process has taken it into the library."""
        (again,) = self._look_again([one.file])
        return again.source if again.state is FileState.LIBRARY else None

    async def _gather(self, waiting: Sequence[Planned]) -> None:
        """Gather some files, and let go of them: they are complete, whoever wants them."""
        is_told = False
        while waiting:
            mine = [one for one in waiting if self.shelf.claim(one.file.key)]
            others = [one for one in waiting if one not in mine]
            await self._bring(self._look_again([one.file for one in mine]))
            for one in mine:
                self.shelf.release(one.file.key)
            for one in self._look_again([one.file for one in others]):
                if one.state in (FileState.LIBRARY, FileState.STAGED):
                    await self._use(one)
            waiting = [one for one in others if one.file.key not in self.found]
            if waiting:
                if not is_told:
                    self.on_note(
                        f"another process is fetching {waiting[0].file.path}; waiting for it"
                    )
                    is_told = True
                await asyncio.sleep(LOOK_S)

    def _as_planned(self, one: Planned) -> Gathered:
        """What was gathered; a content may be wanted under two paths, and is fetched for one."""
        found = self.found[one.file.key]
        if found.planned.file.path == one.file.path:
            return found
        return replace(found, planned=replace(found.planned, file=one.file), fetched_bytes=0)

    def _look_again(self, files: Sequence[RemoteFile]) -> list[Planned]:
        """Others may have been done with them since they were looked at first."""
        if not files:
            return []
        self.books.refresh()
        return plan(files, books=self.books, shelf=self.shelf, cache=self.cache)

    # --- what is there ---

    async def _use(self, one: Planned) -> bool:
        """A file that somebody has whole: the library, or an earlier run, whose word is checked.

        A power cut may have taken bytes of what was never made durable.
        """
        for _ in range(MOST_LOOKS):
            if one.source is None:
                return False
            try:
                gathered = await asyncio.to_thread(_proved, one)
            except OSError as error:
                # Another process takes it into the library at this moment.
                if error.errno not in (errno.ENOENT, errno.ESTALE):
                    raise
                (one,) = self._look_again([one.file])
                continue
            if gathered is None:
                self._tell_of_change(one)
                return False
            if one.state is FileState.STAGED:
                self.shelf.protect(one.file.key)  # whoever made it may have been killed before
            self.found[one.file.key] = gathered
            return True
        return False

    def _tell_of_change(self, one: Planned) -> None:
        """Somebody has written to a file of the library, through another name of it."""
        if one.state is FileState.LIBRARY:
            assert one.source is not None
            inside = one.source.relative_to(self.books.store.root / "models")
            self.damaged.add(inside.parts[0])
            self.on_note(
                f"{one.source} was changed since it came into the library; {one.file.path} is "
                "fetched"
            )

    async def _bring(self, ones: Sequence[Planned]) -> None:
        missing: list[Planned] = []
        for one in ones:
            if one.state is FileState.CACHE:
                is_here = await self._take_over(one)
            else:
                is_here = one.source is not None and await self._use(one)
            if not is_here:
                if one.state is FileState.STAGED:
                    self.shelf.slot(one.file.key).done.unlink(missing_ok=True)
                missing.append(self._as_missing(one))
        await self._fetch(missing)

    def _as_missing(self, one: Planned) -> Planned:
        """The same, with what an earlier run has left of it."""
        if one.source is None:
            return one
        held = self.shelf.held_bytes(one.file.key, one.size_bytes)
        state = FileState.PARTIAL if held else FileState.MISSING
        found = Planned(one.file, state, held)
        self.on_missing(found)
        return found

    async def _take_over(self, one: Planned) -> bool:
        """Take a file out of the Hub's cache, if its bytes are what they should be."""
        slot = self.shelf.slot(one.file.key)
        assert one.source is not None
        # Beside what an earlier run has fetched, which is needed if this one is damaged.
        slot.taken.unlink(missing_ok=True)
        self.shelf.write_note(self.note_of(one))
        try:
            hashed = await asyncio.to_thread(
                _bring_in, self.books.store.root, one.source, slot.taken, one.file.path
            )
        except OSError as error:
            slot.taken.unlink(missing_ok=True)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                self._forget_if_empty(one)
                raise
            self.on_note(f"{one.source} could not be used: {error.strerror}")
            return False
        if not await asyncio.to_thread(_is_right, one.file, slot.taken, hashed[0]):
            slot.taken.unlink()
            self.on_note(
                f"{one.source} is damaged (its SHA-256 is {hashed[0].digests.sha256}); "
                f"{one.file.path} is fetched"
            )
            return False
        source = self.shelf.finish(one.file.key, slot.taken)
        self.found[one.file.key] = Gathered(one, source, *hashed)
        return True

    # --- what is missing ---

    async def _fetch(self, missing: Sequence[Planned]) -> None:
        """Fetch files whose keys are claimed."""
        for one in missing:
            self.shelf.write_note(self.note_of(one))
        small = [one.file for one in missing if one.size_bytes <= SMALL_BYTES]
        came = await self.small.run(small) if small else set()
        for one in missing:
            if one.file.key in came:
                self._came(one, None, (), one.size_bytes)
        left = [one for one in missing if one.file.key not in came]
        if not left:
            return
        self._reserve(left)
        transfers = await self.fetcher.run([one.file for one in left])
        for one in left:
            transfer = transfers.get(one.file.key)
            if transfer is not None and transfer.hashed is not None and transfer.error is None:
                ranges = tuple(transfer.ranges)
                self._came(one, transfer.hashed, ranges, transfer.fetched_bytes)
        if all(one.file.key in self.found for one in left):
            return
        for one in left:
            self._forget_if_empty(one)
        raise _failure(left, transfers)

    def _forget_if_empty(self, one: Planned) -> None:
        """Of a file that was begun in vain nothing needs to be kept, nor told of."""
        key = one.file.key
        if key not in self.found and not self.shelf.held_bytes(key, one.size_bytes):
            self.shelf.drop(key)

    def _came(
        self, one: Planned, hashed: HashedFile | None, ranges: _Ranges, size_bytes: int
    ) -> None:
        source = self.shelf.slot(one.file.key).done
        self.found[one.file.key] = Gathered(one, source, hashed, ranges, size_bytes)

    def _reserve(self, ones: Sequence[Planned]) -> None:
        """Take the room for all of them before the first byte comes.

        Raises:
            OSError: there is not enough; none of what was new is left.
        """
        begun: list[Planned] = []
        try:
            for one in ones:
                begun.append(one)
                self.shelf.open(one.file.key, one.size_bytes).close()
        except OSError:
            for one in begun:
                if one.state is FileState.MISSING:
                    self.shelf.drop(one.file.key)
            raise


def _failure(ones: Sequence[Planned], transfers: dict[str, Transfer]) -> CellarError | OSError:
    """The error to tell of: that of the first file, and how many others failed."""
    errors = [
        transfer.error
        for one in ones
        if (transfer := transfers.get(one.file.key)) is not None and transfer.error is not None
    ]
    if not errors:
        return TransferBrokenError("not all files came", "Run the same command again.")
    first = errors[0]
    if len(errors) > 1 and isinstance(first, CellarError):
        more = len(errors) - 1
        first.message += f" (and {more:,} more {'file' if more == 1 else 'files'} failed)"
    return first


def _bring_in(library: Path, source: Path, part: Path, name: str) -> tuple[HashedFile, _Ranges]:
    """Give a file of somebody else a second name, or copy it; and its digests."""
    try:
        Linker(library).link_all([(source, part)])
    except SourceRefusedError:
        ranges = tuple(_foretold(source, name))
        (copied,) = hashing.copy_many([CopyJob(source, part, ranges)])
        if isinstance(copied, OSError):
            raise copied from None
        return copied, ranges
    return _read(part, name)


def _proved(one: Planned) -> Gathered | None:
    """A file that is there, with its digests; ``None`` if it is not what is published.

    What the library knows of a file is believed while no other name leads to it: through one that
    was adopted, or linked out of the Hub's cache, its owner may have written to it.
    """
    source = one.source
    assert source is not None
    if one.record is not None and source.lstat().st_nlink == 1:
        return Gathered(one, source, *_known(source, one.record))
    hashed, ranges = _read(source, one.file.path)
    return Gathered(one, source, hashed, ranges) if _is_right(one.file, source, hashed) else None


def _read(path: Path, name: str) -> tuple[HashedFile, _Ranges]:
    """The digests of a file that becomes ``name`` in a model."""
    ranges = tuple(_foretold(path, name))
    return hashing.hash_file(path, ranges=ranges), ranges


def _foretold(path: Path, name: str) -> list[tuple[int, int]]:
    with path.open("rb") as file:
        return foretold_ranges(name, path.stat().st_size, file.read(8))


def _is_right(file: RemoteFile, path: Path, hashed: HashedFile) -> bool:
    """Whether the file at ``path`` has the content that is published."""
    if file.sha256 is not None:
        return hashed.digests.sha256 == file.sha256
    return git_name(path, hashed.size_bytes) == file.git_sha1


def _known(source: Path, record: FileRecord) -> tuple[HashedFile, _Ranges]:
    """What the library knows of a file, as if it had just been read."""
    foretold = _foretold(source, record.path)
    digests = [one for one in (record.autov1, record.tensor_sha256) if one is not None]
    ranges = tuple(foretold) if len(foretold) == len(digests) else ()
    hashed = HashedFile(
        os.fspath(source),
        record.size_bytes,
        record.known_digests,
        0.0,
        tuple(digests) if ranges else (),
    )
    return hashed, ranges
