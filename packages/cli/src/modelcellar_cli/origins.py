"""Where files are from, as every command writes it."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from modelcellar_cli.options import Options
from modelcellar_cli.output import show_text, talk

if TYPE_CHECKING:
    from modelcellar.network.throttling import Wait
    from modelcellar.origins import Match
    from modelcellar.records import ErrorInfo

__all__ = ["match_to_json", "talk_of_pending", "talk_of_wait"]

SHORT_WAIT_S = 2.0
"""Shorter waits are not worth a line."""
WHY_WAIT = {
    "quota": "its quota is used up",
    "pace": "its quota is nearly used up",
    "refused": "it asked for fewer calls",
    "retry": "it did not answer; it is tried again",
}


def match_to_json(match: "Match") -> dict[str, Any]:
    """One match as data."""
    return {
        "provider": match.provider,
        "status": match.status.value,
        "repo_id": match.repo_id,
        "revision": match.revision,
        "path": match.path,
        "sha256": match.sha256,
        "size_bytes": match.size_bytes,
        "evidence": match.evidence,
        "url": match.url,
        "facts": dict(match.facts),
        "fetched_at": match.fetched_at,
        "is_stale": match.is_stale,
    }


def talk_of_wait(
    options: Options, *, clock: Callable[[], float] = time.monotonic
) -> Callable[["Wait"], None]:
    """Tells the person about each longer wait for a host, once for all calls that wait together."""
    told_until: dict[str, float] = {}

    def tell(wait: "Wait") -> None:
        until = clock() + wait.seconds
        is_new = until > told_until.get(wait.origin, 0.0) + SHORT_WAIT_S
        if wait.seconds >= SHORT_WAIT_S and is_new:
            told_until[wait.origin] = until
            why = WHY_WAIT.get(wait.reason, wait.reason)
            host = show_text(wait.origin)
            talk(options, f"waiting {wait.seconds:.0f} s for {host}: {why} (Ctrl-C stops)")

    return tell


def talk_of_pending(options: Options, pending: "ErrorInfo") -> None:
    """Say that somebody who may know could not be asked."""
    talk(options, f"not everybody could be asked: {show_text(pending.message)}")
    if pending.hint:
        talk(options, f"  {show_text(pending.hint)}")
