"""What the contest calls of the native package: its batches, or loops where it has none yet."""

from collections.abc import Sequence
from typing import Any

import modelcellar_hashing
from modelcellar_hashing import copy_with_hashing, hash_file, publish

Jobs = Sequence[tuple[str, str]]

_copy_many: Any = getattr(modelcellar_hashing, "copy_many", None)
_hash_many: Any = getattr(modelcellar_hashing, "hash_many", None)

HAS_BATCHES = _copy_many is not None and _hash_many is not None


def copy_one_by_one(jobs: Jobs) -> list[Any]:
    """Each file by a call of its own, each durable when its call returns."""
    return [copy_with_hashing(src, dst) for src, dst in jobs]


def hash_one(path: str) -> Any:
    """One file by one call."""
    return hash_file(path)


def copy_batch(jobs: Jobs, **options: Any) -> list[Any]:
    """All files in one call, durable together; ``options`` are those of ``copy_many``.

    Raises:
        OSError: a file could not be copied.
    """
    if _copy_many is not None:
        return _all_done(_copy_many(jobs, **options))
    if len(jobs) == 1:
        return copy_one_by_one(jobs)
    staged = [(src, f"{dst}.part", dst) for src, dst in jobs]
    found = [copy_with_hashing(src, part, publish=False) for src, part, _ in staged]
    publish([(part, dst) for _, part, dst in staged])
    return found


def hash_batch(paths: Sequence[str], **options: Any) -> list[Any]:
    """The digests of all files by one call; ``options`` are those of ``hash_many``.

    Raises:
        OSError: a file could not be read.
    """
    if _hash_many is not None:
        return _all_done(_hash_many(paths, **options))
    return [hash_file(path) for path in paths]


def _all_done(found: list[Any]) -> list[Any]:
    for item in found:
        if isinstance(item, OSError):
            raise item
    return found
