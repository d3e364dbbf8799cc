"""What a check found, what to do about it, and what a repair did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from modelcellar.records import ErrorInfo

__all__ = ["Finding", "Repair", "Status", "counted", "named"]

SHOWN_ITEMS = 3


class Status(StrEnum):
    """How bad a finding is. ``skipped``: it could not be looked at, for the reason given."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    ``id`` names the check, the same in every version. ``fix`` is what to do, in words; ``items``
    are what it is about, all of them. ``mend`` does it where that is safe: it deletes nothing that
    cannot be made again, and returns what it did.
    """

    id: str
    status: Status
    summary: str
    fix: str = ""
    items: tuple[str, ...] = ()
    mend: Callable[[], str] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Repair:
    """What a repair did, or why it could not."""

    id: str
    done: str
    error: ErrorInfo | None = None


def named(items: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = len(items) - SHOWN_ITEMS
    return ", ".join(items[:SHOWN_ITEMS]) + (f" and {more:,} more" if more > 0 else "")


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 model``, ``2 models``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
