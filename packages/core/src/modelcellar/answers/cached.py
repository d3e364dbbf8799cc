"""Asks hosts through the cache: what is fresh is not asked, a host that is down is no loss."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from modelcellar.answers.store import AnswerCache, CachedAnswer
from modelcellar.errors import NetworkError
from modelcellar.network.http import Request, Response

__all__ = [
    "DAY_S",
    "DIGEST_S",
    "HOUR_S",
    "LONG_MISS_S",
    "MISS_S",
    "Answer",
    "CachedNetwork",
    "Network",
    "cached_request",
]

log = logging.getLogger(__name__)

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S

DIGEST_S = 7 * DAY_S
"""What has been published with a digest; what its page says changes now and then."""
MISS_S = HOUR_S
"""What is not there may come any time: a name, a repository."""
LONG_MISS_S = DAY_S
"""A digest that nobody has published is rarely published the same day."""
REFUSED_S = 600.0
"""401 and 403: somebody is just asking for access, or typing a token."""


class Network(Protocol):
    """What asks hosts. It raises :class:`modelcellar.errors.NetworkError` where it cannot."""

    async def request(self, request: Request) -> Response:
        """The host's answer, whatever its status."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, when the host gave or confirmed it (ISO 8601, UTC), and whether it may be out of
    date because the host could not be asked again."""

    response: Response
    fetched_at: str
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class CachedNetwork:
    """Hosts, asked through the cache. ``refresh``: ask again whatever is remembered."""

    network: Network
    cache: AnswerCache
    refresh: bool = False

    async def request(
        self, request: Request, *, lifetime_s: float, miss_lifetime_s: float = MISS_S
    ) -> Answer:
        """The answer to ``request``; see :func:`cached_request`."""
        return await cached_request(
            self.network,
            self.cache,
            request,
            lifetime_s=lifetime_s,
            miss_lifetime_s=miss_lifetime_s,
            refresh=self.refresh,
        )

    async def anew(self, request: Request) -> Answer:
        """The host's own answer of this moment, whatever is kept; it is not kept either.

        Raises:
            NetworkError: the host could not be asked.
        """
        return Answer(await self.network.request(request), _iso(self.cache.clock()))


async def cached_request(
    network: Network,
    cache: AnswerCache,
    request: Request,
    *,
    lifetime_s: float,
    miss_lifetime_s: float = MISS_S,
    refresh: bool = False,
) -> Answer:
    """The answer to ``request``, from ``cache`` where it is fresh there.

    200 is kept for ``lifetime_s``, 404 for ``miss_lifetime_s``, 401 and 403 as long but at most ten
    minutes; other answers and HTML pages are not. An answer that has grown old is confirmed by its
    ETag; where the host cannot be asked, or answers 429 or 5xx, it is given as it is and called
    stale. The same request twice at the same time is one call.

    Args:
        request: must be idempotent to be kept. It carries no ``If-None-Match`` of its own, and any
            token as a header: answers to one token are not given to another.
        refresh: ask the host even if the kept answer is fresh, and for all of the answer.

    Raises:
        NetworkError: the host could not be asked and nothing is kept.
    """
    if not request.idempotent:
        return Answer(await network.request(request), _iso(cache.clock()))
    # Both are look-ups by key in a local file, some 20 microseconds each, and wait for no writer.
    key = cache.key(request)
    kept = cache.get(key)
    if kept is not None and not refresh and kept.is_fresh(cache.clock()):
        return Answer(kept.response, _iso(kept.stored_at))
    refused_s = min(REFUSED_S, miss_lifetime_s)
    lifetimes_s = {200: lifetime_s, 404: miss_lifetime_s, 401: refused_s, 403: refused_s}
    asking = _Asking(network, cache, request, key, kept, lifetimes_s, refresh)
    return await _flights(cache).join((key, refresh), asking.ask)


@dataclass(frozen=True, slots=True)
class _Asking:
    """One call and what becomes of its answer."""

    network: Network
    cache: AnswerCache
    request: Request
    key: str
    kept: CachedAnswer | None
    lifetimes_s: dict[int, float]
    refresh: bool

    async def ask(self) -> Answer:
        kept = self.kept
        try:
            response = await self.network.request(self._conditional())
        except NetworkError as error:
            if kept is None:
                raise
            log.info("%s: an older answer is used: %s", self.request.url, error)
            return Answer(kept.response, _iso(kept.stored_at), is_stale=True)
        if response.status == 304 and kept is not None:
            lifetime_s = self.lifetimes_s.get(kept.response.status, 0.0)
            await asyncio.to_thread(self.cache.renew, self.key, lifetime_s=lifetime_s)
            return Answer(kept.response, _iso(self.cache.clock()))
        if kept is not None and (response.status == 429 or response.status >= 500):
            log.info("%s: an older answer is used: %d", self.request.url, response.status)
            return Answer(kept.response, _iso(kept.stored_at), is_stale=True)
        lifetime_s = self.lifetimes_s.get(response.status, 0.0)
        if lifetime_s > 0 and not _is_page(response):
            # In a thread: it may wait for the disk, or for another process that is writing.
            put = self.cache.put
            await asyncio.to_thread(put, self.key, response, lifetime_s=lifetime_s)
        return Answer(response, _iso(self.cache.clock()))

    def _conditional(self) -> Request:
        if self.refresh or self.kept is None or self.kept.etag is None:
            return self.request
        headers = {**self.request.headers, "If-None-Match": self.kept.etag}
        return replace(self.request, headers=headers)


@dataclass(slots=True)
class _Flight:
    task: asyncio.Task[Answer]
    waiting: int = 0


class _Flights:
    """The calls of one event loop that are on their way."""

    def __init__(self) -> None:
        self._flights: dict[tuple[str, bool], _Flight] = {}

    async def join(
        self, key: tuple[str, bool], ask: Callable[[], Coroutine[Any, Any, Answer]]
    ) -> Answer:
        """The answer of the call that is on its way already, or of a new one.

        A call ends when nobody waits for it any longer.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.create_task(ask()))
            flight.task.add_done_callback(lambda task: self._landed(key, task))
        flight.waiting += 1
        try:
            # Shielded: one who gives up does not take the answer from the others.
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                # Nobody must join a call that is being given up.
                self._landed(key, flight.task)
                flight.task.cancel()

    def _landed(self, key: tuple[str, bool], task: asyncio.Task[Answer]) -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]


_FLIGHTS: "WeakKeyDictionary[asyncio.AbstractEventLoop, WeakKeyDictionary[AnswerCache, _Flights]]"
_FLIGHTS = WeakKeyDictionary()


def _flights(cache: AnswerCache) -> _Flights:
    """Those of this event loop: a task cannot be awaited from another."""
    loops = _FLIGHTS.setdefault(asyncio.get_running_loop(), WeakKeyDictionary())
    return loops.setdefault(cache, _Flights())


def _is_page(response: Response) -> bool:
    """Whether it is for people: a network wants a login first, or a host is being mended."""
    return response.headers.get("content-type", "").lower().startswith("text/html")


def _iso(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
