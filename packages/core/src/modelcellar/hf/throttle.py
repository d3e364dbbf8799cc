"""The Hub's quotas: three buckets, counted in windows of five minutes, told with every answer.

https://huggingface.co/docs/hub/rate-limits: ``RateLimit: "api";r=499;t=295`` says that 499 calls
are left and that the window ends in 295 s. Calls are spread before the last tenth is used up, so
that the Hub need not refuse one. All processes of a user share what they know through a small file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelcellar.hf.quota_file import QuotaFile, SavedQuota
from modelcellar.network.headers import Quota, parse_quotas
from modelcellar.network.throttling import TOO_MANY_REQUESTS, Pausing, Waiting

__all__ = ["HubThrottle"]

WINDOW_S = 300.0
ANONYMOUS = {"api": 500, "resolvers": 3000, "pages": 100}
PACED_SHARE = 0.1
SAME_WINDOW_S = 5.0


@dataclass(slots=True)
class _Bucket:
    """What is left of one quota until ``resets_at``, seconds since 1970.

    ``next_at`` is the first moment that no paced call has booked yet.
    """

    limit: int
    window_s: float = WINDOW_S
    left: int = -1
    resets_at: float = 0.0
    next_at: float = 0.0

    def is_known(self, now: float) -> bool:
        """Whether the window still runs; one that ends too late is of a clock set back."""
        return 0 <= self.resets_at - now <= self.window_s + 1 and self.left >= 0

    def is_scarce(self) -> bool:
        return 0 <= self.left < PACED_SHARE * self.limit


class HubThrottle(Pausing):
    """The throttle of the Hub. ``folder`` is the user's state folder, ``None`` to share nothing.

    ``is_signed_in`` keeps the quotas of a token apart from those of an address.
    """

    remedy = "Run it again then. With a token (HF_TOKEN) the quotas are larger."

    def __init__(
        self,
        origin: str,
        waiting: Waiting | None = None,
        *,
        folder: Path | None = None,
        is_signed_in: bool = False,
    ) -> None:
        super().__init__(origin, waiting)
        self._buckets = {name: _Bucket(limit) for name, limit in ANONYMOUS.items()}
        self._file = None if folder is None else QuotaFile(folder, origin, is_signed_in)
        self._has_learned = False
        self._take_over()

    def saw(self, bucket: str, status: int, headers: Mapping[str, str]) -> None:
        """Learn what is left, and pause when the answer is "too many requests".

        A refusal although something is left comes from the edge in front of the Hub, which counts
        for itself.
        """
        now = self._waiting.wall()
        quotas = parse_quotas(headers)
        is_important = False
        self._has_learned |= bool(quotas)
        for quota in quotas:
            is_important |= self._learn(quota, now)
        if status == TOO_MANY_REQUESTS:
            self._refused(bucket, [quota for quota in quotas if quota.left == 0], headers)
            is_important = True
        else:
            self._refusals = 0
        if is_important:
            self._share(now)

    def _refused(self, bucket: str, spent: Sequence[Quota], headers: Mapping[str, str]) -> None:
        now = self._waiting.wall()
        if not spent:
            self._pause_after_refusal(headers, now)
        elif bucket not in {quota.bucket for quota in spent}:
            # Counted against another bucket than we thought, so waiting for ours would not help.
            self._pause(now, max(quota.reset_s for quota in spent) + 1)

    def is_rate_limited(self, bucket: str = "") -> bool:
        """Whether no call of the bucket may be made now; without one, of no bucket at all."""
        self._take_over()
        now = self._waiting.wall()
        if self._pause_s(now) > 0:
            return True
        asked = [self._buckets[bucket]] if bucket in self._buckets else self._buckets.values()
        return all(one.is_known(now) and one.left == 0 for one in asked)

    def quotas(self) -> tuple[Quota, ...]:
        """What is left in the windows that still run."""
        self._take_over()
        now = self._waiting.wall()
        return tuple(
            Quota(name, one.left, one.resets_at - now, one.limit, one.window_s)
            for name, one in self._buckets.items()
            if one.is_known(now)
        )

    def remember(self) -> None:
        """Share what answers of this run said, if any did."""
        if self._has_learned:
            self._share(self._waiting.wall())

    def _book(self, bucket: str, now: float, limit_s: float) -> tuple[float, str]:
        self._take_over()
        one = self._buckets.get(bucket)
        if one is None or one.left < 0 or not one.is_known(now):
            return 0.0, ""
        until_reset_s = one.resets_at - now + 1
        if one.left == 0:
            return until_reset_s, "quota"
        if not one.is_scarce():
            one.left -= 1
            return 0.0, ""
        begin = max(now, one.next_at)
        if begin >= one.resets_at:
            return until_reset_s, "quota"
        if begin - now > limit_s:
            return begin - now, "pace"
        # The moment is this call's, also if it is cancelled: too slow is better than refused.
        one.next_at = begin + (one.resets_at - begin) / one.left
        one.left -= 1
        return begin - now, "pace"

    def _learn(self, quota: Quota, now: float) -> bool:
        """Note what the Hub says is left; whether other processes should know it at once."""
        limit = quota.limit or max(quota.left, 1)
        one = self._buckets.setdefault(quota.bucket, _Bucket(limit))
        if quota.limit is not None:
            one.limit = quota.limit
        if quota.window_s is not None and quota.window_s > 0:
            one.window_s = min(quota.window_s, 3600.0)
        was_scarce, was_spent = one.is_scarce(), one.left == 0
        resets_at = now + min(quota.reset_s, one.window_s)
        if one.is_known(now) and abs(resets_at - one.resets_at) < SAME_WINDOW_S:
            # Answers overtake each other, and calls under way are booked already.
            one.left = min(one.left, quota.left)
        else:
            one.left, one.next_at, was_scarce = quota.left, 0.0, False
            was_spent = False
        one.resets_at = resets_at
        return one.is_scarce() != was_scarce or (one.left == 0) != was_spent

    def _share(self, now: float) -> None:
        if self._file is None:
            return
        known = {
            name: SavedQuota(one.left, one.resets_at, one.limit, one.window_s)
            for name, one in self._buckets.items()
            if one.is_known(now)
        }
        self._file.write(known, (self._paused_until, self._paused_for_s))

    def _take_over(self) -> None:
        """Read what other processes found out, if the file changed."""
        read = self._file.read_if_changed() if self._file is not None else None
        if read is None:
            return
        now = self._waiting.wall()
        quotas, (paused_until, paused_for_s) = read
        if paused_until > self._paused_until:
            self._paused_until, self._paused_for_s = paused_until, paused_for_s
        for name, saved in quotas.items():
            quota = Quota(name, saved.left, saved.resets_at - now, saved.limit, saved.window_s)
            if 0 < quota.reset_s <= saved.window_s + 1:
                self._learn(quota, now)
