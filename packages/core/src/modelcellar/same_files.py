"""Which sources are files that the library holds already, told without reading them.

They are the same when they are one and the same file under another name, or when the disk says
that all their data is shared; a file that is no larger than a header is read whole. Everything else
is left to digests.
"""

from collections import defaultdict
from collections.abc import Hashable
from contextlib import suppress
from pathlib import Path

from modelcellar.bookkeeping import Bookkeeper
from modelcellar.io.extents import data_key
from modelcellar.manifest import Manifest
from modelcellar.sources import Source, SourceFile

__all__ = ["SameFiles"]

SMALL_BYTES = 8192
"""btrfs keeps so small a file where its name is, and a clone of it is a copy."""

_Holders = dict[Hashable, set[tuple[str, str]]]
"""What tells a file -> the models that hold it, with its path in each."""


class SameFiles:
    """Remembers the sources of one adoption, and finds those that are in the library."""

    def __init__(self, books: Bookkeeper) -> None:
        self._books = books
        self._ids: dict[Hashable, str | None] = {}
        self._by_size: dict[int, _Holders] = {}

    def remember(self, source: Source) -> None:
        """The source is on its way into the library."""
        self._ids[_key(source)] = None

    def forget(self, source: Source) -> None:
        """The source did not get there."""
        self._ids.pop(_key(source), None)

    def came_in(self, source: Source, model_id: str) -> None:
        """The source is a model now."""
        self._ids[_key(source)] = model_id

    def is_on_its_way(self, source: Source) -> bool:
        """Whether the same files were remembered under other names and are no model yet."""
        key = _key(source)
        return key in self._ids and self._ids[key] is None

    def model_with(self, source: Source) -> str | None:
        """The id of the model that holds the very files of a source.

        Raises:
            OSError: a file of the source cannot be looked at.
        """
        known = self._ids.get(_key(source))
        if known is not None:
            return known
        lead = max(source.weights, key=lambda file: file.stamp.size_bytes)
        for model_id, path in sorted(self._holders(lead)):
            found = self._books.catalog.by_id(model_id)
            if found is not None and self._is_same(source, found, path):
                return model_id
        return None

    def _holders(self, file: SourceFile) -> set[tuple[str, str]]:
        holders = self._holders_of_size(file.stamp.size_bytes)
        if not holders:
            return set()
        return set().union(*(holders.get(key, set()) for key in _keys(file.path)))

    def _holders_of_size(self, size_bytes: int) -> _Holders:
        if size_bytes not in self._by_size:
            found: _Holders = defaultdict(set)
            for model_id, path in self._books.catalog.files_of_size(size_bytes):
                with suppress(OSError):  # it is lost, which a verification tells
                    for key in _keys(self._books.store.content_path(model_id) / path):
                        found[key].add((model_id, path))
            self._by_size[size_bytes] = found
        return self._by_size[size_bytes]

    def _is_same(self, source: Source, found: Manifest, path: str) -> bool:
        weights = [file.path for file in found.files if not file.is_companion]
        if len(weights) != len(source.weights):
            return False
        if len(weights) == 1:
            return weights == [path]  # whatever it is called
        content = self._books.store.content_path(found.id)
        return all(
            file.relative in weights and _keys(file.path) & _keys_or_none(content / file.relative)
            for file in source.weights
        )


def _key(source: Source) -> Hashable:
    """Tells a source by its files: the names count where there are several, as in digests."""
    is_one = len(source.weights) == 1
    return frozenset(
        ("" if is_one else file.relative, file.stamp.device, file.stamp.inode)
        for file in source.weights
    )


def _keys(path: Path) -> set[Hashable]:
    """What two files have in common only if they are one, or share all their data."""
    status = path.stat()
    data = data_key(path)
    found: set[Hashable] = {(status.st_dev, status.st_ino)}
    if data is not None:
        found.add(data)
    elif status.st_size <= SMALL_BYTES:
        found.add(path.read_bytes())
    return found


def _keys_or_none(path: Path) -> set[Hashable]:
    with suppress(OSError):
        return _keys(path)
    return set()
