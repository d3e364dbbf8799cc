"""Where the data of files lies on the disk, so that what is shared counts once.

It may say that two files have the same data; nothing is ever deleted for it.
"""

import errno
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Extent", "data_key", "extents_of"]

FIEMAP = 0xC020660B
"""``linux/fiemap.h``: asks for the extents of a file."""
SYNC = 0x1
LAST = 0x1
SHARED = 0x2000
NOWHERE = 0x2 | 0x4 | 0x8 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
"""Unknown, not written yet, encoded, encrypted, unaligned, inside other data, tail, unwritten: the
place on the disk says nothing then."""
_HEAD = struct.Struct("=QQIIII")
_EXTENT = struct.Struct("=QQQQQIIII")
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Extent:
    """A run of a file's bytes: where in the file, where on the disk, and whether others share it.

    ``is_exact``: the place on the disk is that of these very bytes.
    """

    start: int
    place: int
    size_bytes: int
    is_shared: bool
    is_exact: bool


def extents_of(path: Path) -> tuple[Extent, ...] | None:
    """Where the data of a file lies; ``None`` where that cannot be told.

    Raises:
        OSError: the file cannot be opened.
    """
    if sys.platform != "linux":
        return None
    with path.open("rb") as file:
        try:
            return tuple(_extents(file.fileno()))
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EBADR, errno.EINVAL):
                return None
            raise


def data_key(path: Path) -> tuple[object, ...] | None:
    """The same for two files of one disk only if they share all their data; ``None``: not known.

    Raises:
        OSError: the file cannot be opened.
    """
    found = extents_of(path)
    if not found or not all(one.is_shared and one.is_exact for one in found):
        return None
    status = path.stat()
    places = tuple((one.start, one.place, one.size_bytes) for one in found)
    return (status.st_dev, status.st_size, places)


def _extents(fd: int) -> Iterator[Extent]:
    import fcntl

    start, is_last = 0, False
    before: Extent | None = None
    while not is_last:
        request = bytearray(_HEAD.size + _AT_ONCE * _EXTENT.size)
        _HEAD.pack_into(request, 0, start, (1 << 64) - 1 - start, SYNC, 0, _AT_ONCE, 0)
        fcntl.ioctl(fd, FIEMAP, request)
        count = _HEAD.unpack_from(request)[3]
        for number in range(count):
            values = _EXTENT.unpack_from(request, _HEAD.size + number * _EXTENT.size)
            logical, place, size_bytes, flags = values[0], values[1], values[2], values[5]
            one = Extent(logical, place, size_bytes, bool(flags & SHARED), not flags & NOWHERE)
            joined = _joined(before, one)
            if joined is None and before is not None:
                yield before
            before = joined or one
            start, is_last = logical + size_bytes, bool(flags & LAST)
        is_last = is_last or count == 0
    if before is not None:
        yield before


def _joined(before: Extent | None, one: Extent) -> Extent | None:
    """Both as one where they are: how often a run is cut in two depends on how it was shared."""
    if before is None or (before.is_shared, before.is_exact) != (one.is_shared, one.is_exact):
        return None
    size_bytes = before.size_bytes
    follows = before.start + size_bytes == one.start and before.place + size_bytes == one.place
    if not follows:
        return None
    return Extent(
        before.start, before.place, size_bytes + one.size_bytes, one.is_shared, one.is_exact
    )
