"""The contenders that are functions; each runs in a worker process of its own.

Each takes ``jobs``, pairs of a source and a destination (empty when nothing is copied), and returns
the digests it found as ``(sha256, blake3)``, either of them empty when it does not take it.
"""

import hashlib
import os
import queue
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import blake3

from benchmarks import native

MIB = 1 << 20
Job: TypeAlias = tuple[str, str]
Found: TypeAlias = list[tuple[str, str]]
RING_BUFFERS = 8
POOL_THREADS = 8


def sha256_alone(jobs: Sequence[Job]) -> Found:
    """F1, the measure of all: one thread reads the cached files and takes their SHA-256."""
    found = []
    for src, _ in jobs:
        with open(src, "rb") as file:  # noqa: PTH123
            found.append((hashlib.file_digest(file, "sha256").hexdigest(), ""))
    return found


def python_loop(jobs: Sequence[Job]) -> Found:
    """Read a MiB, hash it twice, write it; ``fsync`` after each file."""
    return [_copy_in_a_loop(job, sync=True) for job in jobs]


def python_loop_one_sync(jobs: Sequence[Job]) -> Found:
    """The same with one ``sync`` at the end instead of an ``fsync`` for each file."""
    found = [_copy_in_a_loop(job, sync=False) for job in jobs]
    os.sync()
    return found


def thread_pool(jobs: Sequence[Job]) -> Found:
    """Eight threads, each a Python loop over its own file."""
    with ThreadPoolExecutor(POOL_THREADS) as pool:
        return list(pool.map(lambda job: _copy_in_a_loop(job, sync=True), jobs))


def two_passes(jobs: Sequence[Job]) -> Found:
    """Hash first, then ``shutil.copyfile``, as model managers do: two reads."""
    found = []
    for src, dst in jobs:
        found.append(_copy_in_a_loop((src, ""), sync=False))
        shutil.copyfile(src, dst)
        with open(dst, "rb") as file:  # noqa: PTH123
            os.fsync(file.fileno())
    return found


def _copy_in_a_loop(job: Job, *, sync: bool) -> tuple[str, str]:
    src, dst = job
    sha256, tree = hashlib.sha256(), blake3.blake3()
    # Clearing a whole MiB for each small file would be most of its time.
    buffer = memoryview(bytearray(min(MIB, os.stat(src).st_size + 1)))  # noqa: PTH116
    target = open(dst, "xb", buffering=0) if dst else None  # noqa: PTH123, SIM115
    try:
        with open(src, "rb", buffering=0) as file:  # noqa: PTH123
            while count := file.readinto(buffer):
                part = buffer[:count]
                sha256.update(part)
                tree.update(part)
                if target is not None:
                    target.write(part)
        if target is not None and sync:
            os.fsync(target.fileno())
    finally:
        if target is not None:
            target.close()
    return sha256.hexdigest(), tree.hexdigest()


def python_threads(jobs: Sequence[Job]) -> Found:
    """The best that Python alone does: each digest in a thread, reading and writing beside them."""
    buffers = [memoryview(bytearray(MIB)) for _ in range(RING_BUFFERS)]
    return [_copy_in_threads(*job, buffers) for job in jobs]


def _copy_in_threads(src: str, dst: str, buffers: Sequence[memoryview]) -> tuple[str, str]:
    sha256, tree = hashlib.sha256(), blake3.blake3()
    updates: list[Callable[[Any], object]] = [sha256.update, tree.update]
    # A buffer comes back once for each thread that hashes it.
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    inputs: list[queue.SimpleQueue[tuple[int, int]]] = [queue.SimpleQueue() for _ in range(2)]

    def hash_all(update: Callable[[Any], object], filled: queue.SimpleQueue[Any]) -> None:
        while (item := filled.get())[1]:
            update(buffers[item[0]][: item[1]])
            free.put(item[0])

    threads = [
        threading.Thread(target=hash_all, args=(update, filled))
        for update, filled in zip(updates, inputs, strict=True)
    ]
    for thread in threads:
        thread.start()
    with open(src, "rb", buffering=0) as file:  # noqa: PTH123
        target = open(dst, "xb", buffering=0) if dst else None  # noqa: PTH123, SIM115
        _feed(file, target, buffers, inputs, free)
        for filled in inputs:
            filled.put((0, 0))
        if target is not None:
            os.fsync(target.fileno())
            target.close()
    for thread in threads:
        thread.join()
    return sha256.hexdigest(), tree.hexdigest()


def _feed(
    file: Any,
    target: BinaryIO | Any | None,
    buffers: Sequence[memoryview],
    inputs: Sequence[queue.SimpleQueue[tuple[int, int]]],
    free: queue.SimpleQueue[int],
) -> None:
    """Fill the buffers in turn, pass each to the hashing threads, and write it meanwhile."""
    returns = {place: len(inputs) for place in range(len(buffers))}
    ready = list(range(len(buffers)))
    while True:
        while not ready:
            place = free.get()
            returns[place] += 1
            if returns[place] == len(inputs):
                ready.append(place)
        place = ready.pop()
        count = file.readinto(buffers[place])
        if not count:
            return
        returns[place] = 0
        for filled in inputs:
            filled.put((place, count))
        if target is not None:
            target.write(buffers[place][:count])


def cellar_files(jobs: Sequence[Job]) -> Found:
    """The extension, each file by a call of its own."""
    if jobs[0][1]:
        return _digests(native.copy_one_by_one(jobs))
    return _digests([native.hash_one(src) for src, _ in jobs])


def cellar_batch(jobs: Sequence[Job], **options: Any) -> Found:
    """The extension, all files in one call."""
    if jobs[0][1]:
        return _digests(native.copy_batch(jobs, **options))
    return _digests(native.hash_batch([src for src, _ in jobs], **options))


def cellar_library(jobs: Sequence[Job]) -> Found:
    """``ModelLibrary.import_paths``, from a new library to the last catalog row."""
    from modelcellar import ModelLibrary, Settings

    root = Path(jobs[0][1]).parent / "library"
    with ModelLibrary.create(root, settings=Settings(root, min_free_bytes=0)) as library:
        report = library.import_paths([Path(src) for src, _ in jobs], lookup=False)
    statuses = {result.status for result in report.results}
    if statuses != {"imported"}:
        raise RuntimeError(f"not everything came in: {statuses}")
    return [
        (file.digests.sha256, file.digests.blake3)
        for model in report.models
        for file in model.files
    ]


def _digests(found: Sequence[Any]) -> Found:
    return [(item.sha256, item.blake3) for item in found]


CALLS: dict[str, Callable[..., Found]] = {
    call.__name__: call
    for call in (
        *(sha256_alone, python_loop, python_loop_one_sync, thread_pool, two_passes),
        *(python_threads, cellar_files, cellar_batch, cellar_library),
    )
}
