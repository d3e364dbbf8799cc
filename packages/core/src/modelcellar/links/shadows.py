"""Other places where an application would find a file under the name that a link has.

Of two folders for one type the first that holds a name wins, so a file there that is not ours hides
the link, or is hidden by it. A layout does not look at the disk; whoever plans asks here.
"""

from collections.abc import Iterator
from pathlib import Path

from modelcellar.links.preset_values import Preset

__all__ = ["shadows_of"]


def shadows_of(preset: Preset, root: Path, target: Path) -> Iterator[Path]:
    """Where else the name of ``target``, which lies in ``root``, would be the same name.

    Nothing is said of whether anything is there. For an application that knows files by their
    stems other files can have the same name that are not told of here.
    """
    inside = target.relative_to(root)
    for group in preset.shared:
        for folder in group:
            if inside.is_relative_to(folder):
                below = inside.relative_to(folder)
                yield from (root / other / below for other in group if other != folder)
