"""Sources while their files are being copied, a window of them at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from modelcellar.content import hash_ranges
from modelcellar.records import CopyJob, HashedFile
from modelcellar.sources import Source, SourceFile

__all__ = ["Copying", "windows"]


@dataclass(slots=True)
class Copying:
    """A source that is being copied, with what is known of its files so far."""

    source: Source
    content: Path
    found: dict[str, HashedFile | OSError] = field(default_factory=dict)
    is_ended: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether all of it is known, and it is not staged yet."""
        return not self.is_ended and len(self.found) == len(self.source.files)

    def jobs(self) -> Iterator[tuple[SourceFile, CopyJob]]:
        """A job for each file; raises ``OSError`` where a folder cannot be made."""
        for file in self.source.files:
            target = self.content / file.relative
            if target.parent != self.content:
                target.parent.mkdir(parents=True, exist_ok=True)
            yield file, CopyJob(file.path, target, tuple(hash_ranges(file)))

    def hashed(self) -> list[HashedFile]:
        """The digests of all files; raises the ``OSError`` that one of them ended with."""
        hashed = []
        for file in self.source.files:
            found = self.found[file.relative]
            if isinstance(found, OSError):
                raise found
            file.check_unchanged()
            hashed.append(found)
        return hashed


class _Sized(Protocol):
    @property
    def size_bytes(self) -> int: ...


_One = TypeVar("_One", bound=_Sized)


def windows(items: Iterable[_One], *, most: int, most_bytes: int) -> Iterator[list[_One]]:
    """As many of the items at a time as are worked on together: it ends with either bound."""
    window: list[_One] = []
    size_bytes = 0
    for item in items:
        window.append(item)
        size_bytes += item.size_bytes
        if len(window) >= most or size_bytes >= most_bytes:
            yield window
            window, size_bytes = [], 0
    if window:
        yield window
