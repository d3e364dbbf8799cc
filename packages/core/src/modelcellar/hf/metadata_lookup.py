"""Where on the Hub a file is from: by digest from what was listed before, else by search.

The Hub has no look-up by digest. So candidates come from what a file and its name tell, are
filtered by size, and count as found only when a digest of ours is one that the Hub publishes.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from modelcellar.errors import SignInNeededError
from modelcellar.hf.client import HubClient
from modelcellar.hf.names import parse_name
from modelcellar.hf.oid_index import Sighting
from modelcellar.hf.ranking import PROVIDER, last_part, rank, verify_hash_match
from modelcellar.hf.repositories import FoundRepo, Repository
from modelcellar.hf.searches import repositories_named, searches
from modelcellar.origins import Match, Standing, Subject

__all__ = ["PROVIDER", "Calls", "HubLookup"]

log = logging.getLogger(__name__)

MAX_CALLS = 8
MAX_CANDIDATES = 10
REPOSITORIES_PER_SEARCH = 2
"""Which of a search's answers are looked into; the next spelling finds more than its third."""


@dataclass(slots=True)
class Calls:
    """How many calls of the ``api`` quota may still be spent on one file."""

    left: int = MAX_CALLS

    def spend(self) -> bool:
        """Take one; ``False`` when there is none left."""
        self.left -= 1
        return self.left >= 0


class HubLookup:
    """Look-ups of files on one Hub."""

    def __init__(self, hub: HubClient) -> None:
        self.hub = hub

    def lookup_by_hash(self, subject: Subject) -> tuple[Match, ...]:
        """The files with our digest in every listing ever seen; needs no network.

        A file is proved by an older commit as well: its repository did publish these bytes.

        Raises:
            OSError: the index cannot be read.
        """
        found: list[Sighting] = []
        if subject.sha256 is not None:
            found += self.hub.oids.by_sha256(subject.sha256)
        if subject.git_sha1 is not None and subject.size_bytes is not None:
            found += self.hub.oids.by_git_sha1(subject.git_sha1, subject.size_bytes)
        # What another endpoint listed says nothing about this one.
        return tuple(
            self._sighted(one)
            for one in found
            if one.provider == self.hub.endpoint and verify_hash_match(subject, one.file)
        )

    async def lookup_by_filename(
        self, subject: Subject, *, calls: Calls | None = None
    ) -> tuple[Match, ...]:
        """Candidates by what the file and its name tell, best first; a proved one comes alone.

        Raises:
            NetworkError: the Hub could not be asked.
        """
        calls = calls if calls is not None else Calls()
        seen: dict[str, Repository] = {}
        tried: set[str] = set()
        async with aclosing(self._repositories(subject, calls)) as repositories:
            async for repo_id in repositories:
                if repo_id.lower() in tried or not calls.spend():
                    continue
                tried.add(repo_id.lower())
                found = await self._repository(repo_id)
                if found is None:
                    continue
                seen[found.listing.repo_id] = found
                proved = self._proved(subject, found)
                if proved is not None:
                    return (proved,)
        matches = rank(subject, [one.listing for one in seen.values()])[:MAX_CANDIDATES]
        return tuple(self._told(match, seen[str(match.repo_id)]) for match in matches)

    async def confirm(self, subject: Subject, repo_id: str) -> Match | None:
        """The proof that the file is in this repository; ``None`` where there is none.

        Raises:
            NetworkError: the Hub could not be asked.
        """
        found = await self._repository(repo_id)
        return None if found is None else self._proved(subject, found)

    async def described(self, subject: Subject, match: Match) -> Match:
        """A proved match with what the page of its repository says.

        A page that does not hold the file any more may be about something else by now.

        Raises:
            NetworkError: the Hub could not be asked.
        """
        found = await self._repository(match.repo_id or "")
        proved = None if found is None else self._proved(subject, found)
        if found is None or proved is None:
            return match
        summary = await self.hub.summary(found)
        more = {} if summary is None else {"description": summary}
        return replace(proved, facts={**more, **proved.facts})

    async def _repository(self, repo_id: str) -> Repository | None:
        """A gate on the way is no reason to stop: the file may be elsewhere."""
        try:
            return await self.hub.repository(repo_id)
        except SignInNeededError as error:
            log.info("%s", error)
            return None

    async def _repositories(self, subject: Subject, calls: Calls) -> AsyncGenerator[str]:
        """Where to look, the likeliest first; each search is made when the last led nowhere."""
        for guess in repositories_named(subject):
            yield guess.repo_id
        for search in searches(subject):
            if not calls.spend():
                return
            page = await self.hub.search(
                search.query or "", author=search.author or "", filters=search.filters
            )
            for repo in _likeliest(subject, page.repos):
                yield repo.repo_id

    def _proved(self, subject: Subject, found: Repository) -> Match | None:
        matches = rank(subject, [found.listing])
        is_proved = bool(matches) and matches[0].status is Standing.VERIFIED
        return self._told(matches[0], found) if is_proved else None

    def _told(self, match: Match, found: Repository) -> Match:
        url = self.hub.page_of(
            str(match.repo_id), path=match.path or "", revision=match.revision or "main"
        )
        return replace(
            match, url=url, facts={**found.facts, **match.facts}, is_stale=found.is_stale
        )

    def _sighted(self, sighting: Sighting) -> Match:
        file = sighting.file
        kind = "git name" if file.sha256 is None else "SHA-256"
        when = "" if sighting.is_current else f", at commit {sighting.commit[:12]}"
        return Match(
            PROVIDER,
            Standing.VERIFIED,
            f"its {kind} equals the published one{when}",
            repo_id=sighting.repo_id,
            revision=sighting.commit,
            path=file.path,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            url=self.hub.page_of(sighting.repo_id, path=file.path, revision=sighting.commit),
            facts={} if file.scan is None else {"scan": file.scan},
            fetched_at=sighting.fetched_at,
        )


def _likeliest(subject: Subject, repos: tuple[FoundRepo, ...]) -> list[FoundRepo]:
    """Those that hold a file of the same name, then of the same base name; never one with neither.

    A repository whose files the search did not tell may hold anything.
    """
    parts, own_name = parse_name(subject.name), last_part(subject.name)

    def likeness(repo: FoundRepo) -> int:
        names = {last_part(path) for path in repo.paths}
        if own_name in names:
            return 0
        bases = {parse_name(name).titled.lower() for name in names if _ends_like(name, own_name)}
        if parts.titled.lower() in bases:
            return 1
        return 2 if not names or bases else 3

    ordered = sorted((likeness(repo), place) for place, repo in enumerate(repos))
    return [repos[place] for like, place in ordered if like < 3][:REPOSITORIES_PER_SEARCH]


def _ends_like(name: str, other: str) -> bool:
    return name.rpartition(".")[2] == other.rpartition(".")[2]
