"""Libraries to be ill-treated: many equal ones, each with something behind it."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelcellar import ModelLibrary
from modelcellar.reports import ImportMode
from tests.support.invariants import Batch, files_below, make_batch, sha256
from tests.support.worker import command, settings


@dataclass(frozen=True, slots=True)
class Place:
    """One library and what it is to import."""

    root: Path
    batch: Batch

    def open(self) -> ModelLibrary:
        """The library, in this process."""
        return ModelLibrary(self.root, settings=settings(self.root))

    def command(self, action: str) -> list[str]:
        """The command of an action; what it works on follows from the action."""
        folder = str(self.batch.folder)
        arguments = {"import": [folder], "move": [folder], "remove": ["text"]}
        arguments["edit"] = ["big", "a note of the user"]
        return command(self.root, action, *arguments.get(action, []))

    def check_kept(self) -> None:
        """All content is in the library, in the trash or where it belongs."""
        folders = [self.root / name for name in ("models", "trash")]
        kept = {sha256(path) for folder in folders for path in files_below(folder)}
        lost = frozenset().union(*self.batch.models) - kept
        assert not lost, "content is gone"


Begin = Callable[[Place], object]


def nothing(_: Place) -> None:
    """The library is empty."""


def imported(place: Place) -> None:
    """Everything is in."""
    with place.open() as library:
        library.import_paths([place.batch.folder])


def moved(place: Place) -> None:
    """Everything is in, and the library has the only copy of it."""
    with place.open() as library:
        library.import_paths([place.batch.folder], mode=ImportMode.MOVE)


def removed(place: Place) -> None:
    """Everything is in but one model, which is in the trash."""
    imported(place)
    with place.open() as library:
        library.remove("text")


class Places:
    """Hands out copies of one beginning, made once.

    Args:
        own_originals: each place has originals of its own, and makes its beginning itself.
    """

    def __init__(
        self, folder: Path, begin: Begin, *, big_bytes: int, own_originals: bool = False
    ) -> None:
        self._folder = folder
        self._begin = begin
        self._own_originals = own_originals
        batch = make_batch(folder / "source", big_bytes=big_bytes)
        self._first = Place(folder / "first", batch)
        ModelLibrary.create(self._first.root, settings=settings(self._first.root)).close()
        if not own_originals:
            begin(self._first)

    def new(self, name: str) -> Place:
        """A library that begins as all of them do."""
        root = self._folder / name
        if self._first.root.exists():
            shutil.copytree(self._first.root, root)
        if not self._own_originals:
            return Place(root, self._first.batch)
        place = Place(root, self._copied_originals(self._folder / f"{name}-source"))
        self._begin(place)
        return place

    def drop(self, place: Place) -> None:
        """Remove a place that is no longer needed."""
        for folder, _, _ in os.walk(place.root):
            Path(folder).chmod(0o755)
        shutil.rmtree(place.root, ignore_errors=True)
        if self._own_originals:
            shutil.rmtree(place.batch.folder)

    def _copied_originals(self, folder: Path) -> Batch:
        batch = self._first.batch
        shutil.copytree(batch.folder, folder)
        files = {folder / path.relative_to(batch.folder): d for path, d in batch.files.items()}
        return Batch(folder, files, batch.models)
