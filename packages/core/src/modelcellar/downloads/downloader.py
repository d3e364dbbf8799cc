"""One download from its name to models of the library: plan, fetch, prove, assemble, publish."""

import asyncio
import errno
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from modelcellar.bookkeeping import Bookkeeper
from modelcellar.config import Settings
from modelcellar.download_records import DownloadReport, FetchedFile, FileState, Patience
from modelcellar.downloads.asking import Selecting, Wanted, ask
from modelcellar.downloads.attempts import Attempts
from modelcellar.downloads.connections import Connections
from modelcellar.downloads.fetching import Fetcher
from modelcellar.downloads.gathering import Gatherer
from modelcellar.downloads.hub_cache import HubCache
from modelcellar.downloads.planning import Planned, plan, require_room
from modelcellar.downloads.publishing import mark_damaged, publish
from modelcellar.downloads.shelf import PIECE_BYTES, Note, Shelf
from modelcellar.downloads.small import SmallFiles
from modelcellar.downloads.targets import Target, parse_target
from modelcellar.downloads.unfinished import shown_target
from modelcellar.errors import SourceRefusedError
from modelcellar.hosts import Hosts, open_hosts
from modelcellar.io.drives import get_drive
from modelcellar.network.throttling import Wait
from modelcellar.origins import WEB
from modelcellar.records import DriveKind, ModelType
from modelcellar.remotes import Remote
from modelcellar.reports import Progress

__all__ = ["DownloadOptions", "Downloader"]

MOST_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """What of a target is wanted, and how. ``name`` and ``model_type`` are the user's word.

    ``connections`` is how many there are; 0: as many as help. ``piece_bytes`` is how much one of
    them writes at a time before another may go on.
    """

    patterns: tuple[str, ...] = ()
    revision: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sha256: str | None = None
    name: str | None = None
    model_type: ModelType | None = None
    connections: int = 0
    dry_run: bool = False
    patience: Patience = field(default_factory=Patience)
    piece_bytes: int = PIECE_BYTES

    def arguments(self) -> tuple[str, ...]:
        """What after the target makes the command ask for the same, and call it the same."""
        given = [("--revision", self.revision), ("--sha256", self.sha256)]
        given += [("--name", self.name), ("--type", self.model_type)]
        given += [("--include", one) for one in self.include]
        given += [("--exclude", one) for one in self.exclude]
        told = (word for name, value in given if value is not None for word in (name, value))
        return (*self.patterns, *told)


class Downloader:
    """One run into one library."""

    def __init__(
        self,
        books: Bookkeeper,
        settings: Settings,
        *,
        options: DownloadOptions,
        on_progress: Callable[[Progress], object] | None = None,
        on_wait: Callable[[Wait], None] | None = None,
        on_note: Callable[[str], object] | None = None,
    ) -> None:
        self._books = books
        self._settings = settings
        self._options = options
        self._on_progress = on_progress
        self._on_wait = on_wait
        self._on_note = on_note
        self._notes: list[str] = []
        self._began = time.monotonic()

    def run(self, text: str) -> DownloadReport:
        """Download what ``text`` names.

        Raises:
            UsageError: it names nothing that can be downloaded.
            NotPublishedError: there is nothing of that name, or nothing of it is wanted.
            SignInNeededError: it is only for those whom the host knows.
            WrongContentError: what came twice is not what was published.
            NetworkError: a host could not be asked, or broke off too often.
            SourceRefusedError: there is no room for it, or a name cannot stand in a library.
            LibraryBusyError: another process did not let go of the library in time.
            KeyboardInterrupt: what has come is kept for the next run.
            OSError: the library's disk is full or fails.
        """
        settings = self._settings
        target = parse_target(
            text,
            hub_endpoint=settings.hub_endpoint,
            civitai_endpoint=settings.civitai_endpoint,
            revision=self._options.revision,
            sha256=self._options.sha256,
        )
        root = self._books.store.root
        shelf = Shelf(root, piece_bytes=self._options.piece_bytes)
        try:
            return asyncio.run(self._run(text, target, shelf))
        finally:
            shelf.close()

    async def _run(self, text: str, target: Target, shelf: Shelf) -> DownloadReport:
        options = self._options
        self._tell(Progress("list", 0, 0, 0, 0, text))
        async with open_hosts(self._settings, on_wait=self._on_wait) as hosts:
            selecting = Selecting(options.patterns, options.include, options.exclude)
            wanted = await ask(hosts, target, selecting)
            for note in wanted.notes:
                self._note(note)
            cache = HubCache(self._settings.hub_cache or self._settings.hub_home / "hub")
            self._books.refresh()
            planned = plan(wanted.files, books=self._books, shelf=shelf, cache=cache)
            if options.dry_run:
                self._note_lack_of_room(planned)
                return self._report(text, wanted.remote, [one.told() for one in planned])
            self._forget_old(wanted, shelf)
            self._require_room(planned)
            gatherer = self._gatherer(text, wanted, hosts, shelf, cache, planned)
            gathered = await gatherer.run(planned)
        self._tell(Progress("publish", len(gathered), len(gathered), 0, 0))
        mark_damaged(self._books, gatherer.damaged)
        results, models = publish(
            self._books,
            gathered,
            wanted.remote,
            shelf=shelf,
            find_again=gatherer.find_again,
            name=options.name,
            model_type=options.model_type,
        )
        files = [one.planned.told(fetched_bytes=one.fetched_bytes) for one in gathered]
        report = self._report(text, wanted.remote, files)
        return replace(report, results=tuple(results), models=tuple(models))

    def _require_room(self, planned: Sequence[Planned]) -> None:
        require_room(planned, self._books.store.root, min_free_bytes=self._settings.min_free_bytes)

    def _note_lack_of_room(self, planned: Sequence[Planned]) -> None:
        """Say of a dry run what would keep the real one from beginning."""
        try:
            self._require_room(planned)
        except SourceRefusedError as error:
            self._note(f"it would be refused: {error.message}")
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._note(f"it would be refused: {error.strerror}")

    def _gatherer(
        self,
        text: str,
        wanted: Wanted,
        hosts: Hosts,
        shelf: Shelf,
        cache: HubCache,
        planned: Sequence[Planned],
    ) -> Gatherer:
        """The parts that fetch, wired together."""
        remote = wanted.remote
        watch = _Watch(planned, self._tell)
        attempts = Attempts(
            hosts.network,
            wanted.refuse,
            authorization=remote.authorization,
            bucket=wanted.bucket,
            patience=self._options.patience,
        )
        fetcher = Fetcher(shelf, attempts, self._connections(), watch.tick, self._note)
        if remote.provider == WEB:
            fetcher.suspicion = "Check the SHA-256 that was given: the file there has another one."
        watch.fetched = fetcher.fetched
        small = SmallFiles(
            hosts.network,
            shelf,
            remote.authorization,
            wanted.bucket,
            watch.add_small,
            self._options.patience,
        )

        def note_of(one: Planned) -> Note:
            file = one.file
            return Note(
                file.key,
                shown_target(text),
                self._options.arguments(),
                remote.provider,
                place_of(remote),
                file.path,
                one.size_bytes,
                self._books.timestamp(),
            )

        return Gatherer(
            self._books, shelf, cache, fetcher, small, note_of, self._note, watch.add_missing
        )

    def _connections(self) -> Connections:
        if self._options.connections:
            return Connections(self._options.connections, fixed=True)
        root = self._books.store.root
        drive = get_drive(root, overrides=self._settings.drive)
        # What arrives in two places at once makes the head of a disk go back and forth.
        return Connections(1 if drive.kind is DriveKind.HDD else MOST_CONNECTIONS)

    def _forget_old(self, wanted: Wanted, shelf: Shelf) -> None:
        """Drop what the same command has begun of files that have other content now."""
        place = place_of(wanted.remote)
        keys = {file.path: file.key for file in wanted.files}
        for note in list(shelf.notes()):
            is_same = (note.provider, note.place) == (wanted.remote.provider, place)
            is_same = is_same and note.arguments == self._options.arguments()
            if not is_same or keys.get(note.path, note.key) == note.key:
                continue
            if note.key not in keys.values() and shelf.claim(note.key):
                shelf.drop(note.key)
                self._note(
                    f"{note.path} was changed at its source since its download was begun on "
                    f"{note.began_at[:10]}; it is fetched from the beginning"
                )

    def _note(self, text: str) -> None:
        self._notes.append(text)
        if self._on_note is not None:
            self._on_note(text)

    def _tell(self, progress: Progress) -> None:
        if self._on_progress is not None:
            self._on_progress(progress)

    def _report(self, text: str, remote: Remote, files: Sequence[FetchedFile]) -> DownloadReport:
        total_bytes = sum(file.size_bytes or 0 for file in files)
        fetched_bytes = sum(file.fetched_bytes for file in files)
        reused = sum(
            file.held_bytes
            if file.state in (FileState.PARTIAL, FileState.MISSING)
            else file.size_bytes or 0
            for file in files
        )
        return DownloadReport(
            target=shown_target(text),
            provider=remote.provider,
            repo_id=remote.repo_id,
            revision=remote.revision,
            files=tuple(files),
            notes=tuple(self._notes),
            bytes_fetched=fetched_bytes,
            bytes_reused=reused,
            bytes_total=total_bytes,
            seconds=time.monotonic() - self._began,
            dry_run=self._options.dry_run,
        )


class _Watch:
    """Counts what is there and what comes, for progress: the rate is of what comes alone.

    ``fetched`` tells how many files were fetched to their end, and how many bytes came and stay. A
    content that is wanted under two paths is one file here.
    """

    def __init__(self, planned: Sequence[Planned], tell: Callable[[Progress], object]) -> None:
        self.fetched: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self._tell = tell
        wanted = list({one.file.key: one for one in planned}.values())
        self._files = len(wanted)
        self._missing = sum(one.missing_bytes > 0 for one in wanted)
        self._total_bytes = sum(one.size_bytes for one in wanted)
        self._before_bytes = self._total_bytes - sum(one.missing_bytes for one in wanted)
        self._small = (0, 0)

    def add_missing(self, one: Planned) -> None:
        """A file was thought to be here, and is not."""
        self._missing += 1
        self._before_bytes -= one.missing_bytes

    def add_small(self, size_bytes: int) -> None:
        """A small file came."""
        files, before_bytes = self._small
        self._small = files + 1, before_bytes + size_bytes
        self.tick()

    def tick(self) -> None:
        """Tell how far things are."""
        (small_files, small_bytes), (files, fetched_bytes) = self._small, self.fetched()
        done_bytes = self._before_bytes + small_bytes + fetched_bytes
        done = self._files - self._missing + small_files + files
        files = self._files if done_bytes >= self._total_bytes else min(done, self._files)
        self._tell(
            Progress(
                "download",
                files,
                self._files,
                done_bytes,
                self._total_bytes,
                bytes_before=self._before_bytes,
            )
        )


def place_of(remote: Remote) -> str:
    """What tells a repository, version or address from others, whichever revision it is in."""
    return remote.repo_id or remote.page or remote.title
