"""What a layout may ask about the library: where its files are, and what a search finds."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """One library, as layouts see it.

    ``root`` is its folder. ``find`` gives the ids of all models that a search query is true of
    (``docs/search.md``), none that only comes close; models that are not asked about may be
    missing.
    """

    root: Path
    find: Callable[[str], Collection[str]]

    def content_path(self, model_id: str) -> Path:
        """The folder of a model's files."""
        return self.root / "models" / model_id
