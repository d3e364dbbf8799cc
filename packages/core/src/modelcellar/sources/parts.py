"""Models that are split into numbered parts (``x-00001-of-00003.gguf``), and the lists of them.

Numbers alone (``epoch_00001``) make no parts: only a name that says of how many it is one.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from modelcellar import naming
from modelcellar.formats import parse_json
from modelcellar.sources.source import SourceFile

__all__ = ["Part", "in_short", "index_name", "indexed", "missing_parts"]

MAX_INDEX_BYTES = 32 << 20
SHOWN_MISSING = 5
_PART = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<total>[0-9]{5})(?P<ending>\.\w+)")


@dataclass(frozen=True, slots=True)
class Part:
    """A name that says which part of which set it is."""

    stem: str
    number: int
    total: int
    ending: str

    @classmethod
    def of(cls, name: str) -> "Part | None":
        """The part that a file of this name is, if it is one."""
        match = _PART.fullmatch(name)
        if match is None or not 1 <= int(match["number"]) <= int(match["total"]):
            return None
        return cls(match["stem"], int(match["number"]), int(match["total"]), match["ending"])

    @property
    def set_key(self) -> tuple[str, int, str]:
        """The same for all parts of one set."""
        return (self.stem, self.total, self.ending)

    def name_of(self, number: int) -> str:
        """The name of another part of the set."""
        return f"{self.stem}-{number:05}-of-{self.total:05}{self.ending}"


def index_name(part: Part) -> str:
    """What transformers and diffusers call the list of all tensors of a split model."""
    return f"{part.stem}{part.ending}.index.json"


def indexed(index: SourceFile | None) -> set[str]:
    """The names of files that an index lists, if it can be read as one.

    Raises:
        OSError: it cannot be read.
    """
    if index is None or index.stamp.size_bytes > MAX_INDEX_BYTES:
        return set()
    with index.path.open("rb") as file:
        data = file.read(MAX_INDEX_BYTES)
    try:
        tensors = parse_json(data)["weight_map"]
        return {name for name in tensors.values() if isinstance(name, str)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()


def missing_parts(part: Part, present: Collection[str], listed: Collection[str]) -> str | None:
    """In words, which parts of a set are not there; ``None`` if all are.

    Args:
        part: any part of the set.
        present: the names of those that are there.
        listed: the names in its index.
    """
    parts = {name: Part.of(name) for name in listed if name not in present}
    beyond = {name for name, other in parts.items() if other and other.set_key != part.set_key}
    numbered = (part.name_of(number) for number in range(1, part.total + 1))
    missing = [*(name for name in numbered if name not in present), *sorted(beyond)]
    if not missing:
        return None
    total = part.total + len(beyond)
    shown = in_short(missing)
    return f"{total - len(missing):,} of {total:,} parts are here; missing: {shown}"


def in_short(names: Sequence[str]) -> str:
    """The first few of many names."""
    shown = ", ".join(naming.display(name) for name in names[:SHOWN_MISSING])
    more = len(names) - SHOWN_MISSING
    return f"{shown} and {more:,} more" if more > 0 else shown
