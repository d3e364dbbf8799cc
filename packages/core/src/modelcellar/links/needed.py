"""Links of ours that an application's own files name by now, and that therefore have to stay.

A store of Ollama and a cache of the Hub keep files under their digests. What the user pulls or
downloads there takes a link of ours for its own, if that holds the same bytes, and would be broken
without it.
"""

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from modelcellar.io.link_health import is_ours
from modelcellar.link_records import Link, LinkHealth
from modelcellar.ollama_store import stored_models

__all__ = ["Needed"]

_OURS = (LinkHealth.OK, LinkHealth.BROKEN, LinkHealth.SOURCE_GONE)


class Needed:
    """Tells it of the links in one application; the disk is looked at when it is first asked.

    Args:
        root: the application's folder.
        layout: that of its preset.
        rows: gives the ledger's rows of all applications, by target.
        library: the library's folder.
    """

    def __init__(
        self, root: Path, layout: str, rows: Callable[[], Mapping[Path, Link]], library: Path
    ) -> None:
        self._root = root
        self._layout = layout
        self._rows = rows
        self._library = library
        self._by_repository: dict[Path, frozenset[str]] = {}

    def __call__(self, link: Link) -> bool:
        """Whether a file that is not ours names what stands there."""
        if link.target.parent.name != "blobs":
            return False
        if self._layout == "ollama":
            return link.target.name in self._in_manifests
        if self._layout == "hub_cache":
            repository = link.target.parent.parent
            if repository not in self._by_repository:
                self._by_repository[repository] = _led_to(repository / "snapshots")
            where = Path(os.path.realpath(link.target.parent), link.target.name)
            return os.fspath(where) in self._by_repository[repository]
        return False

    @cached_property
    def _in_manifests(self) -> frozenset[str]:
        rows = self._rows()
        digests: set[str | None] = set()
        for model in stored_models(self._root):
            row = rows.get(model.path)
            if row is None or is_ours(row, self._library) not in _OURS:
                digests |= {model.config, *(layer.sha256 for layer in model.layers)}
        return frozenset(f"sha256-{digest}" for digest in digests if digest is not None)


def _led_to(snapshots: Path) -> frozenset[str]:
    """What the symbolic links below a folder say they lead to; links of ours there are no such."""
    ends = set()
    for folder, folders, names in os.walk(snapshots):
        for path in (Path(folder, name) for name in (*folders, *names)):
            if path.is_symlink():
                ends.add(os.path.normpath(Path(os.path.realpath(folder), path.readlink())))
    return frozenset(ends)
