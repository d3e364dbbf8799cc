"""Finds files of one content: by size, then a few samples, then the digests of all their bytes.

A file counts once, however many names it has. Files that share all their data are equal without
being read, and have nothing to give back.
"""

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelcellar.dedupe_records import OWN_PREFIX, DiskFile
from modelcellar.failures import failure
from modelcellar.io.compare import Samples
from modelcellar.io.extents import data_key
from modelcellar.io.hashing import ByteProgress
from modelcellar.io.manager import IoManager
from modelcellar.records import Digests, ErrorInfo
from modelcellar.sources.litter import is_inside

__all__ = ["EqualFiles", "SameContent"]

LibraryFiles = Callable[[int], Iterable[Path]]
"""The library's files of a size."""


@dataclass(frozen=True, slots=True)
class SameContent:
    """Files of one content, in parts that share all their data among themselves."""

    digests: Digests | None
    parts: tuple[tuple[DiskFile, ...], ...]


@dataclass(slots=True)
class EqualFiles:
    """One search.

    Args:
        disks: reads the files as suits their drives.
        min_bytes: smaller files are passed over; empty ones always.
        library: its folder, whose files are known by ``library_files``.
    """

    disks: IoManager
    min_bytes: int = 1
    library: Path | None = None
    library_files: LibraryFiles = lambda _size_bytes: ()
    on_found: Callable[[int, Path], object] | None = None
    progress: ByteProgress | None = None
    problems: list[tuple[Path, ErrorInfo]] = field(default_factory=list)
    bytes_read: int = 0
    files: int = 0
    _found: dict[tuple[int, int], DiskFile] = field(default_factory=dict)

    def find(self, paths: Sequence[Path]) -> list[SameContent]:
        """All sets of at least two files of one content, the largest first.

        Links are not followed. What cannot be read is in ``problems``.
        """
        for path in paths:
            for name in self._names(path):
                self._add(name)
        self.files = len(self._found)
        for size_bytes in {file.size_bytes for file in self._found.values()}:
            for name in self.library_files(size_bytes):
                self._add(name, is_library=True)
        by_size: dict[int, list[DiskFile]] = defaultdict(list)
        for file in self._found.values():
            by_size[file.size_bytes].append(file)
        candidates = []
        for size_bytes, files in by_size.items():
            # Of the library alone nothing was asked for.
            if len(files) > 1 and any(file.names for file in files):
                candidates.append((size_bytes, self._parts(files)))
        candidates.sort(key=lambda one: -one[0])
        return [*self._settled(candidates), *self._by_digests(candidates)]

    def _names(self, top: Path) -> Iterator[Path]:
        try:
            mode = top.lstat().st_mode
        except OSError as error:
            self._problem(top, error)
            return
        if self._is_library(top):
            told = "a library keeps each model once by itself"
            self.problems.append((top, ErrorInfo("inside_library", told, "Name other folders.")))
            return
        if not stat.S_ISDIR(mode):
            yield top
            return

        def note(error: OSError) -> None:
            self._problem(Path(error.filename), error)

        for folder, subfolders, names in os.walk(top, onerror=note):
            here = Path(folder)
            subfolders[:] = sorted(one for one in subfolders if not self._is_library(here / one))
            yield from (here / name for name in sorted(names) if not name.startswith(OWN_PREFIX))

    def _is_library(self, folder: Path) -> bool:
        """Whether a folder is a library or in ours: what is in there is not the user's to link."""
        is_any = (folder / "library.json").is_file() and (folder / "manifests").is_dir()
        return is_any or is_inside(folder, self.library)

    def _add(self, path: Path, *, is_library: bool = False) -> None:
        try:
            status = path.lstat()
        except OSError as error:
            if not is_library:
                self._problem(path, error)
            return
        if not stat.S_ISREG(status.st_mode) or status.st_size < max(self.min_bytes, 1):
            return
        key = (status.st_dev, status.st_ino)
        file = self._found.get(key) or DiskFile(
            *key,
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            link_count=status.st_nlink,
            disk_bytes=status.st_blocks * 512,
            names=(),
        )
        if is_library:
            self._found[key] = replace(file, library_names=(*file.library_names, path))
        elif path not in file.names:
            self._found[key] = replace(file, names=(*file.names, path))
        if self.on_found is not None:
            self.on_found(len(self._found), path)

    def _parts(self, files: Iterable[DiskFile]) -> list[tuple[DiskFile, ...]]:
        """Files of one size, put together where they share all their data."""
        parts: dict[object, list[DiskFile]] = defaultdict(list)
        for file in sorted(files, key=lambda one: os.fsencode(one.path)):
            try:
                shared = data_key(file.path)
            except OSError as error:
                self._problem(file.path, error)
                continue
            parts[shared or (file.device, file.inode)].append(file)
        return [tuple(part) for part in parts.values()]

    def _settled(
        self, candidates: Sequence[tuple[int, Sequence[tuple[DiskFile, ...]]]]
    ) -> Iterator[SameContent]:
        """Sets that share their data with each other and have no other file of their size."""
        for _, parts in candidates:
            if len(parts) == 1 and len(parts[0]) > 1:
                yield SameContent(None, (parts[0],))

    def _by_digests(
        self, candidates: Sequence[tuple[int, Sequence[tuple[DiskFile, ...]]]]
    ) -> list[SameContent]:
        chosen: list[tuple[DiskFile, ...]] = []
        alone: list[SameContent] = []
        for size_bytes, parts in candidates:
            if len(parts) < 2:
                continue
            paths = {part[0].path: part for part in parts}
            twins = Samples().may_be_twins(paths, size_bytes)
            for path, part in paths.items():
                if path in twins:
                    chosen.append(part)
                elif len(part) > 1:
                    alone.append(SameContent(None, (part,)))
        hashed = self.disks.hash_many([part[0].path for part in chosen], progress=self.progress)
        same: dict[tuple[int, Digests], list[tuple[DiskFile, ...]]] = defaultdict(list)
        for part, result in zip(chosen, hashed, strict=True):
            if isinstance(result, OSError):
                self._problem(part[0].path, result)
            else:
                self.bytes_read += result.size_bytes
                same[part[0].size_bytes, result.digests].append(part)
        return alone + [
            SameContent(digests, tuple(parts))
            for (_, digests), parts in same.items()
            if len(parts) > 1 or len(parts[0]) > 1
        ]

    def _problem(self, path: Path, error: OSError) -> None:
        self.problems.append((path, failure(error)))
