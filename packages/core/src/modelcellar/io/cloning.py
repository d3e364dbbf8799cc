"""Files that share their data: clones, one file's data put under another's, names swapped.

Linux only; elsewhere each of these is ``EOPNOTSUPP`` and the caller goes another way.
"""

import ctypes
import errno
import os
import struct
import sys
from pathlib import Path

__all__ = ["NO_CLONES", "can_share", "clone_file", "share_data", "swap_names"]

FICLONE = 0x40049409
"""``_IOW(0x94, 9, int)`` of ``linux/fs.h``: this file becomes a copy of that one without any bytes
being written. Another number on alpha, mips, ppc and sparc, whose kernels refuse this one."""
FIDEDUPERANGE = 0xC0189436
"""``linux/fs.h``: the kernel compares both ranges under its locks and shares the data if equal."""
DIFFERS = 1
RANGE_BYTES = 16 << 20
"""btrfs takes no more at a time."""
RENAME_EXCHANGE = 2
AT_FDCWD = -100

NO_CLONES = frozenset(
    {
        errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS,
        errno.ETXTBSY,
    }
)  # fmt: skip
"""What is said where data cannot be shared; another way may work. A disk that fails says else."""


def clone_file(source: Path, target: Path) -> None:
    """Make the new file ``target`` share all data of ``source``, at one moment of it.

    It keeps the time of its last change and is otherwise a file of its own.

    Raises:
        OSError: one of ``NO_CLONES``, or the disk fails. Nothing is left behind.
    """
    with source.open("rb") as src:
        times = os.fstat(src.fileno())
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        fd = os.open(target, flags, 0o666)
        try:
            try:
                _ioctl(fd, FICLONE, src.fileno(), target)
            finally:
                os.close(fd)
            os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
        except OSError:
            target.unlink()
            raise


def can_share(source: Path, target: Path) -> bool:
    """Whether :func:`share_data` is likely to work; asked with a range of no bytes."""
    try:
        with source.open("rb") as src, target.open("rb") as dst:
            _share_range(src.fileno(), dst.fileno(), (0, 0), target)
    except OSError:
        return False
    return True


def share_data(source: Path, target: Path) -> int:
    """Let ``target`` share the data of ``source``, as far as the kernel finds both equal.

    It compares byte by byte with both files locked, so nothing can come in between. ``target``
    stays the file it is: inode, names, permissions, times, whoever has it open.

    Returns:
        How many bytes from the beginning on are shared now; less than all where they differ.

    Raises:
        OSError: one of ``NO_CLONES``, or the disk fails. Both files have their bytes.
    """
    with source.open("rb") as src, target.open("rb") as dst:
        size_bytes = os.fstat(src.fileno()).st_size
        done = 0
        while done < size_bytes:
            wanted = (done, min(RANGE_BYTES, size_bytes - done))
            shared = _share_range(src.fileno(), dst.fileno(), wanted, target)
            if shared == 0:
                break
            done += shared
    return done


def swap_names(one: Path, other: Path) -> None:
    """Let two files change their names in one step.

    Raises:
        OSError: ``EOPNOTSUPP`` where that cannot be done.
    """
    if sys.platform != "linux":
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), os.fspath(one))
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), os.fspath(one))
    names = os.fsencode(one), os.fsencode(other)
    if renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        if number in (errno.EINVAL, errno.ENOSYS):  # this file system, or this kernel
            number = errno.EOPNOTSUPP
        raise OSError(number, os.strerror(number), os.fspath(one), None, os.fspath(other))


def _share_range(src: int, dst: int, wanted: tuple[int, int], target: Path) -> int:
    start, size_bytes = wanted
    # struct file_dedupe_range with one struct file_dedupe_range_info.
    request = bytearray(struct.pack("=QQHHIqQQiI", start, size_bytes, 1, 0, 0, dst, start, 0, 0, 0))
    _ioctl(src, FIDEDUPERANGE, request, target)
    *_, shared, status, _ = struct.unpack("=QQHHIqQQiI", request)
    if status < 0:
        raise OSError(-status, os.strerror(-status), os.fspath(target))
    return 0 if status == DIFFERS else int(shared)


def _ioctl(fd: int, request: int, argument: int | bytearray, path: Path) -> None:
    if sys.platform != "linux":
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), os.fspath(path))
    import fcntl

    try:
        fcntl.ioctl(fd, request, argument)
    except OSError as error:
        error.filename = os.fspath(path)
        raise
