"""A cheap look at files of one size that can rule out that they are equal."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

__all__ = ["Samples"]

SAMPLES = 16
SAMPLE_BYTES = 4096


class Samples:
    """Samples of files, each read at most once, and only while files are still alike.

    Models of one architecture share their size and the whole header, so the samples reach to the
    end of the file.
    """

    def __init__(self) -> None:
        self._known: dict[Path, list[int]] = defaultdict(list)

    def may_be_twins(self, paths: Iterable[Path], size_bytes: int) -> set[Path]:
        """Those of ``paths``, files of one size, that may have the bytes of another of them.

        A file that cannot be read may have those of any.
        """
        alike = [sorted(set(paths))]
        for number in range(SAMPLES):
            groups: dict[tuple[int, int], list[Path]] = defaultdict(list)
            for place, group in enumerate(alike):
                for path in group:
                    try:
                        groups[place, self._sample(path, number, size_bytes)].append(path)
                    except OSError:
                        return set(paths)
            alike = [group for group in groups.values() if len(group) > 1]
        return {path for group in alike for path in group}

    def _sample(self, path: Path, number: int, size_bytes: int) -> int:
        known = self._known[path]
        if number == len(known):
            last = max(0, size_bytes - SAMPLE_BYTES)
            with path.open("rb", buffering=0) as file:
                file.seek(number * last // (SAMPLES - 1))
                # Two that differ may have one hash; that costs a look at the whole files.
                known.append(hash(file.read(SAMPLE_BYTES)))
        return known[number]
