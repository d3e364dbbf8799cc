"""Other places where an application would find a file under the name that a link has.

Of two folders for one type the first that holds a name wins, and some applications know a LoRA by
the stem of its file wherever it lies, so a file there that is not ours hides the link, or is hidden
by it. A layout does not look at the disk; whoever plans asks here.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from modelcellar.link_records import App
from modelcellar.links.preset_values import Collision, Preset
from modelcellar.naming import caseless

__all__ = ["Shadows"]

BY_STEM = ("lora", "embedding")
"""Types that such applications know by the stem; others are told apart by their path
(stable-diffusion-webui#16980, #8759)."""


class Shadows:
    """Where else one application would find the name of a target. Each folder is read once."""

    def __init__(self, app: App, preset: Preset) -> None:
        self._root = app.root
        self._shared = preset.shared
        folders = {**preset.folders, **app.folders}
        is_by_stem = preset.collision is Collision.STEM
        self._by_stem = [folders[kind] for kind in BY_STEM if is_by_stem and folders.get(kind)]
        self._extensions = set(preset.extensions).union(*preset.takes.values())
        self._stems: dict[str, dict[str, list[Path]]] = {}

    def __call__(self, target: Path) -> Iterator[Path]:
        """Places other than ``target``, which lies in the root; perhaps nothing is there."""
        inside = target.relative_to(self._root)
        for group in self._shared:
            for folder in group:
                if inside.is_relative_to(folder):
                    below = inside.relative_to(folder)
                    yield from (self._root / other / below for other in group if other != folder)
        for folder in self._by_stem:
            if inside.is_relative_to(folder) and target.suffix.lower() in self._extensions:
                yield from self._of_stem(folder, target)

    def _of_stem(self, folder: str, target: Path) -> Iterator[Path]:
        group = next((group for group in self._shared if folder in group), (folder,))
        for one in group:
            if one not in self._stems:
                self._stems[one] = _stems_in(self._root / one, self._extensions)
            found = self._stems[one].get(caseless(target.stem), [])
            yield from (path for path in found if path != target)


def _stems_in(top: Path, extensions: set[str]) -> dict[str, list[Path]]:
    """The files that count below ``top``, by their stems; links of folders are followed, as such
    applications do."""
    found: dict[str, list[Path]] = defaultdict(list)
    seen: set[tuple[int, int]] = set()
    for folder, folders, names in os.walk(top, followlinks=True):
        here = Path(folder).stat()
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        for name in names:
            stem, extension = os.path.splitext(name)  # noqa: PTH122
            if extension.lower() in extensions:
                found[caseless(stem)].append(Path(folder, name))
    return found
