"""Checks of a source before anything of it is copied."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from modelcellar import naming
from modelcellar.errors import SourceRefusedError

__all__ = ["validate_import_source"]

SPARE_PERCENT = 3


def validate_import_source(
    relative_paths: Sequence[str], size_bytes: int, *, library: Path, min_free_bytes: int
) -> None:
    """Check that a model's names survive on every system and that its bytes fit.

    Args:
        relative_paths: the names of its files inside the model, with ``/`` between the parts.
        size_bytes: of all files together.
        library: the folder on whose disk they must fit.
        min_free_bytes: what must stay free there, or 3 % of the model if that is more.

    Raises:
        SourceRefusedError: ``unsafe_name`` or ``name_collision``, with a name that would do.
        OSError: ``ENOSPC``, with the figures.
    """
    for path in relative_paths:
        if problems := naming.relative_path_problems(path):
            raise _unsafe_name(problems[0])
    if clashes := naming.collisions(relative_paths):
        one, other = (naming.display(name) for name in clashes[0])
        raise SourceRefusedError(
            "name_collision",
            f"'{one}' and '{other}' are one name on Windows and macOS",
            "Rename one of them and import the folder again.",
        )
    spare = max(size_bytes * SPARE_PERCENT // 100, min_free_bytes)
    found = os.statvfs(library)
    free = found.f_bavail * found.f_frsize
    if size_bytes + spare > free:
        text = f"no space for {size_bytes:,} bytes with {spare:,} to spare: {free:,} are free"
        raise OSError(errno.ENOSPC, text, os.fspath(library))


def _unsafe_name(problem: naming.NameProblem) -> SourceRefusedError:
    reason = f"the name '{naming.display(problem.part)}' {problem.reason}"
    better = naming.display(naming.portable_name(problem.part))
    remedy = f"Rename it, for example to '{better}', and import it again."
    if problem.code == "path_too_long":
        remedy = "Give it and the folders around it shorter names and import it again."
    return SourceRefusedError("unsafe_name", reason, remedy)
