"""The native half: one file copied or read once, both digests, and the durable publish.

Paths are anything ``os.fspath`` accepts; names that are not UTF-8 are kept byte for byte.
Every failure of the operating system is an ``OSError`` with ``errno`` and ``filename`` set.
"""

import os
from collections.abc import Callable, Sequence
from typing import Final, Literal, Self, TypeAlias, final

_StrPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]

__all__ = [
    "SHA256_BACKEND",
    "ArrivingFile",
    "FileDigests",
    "SourceChangedError",
    "__version__",
    "copy_many",
    "copy_with_hashing",
    "first_extent",
    "hash_file",
    "hash_many",
    "probe_latency",
    "publish",
    "sync_folder",
]

__version__: Final[str]
SHA256_BACKEND: Final[str]

class SourceChangedError(OSError):
    """The source was written to, truncated or replaced while being read (``errno.ESTALE``)."""

@final
class FileDigests:
    """What was read (and, for a copy, written): both digests over exactly those bytes."""

    @property
    def blake3(self) -> str:
        """BLAKE3 of the whole file, 64 lower-case hexadecimal digits."""
    @property
    def sha256(self) -> str:
        """SHA-256 of the whole file, 64 lower-case hexadecimal digits."""
    @property
    def size_bytes(self) -> int:
        """Number of bytes read, hashed and (for a copy) written."""
    @property
    def range_sha256(self) -> list[str]:
        """SHA-256 of each byte range that was asked for, in that order."""
    @property
    def cloned(self) -> bool:
        """Whether the copy shares its data with the source, so that no bytes were written."""
    @property
    def seconds(self) -> float:
        """Wall time of the call in seconds; of a batch, until this file was known to be done; of a
        file that arrived, since hashing began."""

@final
class ArrivingFile:
    """A file whose bytes come in pieces, from several threads and over several runs of the program.

    One thread writes the bytes, another hashes them from the first to the last: from memory those
    that come in order, from the file the others. Besides what it is handed (at most 16 MiB that
    wait to be written, 8 MiB that wait to be hashed) it takes next to no memory. Any thread may
    call anything, several at once.

    A small record beside the file counts the bytes of each piece that are written, so that a
    killed process loses nothing but what it had not written yet; after a power cut, those that
    :meth:`sync` has brought to the disk. That one process at a time opens it is for the caller.

    Every method but :meth:`close` raises ``ValueError`` after that, and the ``OSError`` of an
    earlier failure: opened again, the file goes on.
    """

    def __new__(
        cls,
        path: _StrPath,
        record: _StrPath,
        size_bytes: int,
        *,
        piece_bytes: int,
        boot_id: str | None = None,
    ) -> Self:
        """Take up the file at ``path`` and its ``record``, or begin anew.

        What is there goes on if both are regular files, the record is whole, and both are of
        ``size_bytes``. Anything else is removed (as a name), and the file is created for its owner
        alone, with its space reserved where the file system can do that.

        Args:
            path: the data file, of its whole size from the beginning.
            record: a name for the record, 64 bytes and 16 for each piece.
            size_bytes: of the whole file, at most 2**63 - 1.
            piece_bytes: of each piece, at most 2**20 of them; a file that goes on keeps its own.
            boot_id: which run of the operating system this is, for tests; by default what Linux
                says. After another, or an empty one, only bytes that were synced count.

        Raises:
            ValueError: no piece, or too many.
            OSError: with ``errno`` and ``filename``; ``ENOSPC`` where the space cannot be reserved.
                Nothing new is left behind.
        """

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole file."""
    @property
    def piece_bytes(self) -> int:
        """Bytes of a piece; the last one may be shorter."""
    @property
    def is_resumed(self) -> bool:
        """Whether the file was there before and goes on, even if none of its bytes do."""
    @property
    def written_bytes(self) -> int:
        """Bytes that are in the file, whether the disk has them yet or not."""
    @property
    def hashed_bytes(self) -> int:
        """Bytes that were hashed, from the beginning of the file."""
    def missing(self) -> list[tuple[int, int]]:
        """What is neither written nor queued: ``(start, end)`` of each piece that lacks some."""

    def hash(self, ranges: Sequence[tuple[int, int]] = ()) -> None:
        """Begin to hash, from the first byte; before this call nothing is hashed.

        Args:
            ranges: ``(start, end)`` byte ranges whose SHA-256 is wanted as well, at most 16.

        Raises:
            ValueError: a range that the file does not have, or called twice.
        """

    def write(self, offset: int, data: bytes) -> None:
        """Queue ``data``, which belong at ``offset``; they are not copied.

        Returns at once, unless more than 16 MiB would be queued, or what is hashed next would come
        more than 8 MiB too early; then waits, with the interpreter released, and Ctrl-C is answered
        within 200 ms (nothing of ``data`` is queued then).

        Args:
            offset: where a piece goes on: its start, or the end of what was written to it before.
            data: may run over into the pieces that follow, if those are empty.

        Raises:
            ValueError: another place, or beyond the end; nothing was queued.
            OSError: what was queued before could not be written, and counts as not written.
        """

    def sync(self) -> None:
        """Wait until the disk has what was written before this call, and say so in the record.

        Writes go on meanwhile.

        Raises:
            OSError: that of the disk. Nobody knows then what it has: opened again, the file goes on
                from the sync before.
        """

    def finish(self) -> FileDigests:
        """Wait until all is written and hashed; the digests. Begins to hash if nobody did.

        The file and its record stay; the disk may not have all of the file yet. Ctrl-C is answered
        within 200 ms, and nothing is lost by it.

        Raises:
            ValueError: some of the file is missing.
            OSError: it could not be written, or read back.
        """

    def restart(self) -> None:
        """Forget everything that was written and hashed, as if new; the space stays reserved.

        The record on the disk says so when this returns, or ``OSError`` is raised. :meth:`hash` may
        be called again.
        """

    def close(self) -> None:
        """Write what is queued and stop. May be called again; also done when the object goes.

        Bytes that cannot be written are :meth:`missing` in the next run. Ctrl-C is answered within
        200 ms; the rest of the queue is then written by itself.
        """

def copy_with_hashing(
    src: _StrPath,
    dst: _StrPath,
    *,
    publish: bool = True,
    ranges: Sequence[tuple[int, int]] = (),
    reflink: Literal["never", "auto", "always"] = "never",
    verify: Literal["memory", "disk"] = "memory",
    progress: Callable[[int, int], object] | None = None,
) -> FileDigests:
    """Copy the regular file ``src`` to the new name ``dst`` and return both digests of the copy.

    The bytes are read once and written once; BLAKE3 and SHA-256 run over the very buffers that
    are written. The interpreter is released for the whole copy.

    With ``publish`` the copy is written under a private name in the folder of ``dst`` and made
    durable under its final name by :func:`publish`. Without it ``dst`` itself is created
    exclusively and left for a later :func:`publish` of a whole folder: the bytes are on their
    way to the disk but not promised.

    The copy keeps the permission bits (less the umask) and the modification time of the source.
    Holes of a sparse source stay holes. A source that was changed within the last 20 ms is given
    that time to settle first: two writes closer than that can carry the same time.

    Args:
        src: an existing regular file; a symbolic link is followed.
        dst: a name that does not exist yet, in a folder that does.
        publish: make the copy durable and visible under its final name at once.
        ranges: ``(start, end)`` byte ranges whose SHA-256 is wanted as well, at most 16; ``end`` is
            the byte after the last. They may overlap. One or two long ranges cost little: they run
            beside the whole file on the same core.
        reflink: whether the copy may share its data with the source where the file system can do
            that (btrfs, XFS and others on one file system): ``never``, ``auto`` where it works,
            ``always`` or ``EOPNOTSUPP``. No bytes are written then, and the digests are those of
            the clone, which is read back; a source in the page cache is read itself, and is the
            clone's equal if it is the same before and after.
        verify: ``memory``: the digests are of the bytes that the kernel was given and took. With
            ``disk`` the copy is synced, read back past the page cache and compared by BLAKE3 before
            it is published; other bytes are ``EIO``, and the copy is removed.
        progress: called as ``progress(done_bytes, total_bytes)`` in the calling thread, at most
            every 100 ms and once with all bytes at the end; what is read back counts again. What it
            raises stops the copy and is raised here. It must not fork.

    Raises:
        ValueError: a range that the file does not have; nothing is written.
        FileExistsError: ``dst`` exists; it is left as it was.
        SourceChangedError: the source changed while it was being read.
        OSError: any other failure, with ``errno`` and ``filename``. Nothing is left behind, but for
            one case: when the folder cannot be synced after the rename, the complete copy stands
            under ``dst`` and only a power cut could take it away.
        KeyboardInterrupt: Ctrl-C, answered within 200 ms, and nothing is left behind; once the
            rename has begun, the copy is finished first and stands.
    """

def copy_many(
    jobs: Sequence[
        tuple[_StrPath, _StrPath] | tuple[_StrPath, _StrPath, Sequence[tuple[int, int]]]
    ],
    *,
    publish: bool = True,
    streams: int = 0,
    alternate: bool = False,
    reflink: Literal["never", "auto", "always"] = "never",
    verify: Literal["memory", "disk"] = "memory",
    found: list[FileDigests | OSError | None] | None = None,
    on_done: Callable[[int, FileDigests | OSError], object] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[FileDigests | OSError]:
    """Copy many files, each as :func:`copy_with_hashing` does, several at a time.

    A core runs the SHA-256 of up to three files side by side, which takes about half of the time of
    one after the other. A file that fails stops no other.

    With ``publish`` all copies that could be made become durable and visible together at the end,
    with one flush for many; without it each is left under its name for a later :func:`publish`.

    Args:
        jobs: ``(src, dst)`` or ``(src, dst, ranges)`` of each file.
        publish: as for :func:`copy_with_hashing`, for all together.
        streams: how many files are read at the same time; 0 for as many as the processor suits, 1
            for one after the other in the given order, as a disk that has to seek wants it.
        alternate: for a source and a destination on one disk that has to seek: 128 MiB are read,
            which may be many files, and are on the disk before the next read. ``streams`` is of no
            account then.
        reflink: as for :func:`copy_with_hashing`.
        verify: the same; the copies are read back when all of them have been written, so that it is
            not the disk's own cache that answers, and none is reported before.
        found: an empty list that results are put into as they become known, ``None`` in place of
            those that are not. It has them also when the call is ended by an exception.
        on_done: called as ``on_done(number, result)`` in the calling thread, soon after a job has
            ended, with its place in ``jobs``. What it raises stops the call and is raised here.
        progress: called as ``progress(done_bytes, total_bytes)``, the same way.

    Returns:
        One result a job, in their order: digests, or the exception that
        :func:`copy_with_hashing` would have raised.

    Raises:
        KeyboardInterrupt: Ctrl-C, answered within 200 ms. Unfinished copies are removed, with
            ``publish`` all of them; a copy that a system call does not let go of is removed when it
            does. Once the renames have begun, they are finished first.
    """

def hash_many(
    paths: Sequence[_StrPath],
    *,
    streams: int = 0,
    from_disk: bool = False,
    found: list[FileDigests | OSError | None] | None = None,
    on_done: Callable[[int, FileDigests | OSError], object] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[FileDigests | OSError]:
    """Read many files once each and return both digests of each; otherwise as :func:`copy_many`."""

def hash_file(
    path: _StrPath,
    *,
    from_disk: bool = False,
    ranges: Sequence[tuple[int, int]] = (),
    progress: Callable[[int, int], object] | None = None,
) -> FileDigests:
    """Read the regular file ``path`` once and return both digests; the same rules without a copy.

    Args:
        path: an existing regular file; a symbolic link is followed.
        from_disk: ask the kernel to forget its cached pages of the file first, so that what is
            read is what the disk holds (best effort: pages in use by others stay).
        ranges: as for :func:`copy_with_hashing`.
        progress: as for :func:`copy_with_hashing`.

    Raises:
        ValueError: a range that the file does not have.
        SourceChangedError: the file changed while it was being read.
        OSError: any other failure, with ``errno`` and ``filename``.
    """

def publish(
    items: Sequence[tuple[_StrPath, _StrPath]],
    *,
    replace: bool = False,
    on_step: Callable[[str], object] | None = None,
) -> list[bool]:
    """Make staged files and folders durable under their final names.

    ``items`` are ``(staged, final)`` pairs on one file system. The steps, in order, each for all
    items before the next begins:

    1. ``create_parents``: missing parent folders of the final names are made.
    2. ``sync_content``: every staged file and folder reaches the disk: ``fsync`` each when they
       are few, one ``syncfs`` when they are many.
    3. ``rename``: each staged name becomes the final name, without replacing anything
       (``renameat2`` with ``RENAME_NOREPLACE``, else ``link`` and ``unlink``).
    4. ``sync_parents``: ``fsync`` of each folder that now holds a new name, and of the parents
       of folders made in step 1.

    Args:
        items: pairs of an existing staged path and its final path.
        replace: let a staged *file* take the place of an existing final file atomically.
        on_step: called with the name of a step just before it is taken; what it raises ends the
            call there. For tests and for tracing.

    Signals are acted on after the call only; between the steps through ``on_step``.

    Returns:
        One flag an item: ``True`` when it now stands under its final name, ``False`` when the final
        name existed already; that staged item is then still where it was and nothing was replaced.

    Raises:
        OSError: a step failed, with ``errno`` and ``filename`` (and ``filename2`` for a rename).
            Items renamed before it stay renamed. A failed ``fsync`` is never tried again: the pages
            may be gone, so the caller begins anew from the source. ``EISDIR``: a folder with
            ``replace``. ``EINVAL``: a staged item that is neither a file nor a folder.
    """

def sync_folder(path: _StrPath) -> None:
    """``fsync`` the folder ``path``, so that names added to or taken from it are durable.

    A file system that cannot (``EINVAL``, ``ENOTSUP``) is accepted; any other failure is raised.

    Raises:
        OSError: with ``errno`` and ``filename``.
    """

def probe_latency(path: _StrPath, *, seed: int | None = None) -> float | None:
    """How long the storage below ``path`` takes to answer: the median of 8 reads, in seconds.

    Each reads 4 KiB past the page cache at a pseudo-random place of the file, after one read that
    does not count. No read is begun once 100 ms have passed; the median is then that of those that
    were done. A device that does not answer holds up the call, with the interpreter released, as
    long as that one read takes (a disk that has to spin up: seconds).

    Args:
        path: an existing file; a symbolic link is followed.
        seed: which places are read, 0 to 2**64 - 1; by default others in each call, because a
            disk's own cache remembers those of the last.

    Returns:
        Seconds, or ``None`` where they would mean nothing: not a regular file, smaller than 64 MiB,
        with holes or compressed, direct reads refused, or no read was done in time.

    Raises:
        OSError: the file cannot be opened or read, with ``errno`` and ``filename``.
    """

def first_extent(path: _StrPath) -> int | None:
    """Where the data of the file ``path`` begin on its device, in bytes.

    To read files in this order saves a disk with a head most of its seeks. On btrfs the number is
    one of the file system's own address space, which still is in that order.

    Returns:
        Bytes, or ``None``: not a regular file, no data, not yet written to the disk, kept inside
        the inode, or a file system (or an operating system) that does not tell. ``FS_IOC_FIEMAP``.

    Raises:
        OSError: the file cannot be opened, with ``errno`` and ``filename``.
    """
