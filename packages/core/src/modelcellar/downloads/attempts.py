"""Fetches a span of a file: asks, judges the answer, goes on where it broke off, and waits between.

An attempt that brought something is no failure, however it ended: the next one goes on from there.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from modelcellar.download_records import Patience
from modelcellar.downloads.ranges import Kind, Verdict, judge
from modelcellar.downloads.transfer import Span, Transfer
from modelcellar.errors import (
    CellarError,
    HostUnavailableError,
    NetworkError,
    RateLimitedError,
    TransferBrokenError,
)
from modelcellar.network.http import Request, Response, display_url, origin_of
from modelcellar.network.manager import NetworkManager
from modelcellar.network.retry import AttemptFailedError, Retries, RetryBudget, RetryPolicy
from modelcellar.network.secret import Secret
from modelcellar.remotes import RemoteFile

__all__ = ["Attempts", "Refuse"]

STEP_BYTES = 64 << 10
"""An attempt that brought less counts as one that failed."""
HEADERS_SHARE = 1.5
"""The first byte may be waited for longer than any other: a host looks for the file first."""
GO_ON = "the same command goes on from there."
LONGEST_PAUSE_S = 400.0
"""A window of the Hub's quotas lasts 300 s."""

Refuse = Callable[[Response, RemoteFile], CellarError]
"""What an answer without bytes means, with the next step."""

Sink = Callable[[bytes], object]


@dataclass(slots=True)
class Attempts:
    """How bytes of the files of one remote are asked for.

    ``authorization`` is sent to the origin of a file's own address only. ``refuse`` explains a
    status that means no.
    """

    network: NetworkManager
    refuse: Refuse
    authorization: Secret | None = None
    bucket: str = ""
    patience: Patience = field(default_factory=Patience)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    wall: Callable[[], float] = time.time

    async def fetch(self, transfer: Transfer, span: Span) -> None:
        """Bring all bytes of a span, which moves on as they come.

        Raises:
            CellarError: the last of several attempts failed, or the host will not give them.
            OSError: they could not be written.
        """
        patience = self.patience
        policy = RetryPolicy(patience.attempts, patience.first_wait_s, patience.longest_wait_s)
        # Each wait is one connection's own; there is no crowd to protect the host from.
        retries = Retries(policy, budget=RetryBudget(extra=1_000_000))
        while span.start < span.end:
            try:
                await retries.run(
                    partial(self._attempt, transfer, span),
                    self.sleep,
                    deadline=math.inf,
                    may_repeat=True,
                )
            except AttemptFailedError as failure:
                raise self._gave_up(transfer, span, failure) from None

    async def _attempt(self, transfer: Transfer, span: Span) -> None:
        """Ask once for what is left of a span.

        Raises:
            AttemptFailedError: it brought next to nothing.
            CellarError: the host will not give it.
            OSError: what came could not be written.
        """
        begin, arrival = span.start, _Arrival(transfer, span)
        error: NetworkError | None = None
        response = None
        url = transfer.url
        try:
            response = await self.network.pull(
                self._request(transfer, span, url), arrival.receive, patience=self.patience
            )
        except NetworkError as caught:
            error = caught
        verdict = arrival.verdict
        if error is not None or not arrival.is_taken:
            transfer.url = None  # it may have grown old
        if error is None and verdict is not None and verdict.kind is Kind.REFUSED:
            self._judge_refusal(transfer, response, was_direct=url is not None)
        brought = arrival.written_bytes
        is_over = span.start >= span.end
        if is_over or brought >= STEP_BYTES:
            return
        if url is not None and begin == span.start and span.free_tries > 0:
            # The signed address may just have grown old. Asking for another is no second try.
            span.free_tries -= 1
            return
        span.error = error or self._what_came(transfer.file, response, verdict)
        raise AttemptFailedError(_cause(span.error), wait_s=self._pause_s(span.error))

    def _request(self, transfer: Transfer, span: Span, url: str | None) -> Request:
        headers: dict[str, str | Secret] = {
            "accept-encoding": "identity",
            "range": f"bytes={span.start}-{span.end - 1}",
        }
        if url is None:
            url = transfer.file.url
            if self.authorization is not None:
                headers["authorization"] = self.authorization
        return Request(
            "GET",
            url,
            headers,
            bucket=self.bucket,
            timeout_s=HEADERS_SHARE * self.patience.silence_s,
            deadline_s=LONGEST_PAUSE_S,
        )

    def _judge_refusal(
        self, transfer: Transfer, response: Response | None, *, was_direct: bool
    ) -> None:
        """Raise what an answer without bytes means, unless the address may just have grown old."""
        if response is None or was_direct:
            return
        if origin_of(response.url) == origin_of(transfer.file.url):
            raise self.refuse(response, transfer.file)

    def _what_came(
        self, file: RemoteFile, response: Response | None, verdict: Verdict | None
    ) -> CellarError:
        """The error of an answer that was whole and yet not what was asked for."""
        if response is not None and response.headers.get("content-type", "").startswith(
            "text/html"
        ):
            error = self.refuse(response, file)
            if not isinstance(error, NetworkError):
                return error  # a page to sign in on, say
        cause = verdict.cause if verdict is not None else ""
        where = display_url(response.url if response is not None else file.url)
        cause = cause or "it ended early"
        return TransferBrokenError(f"{where}: {cause}", origin=origin_of(where), cause=cause)

    def _pause_s(self, error: CellarError) -> float | None:
        """How long the host wants to be left alone; of one that fails no longer than we have
        patience for, or a dead one would be waited for as often as it is tried."""
        if isinstance(error, RateLimitedError) and error.retry_at:
            return max(0.0, min(error.retry_at - self.wall(), LONGEST_PAUSE_S))
        if isinstance(error, HostUnavailableError) and error.retry_at:
            return max(0.0, min(error.retry_at - self.wall(), self.patience.longest_wait_s))
        return None

    def _gave_up(self, transfer: Transfer, span: Span, failure: AttemptFailedError) -> CellarError:
        error = span.error
        if error is not None and not isinstance(error, NetworkError):
            return error
        held = transfer.arriving.written_bytes
        hint = "Run the same command again later."
        if held:
            hint = f"{held:,} of its {transfer.size_bytes:,} bytes are here: {GO_ON}"
        if isinstance(error, RateLimitedError):
            return RateLimitedError(
                f"{transfer.file.path}: {error.message}",
                hint,
                origin=error.origin,
                retry_at=error.retry_at,
            )
        return TransferBrokenError(
            f"{transfer.file.path} could not be fetched to its end: {failure.cause}",
            hint,
            origin=error.origin if isinstance(error, NetworkError) else "",
            cause=failure.cause,
        )


@dataclass(slots=True)
class _Arrival:
    """What one answer brings, as it comes in a thread of its own."""

    transfer: Transfer
    span: Span
    verdict: Verdict | None = None
    is_taken: bool = False
    written_bytes: int = 0

    def receive(self, response: Response) -> Sink | None:
        """Decide by the headers whether the bytes are wanted."""
        span, transfer = self.span, self.transfer
        self.verdict = judge(response, span.start, transfer.size_bytes)
        if self.verdict.kind is Kind.WHOLE:
            if not transfer.may_take_all(span):
                cause = "it sends the whole file instead of a part of it"
                self.verdict = Verdict(Kind.WRONG, cause)
                return None
            transfer.take_all(span)
        if self.verdict.kind is Kind.PART:
            # Others may begin now, while this one goes on, and ask right there.
            transfer.takes_ranges = True
            transfer.url = response.url
        self.is_taken = self.verdict.kind in (Kind.PART, Kind.WHOLE)
        return self.take if self.is_taken else None

    def take(self, data: bytes) -> None:
        """Write what has come, and nothing beyond the span."""
        span = self.span
        data = data[: span.end - span.start]
        if data:
            self.transfer.write(span.start, data)
            span.start += len(data)
            self.written_bytes += len(data)


def _cause(error: CellarError) -> str:
    cause = getattr(error, "cause", "")
    return str(cause) or error.message
