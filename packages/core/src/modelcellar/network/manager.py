"""The only door to the network."""

import asyncio
import math
import random as random_module
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from modelcellar.download_records import Patience
from modelcellar.errors import AnswerRefusedError, OfflineError
from modelcellar.network.bulk import Receive
from modelcellar.network.circuit_breaker import Circuit, CircuitState
from modelcellar.network.connectivity import Connectivity
from modelcellar.network.headers import Quota
from modelcellar.network.host import Host, Surroundings
from modelcellar.network.http import Request, Response, display_url, is_loopback, origin_of
from modelcellar.network.pulling import Puller
from modelcellar.network.redirects import MOST_REDIRECTS, follow, leads_on, with_secrets
from modelcellar.network.state import CircuitStore
from modelcellar.network.throttling import PoliteThrottle, ThrottleFactory, Wait
from modelcellar.network.transport import HttpTransport, Transport

__all__ = ["NetworkManager", "NetworkStatus", "OriginStatus"]

Ask = Callable[[Request, float], Awaitable[Response]]
"""Makes one hop, not later than at a time on the clock."""


@dataclass(frozen=True, slots=True)
class OriginStatus:
    """One origin: its circuit, and what is left of its quotas.

    ``since`` and ``until`` are seconds since 1970, ``None`` while the circuit is closed.
    """

    origin: str
    state: CircuitState
    since: float | None
    until: float | None
    cause: str
    quotas: tuple[Quota, ...]


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """``is_offline`` is the setting; ``offline_s`` how long no host is asked as none is reached."""

    is_offline: bool
    offline_s: float
    origins: tuple[OriginStatus, ...]


class NetworkManager:
    """Makes every call there is, each through the throttle and the circuit of its host.

    ``state_folder`` is where open circuits outlive the run (``None``: nowhere), ``throttles`` makes
    those of particular origins, ``on_wait`` is told of every wait. ``retry_now`` asks hosts at once
    that are left alone. ``limit_s`` is for all calls together, with their retries and waits, from
    now on. Use it as ``async with``, in one event loop.
    """

    def __init__(
        self,
        *,
        offline: bool = False,
        retry_now: bool = False,
        limit_s: float = math.inf,
        state_folder: Path | None = None,
        throttles: Mapping[str, ThrottleFactory] | None = None,
        on_wait: Callable[[Wait], None] | None = None,
        transport: Transport | None = None,
        puller: Puller | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._is_offline = offline
        self._retry_now = retry_now
        self._ends_at = clock() + limit_s
        self._throttles = dict(throttles or {})
        self._around = Surroundings(
            transport or HttpTransport(),
            puller or Puller(),
            CircuitStore(state_folder, wall=wall),
            Connectivity(clock=clock),
            self._forgive,
            on_wait,
            clock,
            wall,
            sleep,
            random,
        )
        self._hosts: dict[str, Host] = {}
        self._saved: dict[str, Circuit] | None = None
        self._is_closed = False

    async def __aenter__(self) -> "NetworkManager":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections; after that there are no more calls."""
        self._is_closed = True
        for host in self._hosts.values():
            host.throttle.remember()
        await self._around.puller.aclose()
        await self._around.transport.aclose()

    async def request(self, request: Request) -> Response:
        """Make one call, again where that is allowed, following redirects.

        Every status is an answer, but for 429 and those with which a host says that it is not well.

        Raises:
            OfflineError: the network is not to be used, or no host at all can be reached.
            HostUnavailableError: the host does not answer, or did not so often that it is left
                alone.
            RateLimitedError: its quota is used up, and waiting for more would pass the deadline.
            AnswerRefusedError: a redirect or an answer that is not accepted, or an address that is
                not asked, since it is neither https nor on this machine.
        """

        async def ask(hop: Request, deadline: float) -> Response:
            return await self._host(origin_of(hop.url)).call(hop, deadline)

        return await self._follow(request, ask)

    async def pull(self, request: Request, receive: Receive, *, patience: Patience) -> Response:
        """Make one GET whose body may have any size, following redirects; no attempt is repeated.

        ``receive`` is called in a thread, once, with status and headers, and returns the sink that
        is given the raw body piece by piece, or ``None``. ``request.timeout_s`` is for the headers
        of each hop, ``deadline_s`` for the waits before. When this returns or raises, also as it
        was cancelled, the sink is not called any more. The answer comes without its body.

        Raises what :meth:`request` does, and whatever ``receive`` and the sink raise.

        Raises:
            TransferBrokenError: the body ended early, stalled, or came too slowly for ``patience``.
        """
        if request.method.upper() != "GET" or request.json is not None:
            raise ValueError("only what a GET asks for is pulled")

        async def ask(hop: Request, deadline: float) -> Response:
            return await self._host(origin_of(hop.url)).pull(hop, deadline, receive, patience)

        return await self._follow(request, ask)

    async def _follow(self, request: Request, ask: Ask) -> Response:
        self._require_use()
        now = self._around.clock()
        # Half of what is left of the limit: a host that says nothing leaves time for the others.
        deadline = now + min(request.deadline_s, (self._ends_at - now) / 2)
        request = with_secrets(request)
        self._require_encrypted(request)
        visited = {(request.method, request.url)}
        for _ in range(MOST_REDIRECTS + 1):
            origin = origin_of(request.url)
            response = await ask(request, deadline)
            if not leads_on(request, response):
                return response
            request = follow(request, response)
            if (request.method, request.url) in visited:
                raise AnswerRefusedError(f"{origin} redirects in a circle", origin=origin)
            visited.add((request.method, request.url))
        raise AnswerRefusedError(
            f"{origin_of(request.url)}: more than {MOST_REDIRECTS} redirects",
            origin=origin_of(request.url),
        )

    def is_circuit_open(self, origin: str) -> bool:
        """Whether a call to ``origin`` would be refused now, because it failed too often."""
        return self._host(origin).breaker.refuses()

    def status(self) -> NetworkStatus:
        """What is known of every origin that was asked, is slowed down, or is left alone."""
        for origin in {*self._throttles, *self._load()}:
            self._host(origin)
        return NetworkStatus(
            self._is_offline,
            self._around.connectivity.seconds_left(),
            tuple(_status(host) for _, host in sorted(self._hosts.items())),
        )

    def _host(self, origin: str) -> Host:
        host = self._hosts.get(origin)
        if host is None:
            host = Host(origin, self._around, self._throttles.get(origin, PoliteThrottle))
            saved = self._load().get(origin)
            if saved is not None:
                host.breaker.restore(saved)
                host.take_over(is_noted=True)
            if self._retry_now:
                host.breaker.probe_now()
            self._hosts[origin] = host
        return host

    def _load(self) -> dict[str, Circuit]:
        if self._saved is None:
            self._saved = self._around.store.load()
        return self._saved

    def _forgive(self, names: tuple[str, ...]) -> None:
        """Our own line is down: what these hosts failed at was not their fault."""
        for host in self._hosts.values():
            if host.name in names:
                host.breaker.forgive()
                host.settle()

    def _require_use(self) -> None:
        if self._is_offline:
            raise OfflineError(
                "the network is not to be used", "Run it without --offline to ask hosts."
            )
        if self._is_closed:
            raise RuntimeError("the network manager is closed")

    def _require_encrypted(self, request: Request) -> None:
        shown = display_url(request.url)
        try:
            origin = origin_of(request.url)
        except ValueError:
            raise AnswerRefusedError(f"{shown} is no address of the web") from None
        if "@" in request.url.partition("://")[2].partition("/")[0]:
            raise AnswerRefusedError(f"{shown}: addresses with a password are not asked")
        if origin.startswith("http:") and not is_loopback(origin):
            raise AnswerRefusedError(
                f"{shown} is not encrypted", "Use an https address.", origin=origin
            )


def _status(host: Host) -> OriginStatus:
    circuit = host.breaker.snapshot()
    quotas = host.throttle.quotas()
    return OriginStatus(
        host.origin, circuit.state, circuit.since, circuit.until, circuit.cause, quotas
    )
