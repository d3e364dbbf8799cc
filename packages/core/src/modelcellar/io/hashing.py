"""The only door to the native extension: digests, the hashed copy, the durable publish."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import modelcellar_hashing
from modelcellar.records import Digests, HashedFile
from modelcellar_hashing import SourceChangedError, sync_folder

__all__ = [
    "ByteProgress",
    "SourceChangedError",
    "copy_with_hashing",
    "hash_file",
    "publish",
    "sync_folder",
]

ByteProgress = Callable[[int, int], object]
"""Called as ``progress(done_bytes, total_bytes)``, at most every 100 ms."""


def copy_with_hashing(
    src: Path,
    dst: Path,
    *,
    publish: bool = True,
    ranges: Sequence[tuple[int, int]] = (),
    progress: ByteProgress | None = None,
) -> HashedFile:
    """Copy ``src`` to the new name ``dst``; digests of what was written.

    With ``publish`` the copy is durable and visible at once under its final name; without, ``dst``
    is a staged file that :func:`publish` makes durable later, with the folder it lies in. Of each
    ``(start, end)`` byte range the SHA-256 is taken as well, in the same read.

    Raises:
        SourceChangedError: the source changed while it was being read.
        OSError: with errno and file name; nothing is left behind.
    """
    found = modelcellar_hashing.copy_with_hashing(
        src, dst, publish=publish, ranges=ranges, progress=progress
    )
    return _hashed(src, found)


def hash_file(
    path: str | os.PathLike[str], *, from_disk: bool = False, progress: ByteProgress | None = None
) -> HashedFile:
    """Both digests of the file at ``path``, read once.

    ``from_disk`` asks the kernel to drop its cached pages first, so that the disk is what is read.

    Raises:
        SourceChangedError: the file changed while it was being read.
        OSError: with errno and file name.
    """
    found = modelcellar_hashing.hash_file(path, from_disk=from_disk, progress=progress)
    return _hashed(path, found)


def publish(items: Sequence[tuple[Path, Path]], *, replace: bool = False) -> list[bool]:
    """Make ``(staged, final)`` pairs durable under their final names, replacing nothing.

    One flag an item: ``False`` when the final name existed already (and was left alone).
    ``replace`` lets a file take the place of an existing one in one step.

    Raises:
        OSError: with errno and file name; begin anew from the source.
    """
    return modelcellar_hashing.publish(items, replace=replace)


def _hashed(path: str | os.PathLike[str], found: modelcellar_hashing.FileDigests) -> HashedFile:
    digests = Digests(blake3=found.blake3, sha256=found.sha256)
    return HashedFile(
        os.fspath(path), found.size_bytes, digests, found.seconds, tuple(found.range_sha256)
    )
