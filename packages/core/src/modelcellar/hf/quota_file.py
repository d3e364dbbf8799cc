"""What is left of the Hub's quotas, shared by all processes of a user."""

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelcellar.network.shared_file import Document, SharedFile
from modelcellar.records import JsonValue

__all__ = ["Pause", "QuotaFile", "SavedQuota"]

FORMAT = 1
LOOK_EVERY_S = 0.25

Pause = tuple[float, float]
"""Until when, in seconds since 1970, and how many seconds that were when it began."""


@dataclass(frozen=True, slots=True)
class SavedQuota:
    """``left`` of ``limit`` calls until ``resets_at``, seconds since 1970."""

    left: int
    resets_at: float
    limit: int
    window_s: float


class QuotaFile:
    """The file of one origin, and of one kind of account, in ``folder``."""

    def __init__(
        self,
        folder: Path,
        origin: str,
        is_signed_in: bool,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        host = re.sub(r"[^\w.-]+", "_", origin.partition("://")[2], flags=re.ASCII)
        account = "token" if is_signed_in else "anonymous"
        self._file = SharedFile(folder / f"quota-{host}-{account}.json")
        self._clock = clock
        self._looked_at = -math.inf

    def read_if_changed(self) -> tuple[dict[str, SavedQuota], Pause] | None:
        """The quotas and the pause of the host; ``None`` when there is nothing new.

        The disk is asked four times a second at most.
        """
        now = self._clock()
        if now - self._looked_at < LOOK_EVERY_S:
            return None
        self._looked_at = now
        document = self._file.read_if_changed()
        return None if document is None else _decode(document)

    def write(self, quotas: Mapping[str, SavedQuota], pause: Pause) -> None:
        """Replace what is known."""
        entries = {
            name: [quota.left, quota.resets_at, quota.limit, quota.window_s]
            for name, quota in quotas.items()
        }
        self._file.update(lambda _: {"format": FORMAT, "pause": list(pause), "quotas": entries})


def _decode(document: Document) -> tuple[dict[str, SavedQuota], Pause]:
    entries, pause = document.get("quotas"), document.get("pause")
    if document.get("format") != FORMAT or not isinstance(entries, dict):
        return {}, (0.0, 0.0)
    quotas = {
        name: quota
        for name, entry in list(entries.items())[:32]
        if (quota := _quota(entry)) is not None
    }
    if not isinstance(pause, list) or len(pause) != 2 or not all(map(_is_number, pause)):
        return quotas, (0.0, 0.0)
    return quotas, (float(pause[0]), float(pause[1]))


def _quota(entry: JsonValue) -> SavedQuota | None:
    if not isinstance(entry, list) or len(entry) != 4 or not all(map(_is_number, entry)):
        return None
    left, resets_at, limit, window_s = entry
    if not (left >= 0 and limit > 0 and 0 < window_s <= 3600):
        return None
    return SavedQuota(int(left), float(resets_at), int(limit), float(window_s))


def _is_number(value: JsonValue) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value) and abs(value) < 1e12
