"""Which sources of an import have bytes that the library, or the import so far, has already.

Only the digest of whole files proves that, but most files need not be read for it: of a size that
nothing else has, or with other bytes in a few samples, there is no twin.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from modelcellar.bookkeeping import Bookkeeper
from modelcellar.content import content_digest, file_records
from modelcellar.io.compare import Samples
from modelcellar.io.manager import IoManager
from modelcellar.records import HashedFile
from modelcellar.sources import Source
from modelcellar.tally import Tally

__all__ = ["Duplicates"]

SAMPLE_FROM_BYTES = 16 << 20
"""From this size on, looking at samples is cheaper than reading a file once more."""


class Duplicates:
    """Remembers the files of one import run and finds which sources may be twins."""

    def __init__(self, books: Bookkeeper, tally: Tally, disks: IoManager) -> None:
        self._books = books
        self._tally = tally
        self._disks = disks
        self._samples = Samples()
        self._seen: dict[int, list[Path]] = defaultdict(list)

    def remember(self, source: Source) -> None:
        """The source is on its way into the library, and not in the catalog yet."""
        for file in source.weights:
            self._seen[file.stamp.size_bytes].append(file.path)

    def forget(self, source: Source) -> None:
        """The source is in the catalog now, or did not get there."""
        for file in source.weights:
            paths = self._seen[file.stamp.size_bytes]
            if file.path in paths:
                paths.remove(file.path)

    def digests(self, sources: Sequence[Source]) -> dict[int, str | OSError]:
        """Content digests of those sources that may have a twin, by their place in ``sources``.

        The twin may be in the library, on its way there, or another of ``sources``. An ``OSError``
        is why a source could not be read.
        """
        together: dict[int, list[Path]] = defaultdict(list)
        for file in chain.from_iterable(source.weights for source in sources):
            together[file.stamp.size_bytes].append(file.path)
        twins = {
            path for size, paths in together.items() for path in self._may_be_twins(paths, size)
        }
        candidates = [
            (number, source)
            for number, source in enumerate(sources)
            if all(file.path in twins for file in source.weights)
        ]
        return dict(self._read(candidates))

    def _may_be_twins(self, paths: Sequence[Path], size_bytes: int) -> Collection[Path]:
        """Those of ``paths`` that may have the bytes of each other, or of what is there."""
        seen = self._seen[size_bytes]
        if size_bytes < SAMPLE_FROM_BYTES:
            has_others = len(paths) > 1 or seen or self._books.catalog.has_size(size_bytes)
            return paths if has_others else ()
        present = [
            self._books.store.content_path(model_id) / path
            for model_id, path in self._books.catalog.files_of_size(size_bytes)
        ]
        return self._samples.may_be_twins([*paths, *seen, *present], size_bytes)

    def _read(
        self, candidates: Sequence[tuple[int, Source]]
    ) -> Iterator[tuple[int, str | OSError]]:
        files = [file for _, source in candidates for file in source.weights]
        size_bytes = sum(file.stamp.size_bytes for file in files)
        with self._tally.extra_reading("compare", size_bytes) as tell:
            found = iter(self._disks.hash_many([file.path for file in files], progress=tell))
        for number, source in candidates:
            results = [next(found) for _ in source.weights]
            yield number, _content(source, results)


def _content(source: Source, results: Iterable[HashedFile | OSError]) -> str | OSError:
    hashed = []
    for file, result in zip(source.weights, results, strict=True):
        if isinstance(result, OSError):
            return result
        try:
            file.check_unchanged()
        except OSError as error:
            return error
        hashed.append(result)
    return content_digest(file_records(source.weights, hashed))
