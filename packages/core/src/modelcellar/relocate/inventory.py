"""All that a library holds and that must come along when it moves, with the digests on record."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelcellar import manifest as manifests
from modelcellar import naming
from modelcellar.errors import LibraryFormatError
from modelcellar.layout import DOWNLOADS, FOLDERS, MOVED_FILE, README_FILE
from modelcellar.manifest import Manifest
from modelcellar.records import Digests
from modelcellar.reports import Damage

__all__ = ["Inventory", "Part", "Unit", "not_arrived", "take_inventory"]

STAYS = frozenset({*FOLDERS, "library.json", MOVED_FILE, README_FILE, ".lock"})
"""What lies in a library's folder and is ours, whether it is copied or made anew."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a unit. ``digests`` are those on record; ``None``: nobody wrote them down."""

    path: str
    size_bytes: int
    digests: Digests | None


@dataclass(frozen=True, slots=True)
class Unit:
    """A folder that comes along whole: a model's files. ``place`` is below the library."""

    place: str
    parts: tuple[Part, ...]

    @property
    def is_model(self) -> bool:
        """Whether it is a model of the library, and not in the trash."""
        return self.place.startswith("models/")

    @property
    def size_bytes(self) -> int:
        """Bytes of all parts."""
        return sum(part.size_bytes for part in self.parts)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What comes along. ``papers`` are small files below the library: manifests, the journal.

    ``lacking`` are files on record that are missing or of another size; ``left`` is what stays
    where it is: what is not of a library, and unfinished downloads.
    """

    units: tuple[Unit, ...]
    papers: tuple[str, ...]
    lacking: tuple[Damage, ...]
    left: tuple[str, ...]

    @property
    def models(self) -> int:
        """How many models there are, those in the trash not counted."""
        return sum(unit.is_model for unit in self.units)

    @property
    def size_bytes(self) -> int:
        """Bytes of all units."""
        return sum(unit.size_bytes for unit in self.units)


def take_inventory(root: Path) -> Inventory:
    """Look through the library at ``root``; no file is read but the manifests.

    Raises:
        OSError: a folder cannot be looked into.
    """
    look = _Look(root)
    papers = [README_FILE] if (root / README_FILE).is_file() else []
    for name in ("manifests", "journal"):
        papers += look.files_in(name)
    units = [*look.units("models", "manifests")]
    for entry in look.folders_in("trash"):
        papers += look.files_in(entry, beside_folders=True)
        units += look.units(entry, entry)
    strangers = sorted(path.name for path in root.iterdir() if path.name not in STAYS)
    left = (*strangers, *look.left, *_unfinished(root))
    return Inventory(tuple(units), tuple(papers), tuple(look.lacking), left)


def not_arrived(inventory: Inventory, source: Path, target: Path) -> Iterator[Damage]:
    """Files of models at ``source`` that their models at ``target`` lack: they could not be copied.

    A model that is not at ``target`` at all was removed there.
    """
    for unit in inventory.units:
        for part in unit.parts if (target / unit.place).is_dir() else ():
            here, there = (_status(place / unit.place / part.path) for place in (source, target))
            if here is not None and (there is None or there.st_size != here.st_size):
                expected = part.digests.blake3 if part.digests is not None else ""
                yield Damage(unit.place.rpartition("/")[2], part.path, expected, "not copied")


def _unfinished(root: Path) -> Iterator[str]:
    """The folder of downloads that are not finished: what has come of them is nowhere else."""
    folder = root / "staging" / DOWNLOADS
    if folder.is_dir() and any(path.suffix != ".lock" for path in folder.iterdir()):
        yield f"staging/{DOWNLOADS}"


class _Look:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.left: list[str] = []
        self.lacking: list[Damage] = []

    def files_in(self, place: str, *, beside_folders: bool = False) -> list[str]:
        """Small files right below ``place``; anything else there is left, but for folders."""
        found = []
        for name, mode in self._entries(place):
            if stat.S_ISREG(mode):
                found.append(f"{place}/{name}")
            elif not (beside_folders and stat.S_ISDIR(mode)):
                self.left.append(f"{place}/{name}")
        return found

    def folders_in(self, place: str) -> Iterator[str]:
        for name, mode in self._entries(place):
            if stat.S_ISDIR(mode):
                yield f"{place}/{name}"
            else:
                self.left.append(f"{place}/{name}")

    def units(self, place: str, papers: str) -> Iterator[Unit]:
        """The models whose folders are in ``place`` and whose manifests are in ``papers``."""
        known: dict[str, Manifest] = {}
        for name, _ in self._entries(papers):
            if (found := _manifest(self._root / papers / name)) is not None:
                known[found.id] = found
        names = set()
        for name, mode in self._entries(place):
            if stat.S_ISDIR(mode) and naming.is_model_id(name):
                names.add(name)
            elif place == "models" or stat.S_ISDIR(mode):
                self.left.append(f"{place}/{name}")
        if place == "models":
            names |= known.keys()
        for name in sorted(names):
            yield self._unit(f"{place}/{name}", known.get(name))

    def _unit(self, place: str, manifest: Manifest | None) -> Unit:
        """What is on record, whether it is there or not, and what is there beside it."""
        sizes = dict(self._sizes(place))
        files = () if manifest is None else manifest.files
        recorded = {file.path: Part(file.path, file.size_bytes, file.digests) for file in files}
        for file in files:
            if sizes.get(file.path) != file.size_bytes:
                what = "missing" if file.path not in sizes else "of another size"
                expected = file.digests.blake3 if file.digests is not None else ""
                damage = Damage(place.rpartition("/")[2], file.path, expected, what)
                self.lacking.append(damage)
        others = {path: Part(path, size, None) for path, size in sizes.items()}
        parts = {**others, **recorded}
        return Unit(place, tuple(parts[path] for path in sorted(parts)))

    def _sizes(self, place: str) -> Iterator[tuple[str, int]]:
        top = self._root / place
        for folder, subfolders, names in os.walk(top, onerror=_raise_unless_missing):
            for name in (*names, *subfolders):
                path = Path(folder, name)
                if (found := _status(path)) is None:
                    continue
                if stat.S_ISREG(found.st_mode):
                    yield path.relative_to(top).as_posix(), found.st_size
                elif not stat.S_ISDIR(found.st_mode):
                    self.left.append(path.relative_to(self._root).as_posix())

    def _entries(self, place: str) -> list[tuple[str, int]]:
        folder = self._root / place
        found = ((path, _status(path)) for path in (folder.iterdir() if folder.exists() else ()))
        return sorted((path.name, one.st_mode) for path, one in found if one is not None)


def _manifest(path: Path) -> Manifest | None:
    """A manifest, if it is one; what is garbled comes along as it is."""
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        found = manifests.decode(path.read_bytes(), str(path))
    except (LibraryFormatError, FileNotFoundError):
        return None
    return found if found.id == path.stem else None


def _status(path: Path) -> os.stat_result | None:
    """What stands there; nothing, where another process took it away in this moment."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
