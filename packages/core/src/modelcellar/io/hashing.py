"""The only door to the native extension: digests, the hashed copy, the durable publish, disks."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import modelcellar_hashing
from modelcellar.records import CopyJob, Digests, HashedFile
from modelcellar_hashing import (
    SHA256_BACKEND,
    ArrivingFile,
    SourceChangedError,
    first_extent,
    probe_latency,
    sync_folder,
)

__all__ = [
    "SHA256_BACKEND",
    "ArrivingFile",
    "ByteProgress",
    "OnDone",
    "Reflink",
    "SourceChangedError",
    "Verify",
    "copy_many",
    "copy_with_hashing",
    "finish_arriving",
    "first_extent",
    "hash_file",
    "hash_many",
    "probe_latency",
    "publish",
    "sync_folder",
]

ByteProgress = Callable[[int, int], object]
"""Called as ``progress(done_bytes, total_bytes)``, at most every 100 ms."""

OnDone = Callable[[int, HashedFile | OSError], object]
"""Called as ``on_done(number, result)`` soon after a job has ended, with its place in the list."""

Reflink = Literal["never", "auto", "always"]
"""Whether a copy may share its data with its source, where the file system can do that."""

Verify = Literal["memory", "disk"]
"""Whether a copy is what the kernel took without complaint, or what the disk gives back."""


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
    path: str | os.PathLike[str],
    *,
    from_disk: bool = False,
    ranges: Sequence[tuple[int, int]] = (),
    progress: ByteProgress | None = None,
) -> HashedFile:
    """Both digests of the file at ``path``, read once, and the SHA-256 of each of its ``ranges``.

    ``from_disk`` asks the kernel to drop its cached pages first, so that the disk is what is read.

    Raises:
        SourceChangedError: the file changed while it was being read.
        OSError: with errno and file name.
    """
    found = modelcellar_hashing.hash_file(
        path, from_disk=from_disk, ranges=ranges, progress=progress
    )
    return _hashed(path, found)


def copy_many(
    jobs: Sequence[CopyJob],
    *,
    streams: int = 0,
    alternate: bool = False,
    reflink: Reflink = "auto",
    verify: Verify = "memory",
    found: dict[int, HashedFile | OSError] | None = None,
    on_done: OnDone | None = None,
    progress: ByteProgress | None = None,
) -> list[HashedFile | OSError]:
    """Copy many files to new names that :func:`publish` makes durable later; one result each.

    ``streams`` is how many are read at the same time: 0 for as many as the processor suits, 1 for
    one after the other; ``alternate`` makes reading and writing take turns. With ``verify="disk"``
    all copies are read back at the end, which progress counts as bytes once more. A copy that fails
    leaves nothing behind and stops no other. ``found`` gets the results by their number, also those
    that were there when an exception ended the call.
    """
    sources = [job.source for job in jobs]
    native = [(job.source, job.target, job.ranges) for job in jobs]
    results: list[_Native | None] = []
    try:
        modelcellar_hashing.copy_many(
            native,
            publish=False,
            streams=streams,
            alternate=alternate,
            reflink=reflink,
            verify=verify,
            found=results,
            on_done=_hashed_first(sources, on_done),
            progress=progress,
        )
    finally:
        known = {
            number: _result(sources[number], result)
            for number, result in enumerate(results)
            if result is not None
        }
        if found is not None:
            found.update(known)
    return [known[number] for number in range(len(jobs))]


def hash_many(
    paths: Sequence[str | os.PathLike[str]],
    *,
    streams: int = 0,
    from_disk: bool = False,
    on_done: OnDone | None = None,
    progress: ByteProgress | None = None,
) -> list[HashedFile | OSError]:
    """Both digests of many files, each read once; otherwise as :func:`copy_many`."""
    results = modelcellar_hashing.hash_many(
        paths,
        streams=streams,
        from_disk=from_disk,
        on_done=_hashed_first(paths, on_done),
        progress=progress,
    )
    return _all_hashed(paths, results)


def finish_arriving(file: ArrivingFile, path: Path) -> HashedFile:
    """Wait until all of the ``file`` at ``path`` is written and hashed; its digests.

    The seconds are those since hashing began. :func:`publish` makes the file durable later.

    Raises:
        ValueError: some of the file is missing, or it was closed.
        OSError: with errno and file name; what was written before counts when it is opened again.
    """
    return _hashed(path, file.finish())


def publish(items: Sequence[tuple[Path, Path]], *, replace: bool = False) -> list[bool]:
    """Make ``(staged, final)`` pairs durable under their final names, replacing nothing.

    One flag an item: ``False`` when the final name existed already (and was left alone).
    ``replace`` lets a file take the place of an existing one in one step.

    Raises:
        OSError: with errno and file name; begin anew from the source.
    """
    return modelcellar_hashing.publish(items, replace=replace)


_Native = modelcellar_hashing.FileDigests | OSError
_AnyPath = str | os.PathLike[str]


def _hashed(path: _AnyPath, found: modelcellar_hashing.FileDigests) -> HashedFile:
    digests = Digests(blake3=found.blake3, sha256=found.sha256)
    ranges = tuple(found.range_sha256)
    return HashedFile(
        os.fspath(path), found.size_bytes, digests, found.seconds, ranges, found.cloned
    )


def _result(path: _AnyPath, found: _Native) -> HashedFile | OSError:
    return found if isinstance(found, OSError) else _hashed(path, found)


def _all_hashed(
    paths: Sequence[_AnyPath], results: Sequence[_Native]
) -> list[HashedFile | OSError]:
    return [_result(path, found) for path, found in zip(paths, results, strict=True)]


def _hashed_first(
    paths: Sequence[_AnyPath], on_done: OnDone | None
) -> Callable[[int, _Native], object] | None:
    if on_done is None:
        return None
    return lambda number, found: on_done(number, _result(paths[number], found))
