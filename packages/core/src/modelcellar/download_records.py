"""What downloads work with and report, as frozen values."""

from dataclasses import dataclass
from enum import StrEnum

from modelcellar.records import ErrorInfo, ModelRecord
from modelcellar.reports import ImportResult

__all__ = ["DownloadReport", "FetchedFile", "FileState", "Patience", "UnfinishedDownload"]


class FileState(StrEnum):
    """Where the bytes of a wanted file are.

    ``library``: a model of the library has them. ``cache``: the user's Hugging Face cache has.
    ``staged``: an earlier run fetched all of them; ``partial``: a part. ``missing``: nobody has.
    """

    LIBRARY = "library"
    CACHE = "cache"
    STAGED = "staged"
    PARTIAL = "partial"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Patience:
    """When a transfer counts as broken, and how often it is tried again.

    ``silence_s`` without a byte, or fewer than ``floor_bytes_per_s`` on average over ``window_s``,
    end an attempt. After ``attempts`` in a row that brought less than 64 KiB each the file has
    failed; the waits between double from ``first_wait_s`` to ``longest_wait_s``.
    """

    silence_s: float = 20.0
    floor_bytes_per_s: float = 1024.0
    window_s: float = 30.0
    attempts: int = 10
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """One wanted file: where its bytes were when the run began, and what came over the wire."""

    path: str
    size_bytes: int | None
    state: FileState
    sha256: str | None = None
    held_bytes: int = 0
    """Of a partial one: bytes that need not be fetched again."""
    fetched_bytes: int = 0
    error: ErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class DownloadReport:
    """What one download did (or, in a dry run, would do).

    ``results`` and ``models`` are as those of an import. ``bytes_fetched`` came over the network,
    ``bytes_reused`` from the library, the cache, or an earlier run.
    """

    target: str
    provider: str
    repo_id: str | None
    revision: str | None
    files: tuple[FetchedFile, ...]
    results: tuple[ImportResult, ...] = ()
    models: tuple[ModelRecord, ...] = ()
    notes: tuple[str, ...] = ()
    bytes_fetched: int = 0
    bytes_reused: int = 0
    bytes_total: int = 0
    seconds: float = 0.0
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class UnfinishedDownload:
    """What one command has begun and not finished: so many files, and bytes of them that are here.

    ``cellar download TARGET ARGUMENTS`` goes on with it. ``began_at`` is ISO 8601 in UTC.
    ``is_under_way``: another process is at some of it now, and its bytes are not counted.
    """

    target: str
    arguments: tuple[str, ...]
    files: int
    held_bytes: int
    size_bytes: int
    began_at: str
    is_under_way: bool = False
