"""Brings files of the user under a second name in the library, without reading them."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from modelcellar import naming
from modelcellar.errors import SourceRefusedError
from modelcellar.io.cloning import NO_CLONES, clone_file
from modelcellar.link_records import LinkKind

__all__ = ["Linker"]

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES})


class Linker:
    """Makes clones or hard links below the folder ``library``; ``only`` one kind if that is given.

    Which kind works is tried with the files themselves: the names of file systems tell little, and
    neither do device numbers (subvolumes of btrfs have several, bind mounts one).
    """

    def __init__(self, library: Path, *, only: LinkKind | None = None) -> None:
        self._library = library
        self._only = only
        self._no_clones: set[int] = set()
        self._likely: dict[int, bool] = {}

    def link_all(self, pairs: Sequence[tuple[Path, Path]]) -> LinkKind:
        """Give each first file of the pairs the second, new name; all of them the same way.

        Raises:
            SourceRefusedError: that works neither way, with what to do instead.
            OSError: the disk fails, or a file is not there. Names made so far are left.
        """
        if self._only is not LinkKind.HARDLINK and self._clone_all(pairs):
            return LinkKind.REFLINK
        if self._only is LinkKind.REFLINK:
            raise self._no_clone(pairs[0][0])
        for source, target in pairs:
            self._hard_link(source, target)
        return LinkKind.HARDLINK

    def likely_kind(self, sources: Sequence[Path]) -> LinkKind:
        """What :meth:`link_all` would do, as far as that can be told without a change to a file.

        Raises:
            SourceRefusedError: as :meth:`link_all`.
            OSError: a file is not there.
        """
        if self._only is not LinkKind.HARDLINK and self._can_clone(sources[0]):
            return LinkKind.REFLINK
        if self._only is LinkKind.REFLINK:
            raise self._no_clone(sources[0])
        if any(path.stat().st_dev != self._library.stat().st_dev for path in sources):
            raise self._other_disk(sources[0])
        return LinkKind.HARDLINK

    def _can_clone(self, source: Path) -> bool:
        """Tries it, with one file of each disk; the clone is gone again at once."""
        device = source.stat().st_dev
        if device not in self._likely:
            staging = self._library / "staging"
            with TemporaryDirectory(prefix="probe-", dir=staging, ignore_cleanup_errors=True) as at:
                pair = (Path(os.path.realpath(source)), Path(at, "clone"))
                self._likely[device] = self._clone_all([pair])
        return self._likely[device]

    def _clone_all(self, pairs: Sequence[tuple[Path, Path]]) -> bool:
        device = pairs[0][0].stat().st_dev
        if device in self._no_clones:
            return False
        made: list[Path] = []
        for source, target in pairs:
            try:
                clone_file(source, target)
            except OSError as error:
                for path in made:
                    path.unlink()
                if error.errno not in NO_CLONES:
                    raise
                self._no_clones.add(device)
                return False
            made.append(target)
        return True

    def _hard_link(self, source: Path, target: Path) -> None:
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise self._other_disk(source) from error
            if error.errno in _NO_HARD_LINKS:
                raise _refusal(
                    "no_hard_links",
                    source,
                    "this system does not let you make a hard link to it: it may be somebody "
                    "else's file, or its file system has none",
                    "Copy it into the library: cellar import",
                ) from error
            raise

    def _no_clone(self, source: Path) -> SourceRefusedError:
        return _refusal(
            "no_clones",
            source,
            f"its data cannot be shared with {self._library}",
            "Leave --link out to take it in as a hard link, or copy it: cellar import",
        )

    def _other_disk(self, source: Path) -> SourceRefusedError:
        return _refusal(
            "other_disk",
            source,
            f"it is not on the disk of the library {self._library}, and links do not reach across",
            "Copy it into the library: cellar import. Or make a library on its disk: "
            "cellar init FOLDER, and adopt it there with --library FOLDER",
        )


def _refusal(code: str, path: Path, reason: str, remedy: str) -> SourceRefusedError:
    return SourceRefusedError(code, f"{naming.display(os.fspath(path))}: {reason}", remedy)
