"""What a download has to fetch, and what is there already: in the library, a cache, or staged."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modelcellar.bookkeeping import Bookkeeper
from modelcellar.download_records import FetchedFile, FileState
from modelcellar.downloads.hub_cache import HubCache
from modelcellar.downloads.shelf import Shelf
from modelcellar.errors import SourceRefusedError
from modelcellar.io.validator import raise_errors, validate_import_source
from modelcellar.questions import git_sha1
from modelcellar.records import FileRecord
from modelcellar.remotes import RemoteFile

__all__ = ["Planned", "plan", "require_room"]

WITHOUT_IT = "Leave it out with --exclude, or name the files that are wanted."
_Place = tuple[str, str]
"""A model's id, and a path inside it."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One wanted file: where its bytes are, and of an unfinished one how many.

    ``source`` is a file with all of them; ``record`` what the library knows about that.
    """

    file: RemoteFile
    state: FileState
    held_bytes: int = 0
    source: Path | None = None
    record: FileRecord | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the file."""
        return self.file.size_bytes or 0

    @property
    def missing_bytes(self) -> int:
        """Bytes that have to come over the network."""
        is_missing = self.state in (FileState.MISSING, FileState.PARTIAL)
        return self.size_bytes - self.held_bytes if is_missing else 0

    def told(self, *, fetched_bytes: int = 0) -> FetchedFile:
        """The same for a report."""
        file = self.file
        return FetchedFile(
            file.path, file.size_bytes, self.state, file.sha256, self.held_bytes, fetched_bytes
        )


class _Library:
    """What the library holds of the files of one remote."""

    def __init__(self, books: Bookkeeper) -> None:
        self._books = books
        self._records: dict[str, dict[str, FileRecord]] = {}
        self._by_name: dict[int, dict[str, list[_Place]]] = {}

    def find(self, file: RemoteFile) -> tuple[Path, FileRecord] | None:
        """A file with the content that is published, in a model that is well."""
        if file.sha256 is not None:
            places = self._books.catalog.files_with_sha256(file.sha256)
        elif file.size_bytes is not None:
            # Only git's name is published. Many files have one size: those with its name are read.
            by_name = self._of_size(file.size_bytes)
            places = by_name.get(PurePosixPath(file.path).name, [])
        else:
            return None
        for model_id, path in places:
            content = self._books.store.content_path(model_id) / path
            record = self._records_of(model_id).get(path)
            if record is None or record.digests is None:
                continue
            if file.sha256 or git_sha1(content, record.size_bytes) == file.git_sha1:
                return content, record
        return None

    def _of_size(self, size_bytes: int) -> dict[str, list[_Place]]:
        if size_bytes not in self._by_name:
            found: dict[str, list[_Place]] = {}
            for place in self._books.catalog.files_of_size(size_bytes):
                found.setdefault(PurePosixPath(place[1]).name, []).append(place)
            self._by_name[size_bytes] = found
        return self._by_name[size_bytes]

    def _records_of(self, model_id: str) -> dict[str, FileRecord]:
        """The files of a model by their paths; none where it is not whole."""
        if model_id not in self._records:
            found = self._books.catalog.by_id(model_id)
            is_well = found is not None and self._books.is_well(found)
            files = found.files if found is not None and is_well else ()
            self._records[model_id] = {one.path: one for one in files}
        return self._records[model_id]


def plan(
    files: Sequence[RemoteFile], *, books: Bookkeeper, shelf: Shelf, cache: HubCache
) -> list[Planned]:
    """Where the bytes of each file are.

    Raises:
        OSError: the library cannot be read.
    """
    library = _Library(books)
    return [_plan_one(file, library, shelf, cache) for file in files]


def _plan_one(file: RemoteFile, library: _Library, shelf: Shelf, cache: HubCache) -> Planned:
    found = library.find(file)
    if found is not None:
        return Planned(file, FileState.LIBRARY, source=found[0], record=found[1])
    slot = shelf.slot(file.key)
    if slot.done.exists():
        return Planned(file, FileState.STAGED, source=slot.done)
    cached = cache.find(file)
    if cached is not None:
        return Planned(file, FileState.CACHE, source=cached)
    held = shelf.held_bytes(file.key, file.size_bytes or 0)
    return Planned(file, FileState.PARTIAL if held else FileState.MISSING, held)


def require_room(planned: Sequence[Planned], library: Path, *, min_free_bytes: int) -> None:
    """Check that all names can stand in the library and that what is missing fits.

    Raises:
        SourceRefusedError: ``unsafe_name``, ``name_collision``, ``file_too_large``.
        OSError: there is no space (``ENOSPC``, with the figures), or the disk cannot be asked.
    """
    findings = validate_import_source(
        [one.file.path for one in planned],
        sum(_new_bytes(one, library.stat().st_dev) for one in planned),
        library=library,
        min_free_bytes=min_free_bytes,
        largest_bytes=max((one.size_bytes for one in planned), default=0),
    )
    try:
        raise_errors(findings, library)
    except SourceRefusedError as error:
        hint = error.hint if error.code == "file_too_large" else WITHOUT_IT
        raise SourceRefusedError(error.code, error.message, hint) from None


def _new_bytes(one: Planned, device: int) -> int:
    """Bytes of disk that are not reserved yet. What is partial has its room since it began, and
    what lies on this disk is linked."""
    if one.state is FileState.CACHE and one.source is not None:
        return one.size_bytes if one.source.stat().st_dev != device else 0
    return one.size_bytes if one.state is FileState.MISSING else 0
