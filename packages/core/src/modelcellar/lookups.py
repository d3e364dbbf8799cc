"""Look-ups as a command makes them: one event loop for each, and the hosts opened around it."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from modelcellar.bookkeeping import Bookkeeper
from modelcellar.config import Settings
from modelcellar.enricher import Enricher
from modelcellar.errors import NetworkError, SignInNeededError
from modelcellar.formats import inspect_file
from modelcellar.hf.client import HubClient
from modelcellar.hosts import open_hosts
from modelcellar.identification import Identification, Question
from modelcellar.io.manager import IoManager
from modelcellar.manifest import Manifest
from modelcellar.network.throttling import Wait
from modelcellar.origins import Listing, Subject
from modelcellar.providers.local_records import claims_for
from modelcellar.questions import about_file, about_model, of_whole_model, weights
from modelcellar.records import ErrorInfo, FileRecord
from modelcellar.reports import EnrichReport, EnrichResult, IndexReport, LookupReport

__all__ = [
    "enrich_models",
    "index_repositories",
    "lookup_digest",
    "lookup_file",
    "lookup_model",
]

OnWait = Callable[[Wait], None] | None
LOOKUP_S = 30.0
"""For all that one look-up asks: somebody is waiting. ``enrich`` takes as long as there are models,
and each of its calls has a limit of its own."""


def lookup_file(
    path: Path,
    settings: Settings,
    *,
    refresh: bool = False,
    on_wait: OnWait = None,
    progress: Callable[[int, int], object] | None = None,
) -> LookupReport:
    """Where a file anywhere on disk is from; all of it is read once, for its digests.

    Raises:
        OSError: the file cannot be read.
    """
    (hashed,) = IoManager(settings.drive).hash_many([path], progress=progress)
    if isinstance(hashed, OSError):
        raise hashed
    inspection = inspect_file(path)
    record = FileRecord(
        path.name,
        hashed.size_bytes,
        hashed.digests,
        inspection.format,
        tensor_sha256=_tensor_sha256(path, inspection.data_start),
    )
    question = about_file(path, record, inspection=inspection, claims=claims_for(path))
    return _lookup(str(path), question, settings, refresh=refresh, on_wait=on_wait)


def lookup_digest(
    sha256: str, settings: Settings, *, refresh: bool = False, on_wait: OnWait = None
) -> LookupReport:
    """Where a file with this SHA-256 is from. Without its name the Hub cannot be searched."""
    question = Question(Subject("", sha256=sha256))
    return _lookup(sha256, question, settings, refresh=refresh, on_wait=on_wait)


def lookup_model(
    found: Manifest,
    folder: Path,
    settings: Settings,
    *,
    refresh: bool = False,
    on_wait: OnWait = None,
) -> LookupReport:
    """Where a model of a library is from; its files lie in ``folder``.

    Raises:
        OSError: a file cannot be read.
    """
    questions = list(about_model(found, folder))
    answers = _identify(questions, settings, refresh=refresh, on_wait=on_wait)
    matches, pending = of_whole_model(weights(found), answers)
    return LookupReport(found.id, matches, pending)


def enrich_models(
    books: Bookkeeper,
    found: Sequence[Manifest],
    settings: Settings,
    *,
    refresh: bool = False,
    dry_run: bool = False,
    on_wait: OnWait = None,
    on_result: Callable[[EnrichResult], object] | None = None,
) -> EnrichReport:
    """Look models up and write what is found; what is answered is written at Ctrl-C too.

    Raises:
        OSError: the library's disk is full or fails.
        LibraryBusyError: another process did not let go of the library in time.
    """

    async def work() -> EnrichReport:
        async with open_hosts(settings, refresh=refresh, on_wait=on_wait) as hosts:
            enricher = Enricher(books, hosts.identifier, on_result=on_result, dry_run=dry_run)
            return await enricher.run(found)

    return asyncio.run(work())


def index_repositories(
    names: Sequence[str], settings: Settings, *, limit: int = 100, on_wait: OnWait = None
) -> IndexReport:
    """Take repositories, or those of an author, into the index of digests.

    Args:
        names: ``author/name``, or ``author`` for the most downloaded of that author.
        settings: where the Hub is.
        limit: of one author, at most so many.
        on_wait: told of each wait for the Hub's quota.
    """
    return asyncio.run(_index(names, settings, limit=limit, on_wait=on_wait))


async def _index(
    names: Sequence[str], settings: Settings, *, limit: int, on_wait: OnWait
) -> IndexReport:
    listings: dict[str, Listing] = {}
    missing: list[str] = []
    pending = None
    async with open_hosts(settings, refresh=True, on_wait=on_wait) as hosts:
        try:
            for name in dict.fromkeys(names):
                is_whole = "/" in name
                ids = [] if is_whole else await hosts.hub.repositories_of(name, limit=limit)
                # A name of one word may be an author's, or that of a repository of old.
                ids = ids or [name]
                seen, gate = await _listings(hosts.hub, ids)
                pending = gate or pending
                # To be remembered is what they are fetched for: here a full disk is an error.
                hosts.oids.add_all(seen.values(), provider=hosts.hub.endpoint)
                listings |= seen
                missing += [] if seen or gate else [name]
        except NetworkError as error:
            pending = ErrorInfo(error.code, error.message, error.hint)
        _, files = hosts.oids.totals()
    return IndexReport(tuple(listings.values()), tuple(missing), files, pending)


async def _listings(
    hub: HubClient, ids: Sequence[str]
) -> tuple[dict[str, Listing], ErrorInfo | None]:
    """What is in repositories, by their ids, and that some show it only to whom the Hub knows."""
    found: dict[str, Listing] = {}
    gate = None
    for repo_id in ids:
        try:
            seen = await hub.repository(repo_id)
        except SignInNeededError as error:
            gate = ErrorInfo(error.code, error.message, error.hint)
        else:
            found |= {} if seen is None else {seen.listing.repo_id: seen.listing}
    return found, gate


def _tensor_sha256(path: Path, data_start: int | None) -> str | None:
    """The SHA-256 of a safetensors file behind its header, which is in memory by now."""
    if data_start is None:
        return None
    with path.open("rb") as file:
        file.seek(data_start)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lookup(
    target: str, question: Question, settings: Settings, *, refresh: bool, on_wait: OnWait
) -> LookupReport:
    (answer,) = _identify([question], settings, refresh=refresh, on_wait=on_wait)
    return LookupReport(target, answer.matches, answer.pending)


def _identify(
    questions: Sequence[Question], settings: Settings, *, refresh: bool, on_wait: OnWait
) -> tuple[Identification, ...]:
    async def work() -> tuple[Identification, ...]:
        async with open_hosts(
            settings, refresh=refresh, limit_s=LOOKUP_S, on_wait=on_wait
        ) as hosts:
            return await hosts.identifier.identify(questions)

    return asyncio.run(work())
