"""Gives a model back the files it lost, from an import of the same weights."""

import logging
import os
from dataclasses import replace
from pathlib import Path

from modelcellar.io import hashing
from modelcellar.manifest import Manifest
from modelcellar.records import FileRecord

__all__ = ["fit_content"]

log = logging.getLogger(__name__)


def fit_content(staged: Path, came: Manifest, present: Manifest, old_content: Path) -> Manifest:
    """Arrange staged files the way the library's manifest names them.

    The weights are those of both manifests, perhaps under another name. Companions that came along
    are taken; of the old ones those that are still well are kept.

    Returns the manifest that is true of the staged folder.

    Raises:
        OSError: the disk fails; ``old_content`` is as it was.
    """
    weights = [file for file in present.files if not file.is_companion]
    came_weights = [file for file in came.files if not file.is_companion]
    if len(weights) == 1:
        wanted = staged / weights[0].path
        if weights[0].path != came_weights[0].path:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            # Never over a companion that has the old name of the weights.
            os.link(staged / came_weights[0].path, wanted)
            (staged / came_weights[0].path).unlink()
    companions = {file.path: file for file in came.files if file.is_companion}
    for file in present.files:
        if file.is_companion and file.path not in companions and _rescue(file, old_content, staged):
            companions[file.path] = file
    files = sorted([*weights, *companions.values()], key=lambda file: os.fsencode(file.path))
    return replace(present, files=tuple(files), damaged_at=None)


def _rescue(file: FileRecord, old_content: Path, staged: Path) -> bool:
    """Copies a companion over from the damaged content if it is what it was."""
    target = staged / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        found = hashing.copy_with_hashing(old_content / file.path, target, publish=False)
    except FileNotFoundError:
        log.warning("%s is lost; it was only a companion", file.path)
        return False
    if found.digests != file.digests:
        log.warning("%s is damaged and is left out; it was only a companion", file.path)
        target.unlink()
        return False
    return True
