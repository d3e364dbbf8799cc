"""The folders that links are made in: where they really are, and what can be made there."""

import os
import stat
from pathlib import Path

from modelcellar.io.platform import what_works
from modelcellar.io.surroundings import nearest_existing
from modelcellar.link_records import LinkKind, Wish
from modelcellar.naming import caseless

__all__ = ["OFFLINE_ENDING", "Destinations"]

OFFLINE_ENDING = ": offline"
"""How a reason ends that goes away by itself when a disk is back."""


class Destinations:
    """What is known of the folders of an application; each is looked at once.

    Args:
        root: the library's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._real_root = os.path.realpath(root)
        self._real: dict[Path, str] = {}
        self._problems: dict[Path, str] = {}
        self._works: dict[int, frozenset[LinkKind]] = {}

    def place_of(self, target: Path) -> tuple[str, str]:
        """Where it really is, be it reached by several ways or spellings."""
        folder = target.parent
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        return self._real[folder], caseless(target.name)

    def choice(self, wish: Wish) -> tuple[LinkKind | None, str]:
        """The best link that is allowed and possible there; or why there is none."""
        folder = nearest_existing(wish.target.parent)
        if not os.access(folder, os.W_OK | os.X_OK):
            return None, f"{folder} cannot be written to"
        # Tried out once on each file system: a library may fill ten thousand folders.
        device = folder.stat().st_dev
        if device not in self._works:
            self._works[device] = what_works(self._root / "staging", folder)
        works = self._works[device]
        wanted = (LinkKind.GENERATED,) if wish.content is not None else wish.kinds
        for kind in wanted:
            if kind in works:
                return kind, ""
        if not works:
            return None, f"{folder} cannot be written to"
        asked = " or ".join(kind.value for kind in wanted)
        possible = ", ".join(sorted(kind.value for kind in works - {LinkKind.GENERATED}))
        return None, f"no {asked} can be made there; with --link it could be: {possible}"

    def problem(self, folder: Path) -> str:
        """What keeps links from being made in ``folder``; "" when nothing does."""
        if folder not in self._problems:
            self._problems[folder] = self._problem_of(folder)
        return self._problems[folder]

    def _problem_of(self, folder: Path) -> str:
        found = _stat(folder)
        if found is None:
            if folder.is_symlink():
                return f"{folder} leads to a folder that is not there{OFFLINE_ENDING}"
            return "" if folder == folder.parent else self.problem(folder.parent)
        if not stat.S_ISDIR(found.st_mode):
            return f"{folder} is no folder"
        real = os.path.realpath(folder)
        if os.path.commonpath([real, self._real_root]) == self._real_root:
            return f"{folder} is a folder of the library itself"
        return ""


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:  # nothing, or a link that leads nowhere or round in a circle
        return None
