"""All calls to one origin: when they may begin, how they end, and what is learnt from them.

Each goes retry( throttle( circuit( time limit( call )))). So the circuit sees every real attempt,
and a call that waits for its turn neither holds the only probe nor looks slow.
"""

import asyncio
import logging
import random as random_module
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import urlsplit

from modelcellar.download_records import Patience
from modelcellar.errors import (
    AnswerRefusedError,
    HostUnavailableError,
    OfflineError,
    RateLimitedError,
    TransferBrokenError,
)
from modelcellar.network.bulk import Receive
from modelcellar.network.circuit_breaker import CircuitBreaker, CircuitState, Permit
from modelcellar.network.connectivity import Connectivity
from modelcellar.network.exchanges import Call, ExchangeError, Reason
from modelcellar.network.headers import refused_for_s, retry_after_s
from modelcellar.network.http import Request, Response, display_url, is_loopback
from modelcellar.network.pulling import Pull, Puller
from modelcellar.network.redirects import leads_on
from modelcellar.network.retry import AttemptFailedError, Retries
from modelcellar.network.state import CircuitStore
from modelcellar.network.throttling import (
    TOO_MANY_REQUESTS,
    Throttle,
    ThrottleFactory,
    Wait,
    Waiting,
)
from modelcellar.network.transport import Transport

__all__ = ["Host", "Surroundings"]

PROBE_GRACE_S = 5.0
CONNECT_S = 5.5
"""For finding the address and connecting, whatever an answer may take: on a dead line, where the
resolver says nothing, two hosts cost this much each before we know that we are offline. Not less:
where the first of two resolvers is dead, the second is asked after 5 s (resolv.conf(5))."""
LIVELY_BYTES = 64 << 10
"""A host that sends so much before a body breaks is well: it is the line that is not."""
REQUEST_TIMEOUT = 408
# Those that say "not now"; from 520 on Cloudflare's for a server behind it that does not answer.
SICK = frozenset({500, 502, 503, 504, 520, 521, 522, 523, 524})
_LOG = logging.getLogger(__name__)

Send = Callable[[Call], Awaitable[Response]]
"""Makes one call, or raises an :class:`ExchangeError`."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all hosts share. ``forgive`` is told which hosts could not be reached through no fault
    of theirs; ``clock`` is monotonic, ``wall`` seconds since 1970."""

    transport: Transport
    puller: Puller
    store: CircuitStore
    connectivity: Connectivity
    forgive: Callable[[tuple[str, ...]], None]
    on_wait: Callable[[Wait], None] | None = None
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random_module.random


class _BadAnswerError(AttemptFailedError):
    """The host answered, but not what was asked for."""

    def __init__(
        self, response: Response, *, wait_s: float | None = None, is_free: bool = False
    ) -> None:
        super().__init__(f"it answers {response.status}", wait_s=wait_s, is_free=is_free)
        self.response = response


class Host:
    """One origin. ``breaker`` is its circuit, ``throttle`` what slows its calls down."""

    def __init__(self, origin: str, around: Surroundings, make_throttle: ThrottleFactory) -> None:
        self.origin = origin
        self.name = urlsplit(origin).hostname or origin
        self._around = around
        self._is_loopback = is_loopback(origin)
        self.breaker = CircuitBreaker(clock=around.clock, wall=around.wall, random=around.random)
        self.throttle: Throttle = make_throttle(
            origin, Waiting(around.on_wait, self._doze, around.wall, around.random)
        )
        self._retries = Retries(clock=around.clock, random=around.random)
        self._turns: deque[asyncio.Future[None]] = deque()
        self._alarms: set[asyncio.Future[None]] = set()
        self._generation = self.breaker.generation
        self._is_noted = False
        self._has_answered = False

    async def call(self, request: Request, deadline: float) -> Response:
        """The answer to ``request``, which is not later than ``deadline`` on the clock.

        Raises:
            HostUnavailableError: there is none, or the circuit is open.
            RateLimitedError: the host would have to be waited for longer than that.
            OfflineError: no host can be reached.
            AnswerRefusedError: there is one that is not taken.
        """
        self._require_open_door()
        try:
            return await self._retries.run(
                lambda: self._attempt(request, deadline, self._around.transport.exchange),
                self._wait_to_retry,
                deadline=deadline,
                may_repeat=request.idempotent,
            )
        except AttemptFailedError as error:
            failure = error
        return self._give_up(failure, request)

    async def pull(
        self, request: Request, deadline: float, receive: Receive, patience: Patience
    ) -> Response:
        """The answer to ``request`` in one attempt, its body handed to what ``receive`` says.

        A redirect that leads on is returned as it is, without its body. Raises what :meth:`call`
        does, and what is raised by ``receive`` and its sink.

        Raises:
            TransferBrokenError: the body ended early, stalled or came too slowly.
        """
        # The limit is kept here; that of the thread is for when nobody waits for it any more.
        pull = self._around.puller.begin(request.timeout_s + PROBE_GRACE_S)
        try:
            failure: AttemptFailedError | None = None
            try:
                response = await self._attempt(request, deadline, pull.open)
            except AttemptFailedError as error:
                failure = error
            if failure is not None:
                response = self._give_up(failure, request)
            if leads_on(request, response):
                await pull.skip()
            else:
                await self._read(pull, receive, response, patience)
            return response
        finally:
            await pull.end()

    def settle(self) -> None:
        """Act on what the circuit has become: note it, end waits that are in vain, begin calls."""
        breaker = self.breaker
        if breaker.generation != self._generation:
            self._generation = breaker.generation
            if breaker.state is CircuitState.OPEN:
                _LOG.info("%s is left alone: %s", self.origin, breaker.snapshot().cause)
                for alarm in self._alarms:
                    if not alarm.done():
                        alarm.set_result(None)
            if breaker.state is CircuitState.OPEN or (
                breaker.state is CircuitState.CLOSED and self._is_noted
            ):
                self._is_noted = breaker.state is CircuitState.OPEN
                self._around.store.save(self.origin, breaker.snapshot())
        self._wake()

    def take_over(self, *, is_noted: bool) -> None:
        """The circuit was restored from what another run noted."""
        self._generation, self._is_noted = self.breaker.generation, is_noted

    # --- one attempt ---

    async def _attempt(self, request: Request, deadline: float, send: Send) -> Response:
        self._require_open_door()
        await self.throttle.wait(request.bucket, limit_s=deadline - self._around.clock())
        permit = await self._enter(request, deadline)
        try:
            with permit:
                try:
                    response = await self._exchange(request, deadline, send)
                except ExchangeError as error:
                    self._note_failure(permit, error, request)
                return self._note_answer(permit, response, request)
        finally:
            self.settle()

    async def _enter(self, request: Request, deadline: float) -> Permit:
        """A permit, as soon as there is one."""
        while True:
            self._require_open_door()
            permit = self.breaker.acquire(request.timeout_s + PROBE_GRACE_S)
            if permit is not None:
                return permit
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._turns.append(turn)
            is_mine = False
            try:
                async with asyncio.timeout(max(0.0, deadline - self._around.clock())):
                    await turn
                is_mine = True
            except TimeoutError:
                pass
            finally:
                if not is_mine:
                    self._wake()  # it may have been given to us in the same moment
            if not is_mine:
                raise self._unavailable("its turn did not come in time")

    async def _exchange(self, request: Request, deadline: float, send: Send) -> Response:
        """The call itself, within the time for one attempt, however slowly the answer drips."""
        limit_s = min(request.timeout_s, deadline - self._around.clock())
        if limit_s <= 0:
            raise self._unavailable("no time was left for another attempt")
        call = Call(
            request.method,
            request.url,
            request.headers,
            request.json,
            request.max_bytes,
            connect_s=min(request.timeout_s / 2, CONNECT_S),
        )
        try:
            async with asyncio.timeout(limit_s):
                return await send(call)
        except TimeoutError:
            pass
        # An attempt that our own deadline cut short says nothing about the host.
        if limit_s < 0.9 * min(request.timeout_s, request.deadline_s):
            raise self._unavailable("no time was left for a whole attempt")
        raise ExchangeError(Reason.FAILED, f"no whole answer within {limit_s:.3g} s")

    def _note_answer(self, permit: Permit, response: Response, request: Request) -> Response:
        status = response.status
        self._has_answered = True
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug("%s %s: %d", request.method, display_url(request.url), status)
        if not self._is_loopback:
            self._around.connectivity.record_answer()
        self.throttle.saw(request.bucket, status, response.headers)
        if status in SICK:
            self.breaker.record_failure(permit, f"it answers {status}")
            wait_s = retry_after_s(response.headers, self._around.wall())
            raise _BadAnswerError(response, wait_s=wait_s)
        if status == REQUEST_TIMEOUT:
            raise _BadAnswerError(response)  # the permit returns itself: neither good nor bad
        self.breaker.record_success(permit)
        if status == TOO_MANY_REQUESTS:
            raise _BadAnswerError(response, wait_s=0.0, is_free=True)  # the throttle waits
        return response

    def _note_failure(self, permit: Permit, error: ExchangeError, request: Request) -> NoReturn:
        _LOG.debug("%s %s: %s", request.method, display_url(request.url), error.cause)
        if error.reason in (Reason.REFUSED, Reason.UNSENDABLE):
            if error.reason is Reason.REFUSED:
                self.breaker.record_success(permit)
            raise AnswerRefusedError(
                f"{display_url(request.url)}: {error.cause}", origin=self.origin
            ) from None
        self.breaker.record_failure(permit, error.cause)
        if error.reason is Reason.DISTRUSTED:
            raise self._unavailable(
                error.cause,
                "Check the clock of this machine. Behind a proxy that reads along, SSL_CERT_FILE "
                "names the certificates to trust.",
            ) from None
        connectivity = self._around.connectivity
        is_unreached = error.reason is Reason.UNREACHABLE and not self._is_loopback
        if is_unreached and connectivity.record_unreached(self.name):
            self._around.forgive(connectivity.unreached())
            raise self._offline() from None
        if error.reason is Reason.UNREACHABLE and not self._has_answered:
            # Most likely there is no network, and nobody wants to wait for three more attempts.
            raise self._unavailable(error.cause) from None
        raise AttemptFailedError(error.cause) from None

    def _give_up(self, failure: AttemptFailedError, request: Request) -> Response:
        response = failure.response if isinstance(failure, _BadAnswerError) else None
        wall = self._around.wall()
        if response is not None and response.status == REQUEST_TIMEOUT:
            return response
        if response is not None and response.status == TOO_MANY_REQUESTS:
            seconds = refused_for_s(response.headers, wall)
            raise RateLimitedError(
                f"{self.origin} takes no more calls for now",
                "Run it again later.",
                origin=self.origin,
                retry_at=wall + (60.0 if seconds is None else seconds),
            )
        _LOG.debug("gave up on %s %s", request.method, display_url(request.url))
        retry_at = None if failure.wait_s is None else wall + failure.wait_s
        raise self._unavailable(failure.cause, retry_at=retry_at)

    async def _read(
        self, pull: Pull, receive: Receive, response: Response, patience: Patience
    ) -> None:
        generation = self.breaker.generation
        try:
            await pull.read(receive, response, patience)
            return
        except ExchangeError as error:
            cause = error.cause
        if not pull.is_ended_by_us:
            _LOG.debug("%s broke: %s", display_url(response.url), cause)
            if pull.came_bytes < LIVELY_BYTES:
                self.breaker.record_break(generation, cause)
                self.settle()
        raise TransferBrokenError(
            f"the transfer from {self.origin} broke: {cause}",
            "Run it again: what is there already is kept.",
            origin=self.origin,
            cause=cause,
        )

    # --- waiting ---

    def _wake(self) -> None:
        """Let as many calls try their luck as may begin; all of them if none may."""
        count = len(self._turns) if self.breaker.refuses() else self.breaker.headroom()
        while count > 0 and self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                count -= 1

    async def _wait_to_retry(self, seconds: float) -> None:
        if self._around.on_wait is not None and seconds > 0:
            self._around.on_wait(Wait(self.origin, "", seconds, "retry"))
        await self._doze(seconds)

    async def _doze(self, seconds: float) -> None:
        """Sleep, but wake up when the circuit opens: there is nothing to wait for any more."""
        self._require_open_door()
        if seconds > 0:
            alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            timer = asyncio.ensure_future(self._around.sleep(seconds))
            self._alarms.add(alarm)
            try:
                await asyncio.wait({alarm, timer}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._alarms.discard(alarm)
                timer.cancel()
        self._require_open_door()

    # --- refusing ---

    def _require_open_door(self) -> None:
        if not self._is_loopback and self._around.connectivity.is_offline():
            raise self._offline()
        if self.breaker.refuses():
            raise self._unavailable(self.breaker.snapshot().cause)

    def _offline(self) -> OfflineError:
        return OfflineError(
            f"no network: {' and '.join(self._around.connectivity.unreached())} cannot be reached",
            "Everything that is in the library works without it.",
            origin=self.origin,
        )

    def _unavailable(
        self, cause: str, hint: str = "", *, retry_at: float | None = None
    ) -> HostUnavailableError:
        circuit = self.breaker.snapshot()
        if circuit.state is CircuitState.OPEN:
            retry_at = circuit.until
        if retry_at is not None and not hint:
            hint = f"It is asked again from {time.strftime('%H:%M:%S', time.localtime(retry_at))}."
        return HostUnavailableError(
            f"{self.origin} is not available: {cause}",
            hint or "Try it again later.",
            origin=self.origin,
            cause=cause,
            since=circuit.since,
            retry_at=retry_at,
        )
