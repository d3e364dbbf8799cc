"""What a layout may ask about the library: where its files are, and what a search finds."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Place"]


@dataclass(frozen=True, slots=True)
class Place:
    """One library, as layouts see it.

    ``find`` gives the ids of all models that a search query fits (``docs/search.md``); of models
    that nobody asks about it may leave some out.
    """

    library: Path
    find: Callable[[str], Collection[str]]

    def content_path(self, model_id: str) -> Path:
        """The folder of a model's files."""
        return self.library / "models" / model_id
