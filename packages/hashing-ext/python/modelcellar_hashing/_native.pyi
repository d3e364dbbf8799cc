"""The native half: one file copied or read once, both digests, and the durable publish.

Paths are anything ``os.fspath`` accepts; names that are not UTF-8 are kept byte for byte.
Every failure of the operating system is an ``OSError`` with ``errno`` and ``filename`` set.
"""

import os
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, final

_StrPath: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]

__all__ = [
    "SHA256_BACKEND",
    "FileDigests",
    "SourceChangedError",
    "__version__",
    "copy_with_hashing",
    "hash_file",
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
    def seconds(self) -> float:
        """Wall time of the call in seconds."""

def copy_with_hashing(
    src: _StrPath,
    dst: _StrPath,
    *,
    publish: bool = True,
    ranges: Sequence[tuple[int, int]] = (),
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
            the byte after the last. They may overlap. One long range costs little: it runs beside
            the whole file on the same core.
        progress: called as ``progress(done_bytes, total_bytes)`` in the calling thread, at most
            every 100 ms and once with all bytes at the end. What it raises stops the copy and is
            raised here. It must not fork.

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
