"""Where files are from: everybody who may know is asked, the cheapest and surest first.

What was listed before and what other tools wrote down cost nothing. Then Civitai, which takes the
digests of a whole library in one call; then the Hub, by what a file and its name tell; then
CivArchive, a call a file, whose leads are followed to the Hub. What is proved is asked no further.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from modelcellar.errors import (
    HostUnavailableError,
    LibraryBusyError,
    LibraryFormatError,
    NetworkError,
)
from modelcellar.hf.metadata_lookup import PROVIDER as HUB
from modelcellar.hf.metadata_lookup import Calls, HubLookup
from modelcellar.hf.names import parse_name
from modelcellar.origins import Claim, Match, Standing, Subject
from modelcellar.providers.civarchive import CivArchive
from modelcellar.providers.civitai import Civitai
from modelcellar.records import ErrorInfo

__all__ = ["Identification", "Identifier", "Question"]

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Names that are searched for at the same time; more would only wait for the same quota."""
FEW = 8
"""So many files are asked about one by one where that may help; of a library it would be rude."""
CALLS_TO_PREPARE = 2
"""A search and a listing; what is not found by them waits for the digest."""
LEFT_ALONE_S = 30.0
_BAD_ANSWERS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
_WORTH = {Standing.VERIFIED: 0, Standing.CLAIMED: 1, Standing.CANDIDATE: 2, Standing.UNKNOWN: 3}


@dataclass(frozen=True, slots=True)
class Question:
    """A file, and what other tools wrote down about it."""

    subject: Subject
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True)
class Identification:
    """What was found about one file, best first.

    ``pending`` is why somebody who may know could not be asked; asking again later may find more.
    """

    matches: tuple[Match, ...] = ()
    pending: ErrorInfo | None = None

    @property
    def is_verified(self) -> bool:
        """Whether one of the matches is proof."""
        return any(match.status is Standing.VERIFIED for match in self.matches)


@dataclass(slots=True)
class _Asked:
    """A question and the answers so far."""

    question: Question
    matches: list[Match] = field(default_factory=list)
    pending: ErrorInfo | None = None

    @property
    def subject(self) -> Subject:
        return self.question.subject

    @property
    def claims(self) -> Iterator[Claim]:
        """What was written down of these bytes; of others it is not about this file."""
        sha256, size_bytes = self.subject.sha256, self.subject.size_bytes
        for claim in self.question.claims:
            is_of_these = claim.sha256 in (None, sha256 or claim.sha256)
            if is_of_these and claim.size_bytes in (None, size_bytes or claim.size_bytes):
                yield claim

    @property
    def is_open(self) -> bool:
        return all(match.status is not Standing.VERIFIED for match in self.matches)

    def add(self, matches: Iterable[Match]) -> None:
        """More answers; one place is told once, by whoever knows best."""
        found = sorted([*self.matches, *matches], key=lambda one: _WORTH[one.status])
        kept: dict[tuple[object, ...], Match] = {}
        for match in found:
            place = (match.repo_id, match.path) if match.repo_id else (match.provider, match.url)
            kept.setdefault(place, match)
        self.matches = list(kept.values())

    def answer(self) -> Identification:
        return Identification(tuple(self.matches), self.pending)


class Identifier:
    """Asks the Hub, Civitai and CivArchive."""

    def __init__(self, hub: HubLookup, civitai: Civitai, civarchive: CivArchive) -> None:
        self.hub = hub
        self.civitai = civitai
        self.civarchive = civarchive
        self._failed: dict[str, tuple[ErrorInfo, float]] = {}

    def known(self, question: Question) -> Identification:
        """What is known without asking anybody: listings seen before, records of other tools."""
        asked = self._begin(question)
        asked.pending = ErrorInfo("not_asked", "nobody has been asked yet", "Run: cellar enrich")
        return asked.answer()

    async def identify(
        self,
        questions: Sequence[Question],
        *,
        on_answer: Callable[[int, Identification], object] | None = None,
    ) -> tuple[Identification, ...]:
        """Everything that can be found, in the order of the questions.

        A host that cannot be asked makes answers ``pending`` and stops nobody else.

        Args:
            on_answer: told of each answer, by the number of its question, as soon as it is there.
        """
        every = [self._begin(question) for question in questions]
        await self._confirm_claims(every)
        await self._ask_civitai(every)
        groups: dict[str, list[_Asked]] = {}
        numbers = {id(asked): number for number, asked in enumerate(every)}
        for asked in every:
            # Parts of one model lie in one repository: once that is listed, all are proved.
            model, _, rest = asked.subject.name.partition("/")
            groups.setdefault((model if rest else parse_name(model).base).lower(), []).append(asked)
        gate = asyncio.Semaphore(AT_ONCE)

        async def work(group: Sequence[_Asked]) -> None:
            async with gate:
                for asked in group:
                    await self._ask_by_name(asked, is_one_of_few=len(every) <= FEW)
                    await self._ask("hub", asked, self._describe(asked))
                    if on_answer is not None:
                        on_answer(numbers[id(asked)], asked.answer())

        async with asyncio.TaskGroup() as tasks:
            for group in groups.values():
                tasks.create_task(work(group))
        return tuple(asked.answer() for asked in every)

    async def prepare(self, subject: Subject) -> None:
        """List where a file may be from whose digests are not known yet, so that they are found."""
        try:
            await self.hub.lookup_by_filename(subject, calls=Calls(CALLS_TO_PREPARE))
        except NetworkError as error:
            log.info("%s", error)

    def _begin(self, question: Question) -> _Asked:
        asked = _Asked(question)
        self._ask_index(asked)
        asked.add(_claimed(claim) for claim in asked.claims)
        return asked

    def _ask_index(self, asked: _Asked) -> None:
        try:
            asked.add(self.hub.lookup_by_hash(asked.subject))
        except (LibraryBusyError, LibraryFormatError, OSError) as error:
            log.warning("what was listed before is not used: %s", error)

    async def _confirm_claims(self, every: Sequence[_Asked]) -> None:
        """Other tools' records of the Hub are looked at there; many name the same repository."""
        for asked in every:
            for claim in asked.claims:
                if asked.is_open and claim.provider == HUB and claim.repo_id:
                    await self._ask("hub", asked, self._confirm_claim(asked, claim.repo_id))

    async def _confirm_claim(self, asked: _Asked, repo_id: str) -> None:
        await self._confirm(asked, repo_id)
        if asked.is_open:
            # The Hub was asked, and does not publish these bytes there (any more).
            asked.matches = [
                replace(
                    match,
                    status=Standing.CANDIDATE,
                    evidence=f"{match.evidence}; the Hub does not publish these bytes there",
                )
                if match.repo_id == repo_id and match.status is Standing.CLAIMED
                else match
                for match in asked.matches
            ]

    async def _ask_civitai(self, every: Sequence[_Asked]) -> None:
        open_ones = [one for one in every if one.is_open and one.subject.sha256]
        if not open_ones:
            return
        found: dict[str, Match] = {}

        async def ask() -> None:
            digests = [str(one.subject.sha256) for one in open_ones]
            found.update(await self.civitai.by_sha256(digests))

        whole = _Asked(open_ones[0].question)
        await self._ask("civitai", whole, ask())
        for asked in open_ones:
            match = found.get(str(asked.subject.sha256))
            asked.add([match] if match is not None else [])
            asked.pending = whole.pending if asked.is_open else None

    async def _ask_by_name(self, asked: _Asked, *, is_one_of_few: bool) -> None:
        self._ask_index(asked)  # a listing of its group may have it now
        if asked.is_open:
            await self._ask("hub", asked, self._search(asked))
        if asked.is_open and asked.subject.sha256:
            await self._ask("civarchive", asked, self._follow_leads(asked))
        if asked.is_open and asked.subject.tensor_sha256 and is_one_of_few:
            await self._ask("civitai", asked, self._ask_for_tensors(asked))

    async def _follow_leads(self, asked: _Asked) -> None:
        leads = await self.civarchive.by_sha256(str(asked.subject.sha256))
        for repo_id in dict.fromkeys(lead.repo_id for lead in leads if lead.repo_id):
            if asked.is_open:
                await self._ask("hub", asked, self._confirm(asked, repo_id))
        asked.add(leads)

    async def _ask_for_tensors(self, asked: _Asked) -> None:
        """Civitai, by the hash of the tensors, which an edited header does not change."""
        match = await self.civitai.by_tensors(str(asked.subject.tensor_sha256))
        asked.add([match] if match is not None else [])

    async def _search(self, asked: _Asked) -> None:
        asked.add(await self.hub.lookup_by_filename(asked.subject))

    async def _describe(self, asked: _Asked) -> None:
        """What the page of a proved file says, of the first place if there are many."""
        if asked.is_open:
            return
        asked.pending = None  # who else might have known it does not matter any more
        for place, match in enumerate(asked.matches):
            if match.provider == HUB and match.status is Standing.VERIFIED:
                asked.matches[place] = await self.hub.described(asked.subject, match)
                return

    async def _confirm(self, asked: _Asked, repo_id: str) -> None:
        match = await self.hub.confirm(asked.subject, repo_id)
        asked.add([match] if match is not None else [])

    async def _ask(self, whom: str, asked: _Asked, call: Coroutine[None, None, None]) -> None:
        """Wait for ``call``; what goes wrong is noted and stops nobody else.

        Whoever just failed is not asked again for a while: each call of a host that takes it and
        says nothing costs its whole time limit.
        """
        error, until = self._failed.get(whom, (None, 0.0))
        if error is not None and time.monotonic() < until:
            call.close()
            asked.pending = asked.pending or error  # what is known by now may say more
            return
        try:
            await call
        except NetworkError as failure:
            log.info("%s", failure)
            asked.pending = ErrorInfo(failure.code, failure.message, failure.hint)
            if isinstance(failure, HostUnavailableError):
                self._failed[whom] = (asked.pending, time.monotonic() + LEFT_ALONE_S)
        except _BAD_ANSWERS as failure:
            # An answer that nobody thought of must not end the look-ups of a whole library.
            log.warning("an answer of the %s could not be read: %r", whom, failure)
            asked.pending = ErrorInfo("answer_refused", f"an answer could not be read ({whom})")


def _claimed(claim: Claim) -> Match:
    return Match(
        claim.provider,
        Standing.CLAIMED,
        claim.evidence,
        repo_id=claim.repo_id,
        revision=claim.revision,
        path=claim.path,
        sha256=claim.sha256,
        size_bytes=claim.size_bytes,
        url=claim.url,
        facts=claim.facts,
    )
