"""Where an application is installed: the usual places of its preset, and what marks them."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from modelcellar.links.preset_values import Preset

__all__ = ["is_root", "likely_roots"]

_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")


def is_root(preset: Preset, folder: Path) -> bool:
    """Whether a folder looks like an installation: any does where the preset knows no marks."""
    marks = preset.root.marks
    return folder.is_dir() and (not marks or any((folder / mark).exists() for mark in marks))


def likely_roots(
    preset: Preset, *, environ: Mapping[str, str] = os.environ, home: Path | None = None
) -> Iterator[Path]:
    """The folders among the usual places that look like an installation, the likeliest first.

    Args:
        preset: of the application.
        environ: the environment to read.
        home: what ``~`` stands for, if not the user's own home folder.
    """
    seen: set[Path] = set()
    for place in preset.root.places:
        path = _expanded(place, environ, home)
        if path is not None and path not in seen and is_root(preset, path):
            seen.add(path)
            yield path


def _expanded(place: str, environ: Mapping[str, str], home: Path | None) -> Path | None:
    """An absolute path; None where a variable is not set, as on another system."""
    names = _VARIABLE.findall(place)
    if any(not environ.get(name) for name in names):
        return None
    text = _VARIABLE.sub(lambda found: environ[found[1]], place)
    try:
        if text == "~" or text.startswith("~/"):
            path = (home or Path.home()) / text[2:]
        else:
            path = Path(text)
    except RuntimeError:  # no home folder
        return None
    return path if path.is_absolute() else None
