"""What an app is to be given, asked of its layout and made as the mapper makes it, without one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelcellar.io.platform import create_link, write_new
from modelcellar.library import ModelLibrary
from modelcellar.link_records import App, LinkKind, Unplaced, Wish
from modelcellar.links.layouts import wishes_of
from modelcellar.links.place import Place
from modelcellar.links.presets import load_preset
from modelcellar.records import ModelRecord

__all__ = ["Asked", "ask", "put", "tree_bytes_by_inode"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What should stand in an app's folder, and why some models are not to."""

    wishes: tuple[Wish, ...]
    unplaced: tuple[Unplaced, ...]

    @property
    def reasons(self) -> dict[str, str]:
        """Model id -> why it is not placed."""
        return {one.model_id: one.reason for one in self.unplaced}

    def targets(self, root: Path) -> list[str]:
        """Where something is to stand, inside the app's folder."""
        return sorted(wish.target.relative_to(root).as_posix() for wish in self.wishes)


def ask(
    library: ModelLibrary,
    root: Path,
    preset: str,
    *,
    models: Sequence[ModelRecord] | None = None,
    link: LinkKind | None = None,
) -> Asked:
    """What an app in ``root`` is to be given of a library, or of some of its models."""
    app = App("app", preset, root, link)
    given = library.list_models().models if models is None else models
    found = list(wishes_of(app, load_preset(preset), given, _place(library)))
    wishes = tuple(one for one in found if isinstance(one, Wish))
    targets = [wish.target for wish in wishes]
    assert len(set(targets)) == len(targets), "one place is wished for twice"
    return Asked(wishes, tuple(one for one in found if isinstance(one, Unplaced)))


def put(library: ModelLibrary, wishes: Iterable[Wish]) -> list[Path]:
    """Make what is wished for, in its order, by the best kind of link; returns what was made."""
    place = _place(library)
    made = []
    for wish in sorted(wishes, key=lambda wish: wish.order):
        wish.target.parent.mkdir(parents=True, exist_ok=True)
        if wish.content is not None:
            write_new(wish.target, wish.content)
        else:
            source = place.content_path(wish.model_id) / wish.path
            create_link(source, wish.target, wish.kinds[0])
        made.append(wish.target)
    return made


def tree_bytes_by_inode(root: Path, but: Iterable[Path]) -> int:
    """The disk space below ``root``, as ``du`` counts it, without the files of ``but``."""
    found = {_identity(path): path.lstat().st_blocks * 512 for path in root.rglob("*")}
    for path in but:
        found.pop(_identity(path), None)
    return sum(found.values())


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _place(library: ModelLibrary) -> Place:
    def find(query: str) -> list[str]:
        return [hit.id for hit in library.search(query, limit=10_000).models]

    return Place(library.path, find)
