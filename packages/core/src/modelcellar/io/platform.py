"""Links: making one, and what two folders can do.

Nothing that exists is ever replaced, written through or followed, whatever it is, and no kind of
link stands in for another: what cannot be done is an ``OSError`` and leaves nothing behind.
"""

import errno
import os
import re
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelcellar.io import hashing
from modelcellar.io.cloning import clone_file
from modelcellar.io.link_health import is_ours
from modelcellar.io.surroundings import nearest_existing
from modelcellar.link_records import LinkKind, MadeLink
from modelcellar.records import CopyJob

__all__ = ["create_link", "is_ours", "what_works", "write_new"]

STAGED_PREFIX = ".modelcellar-"
"""How the names begin of what a killed process may leave in an application's folder."""

PROBE_BYTES = 1 << 16
"""More than any file system keeps inside an inode, which some cannot share."""

PROBE_PREFIX = ".modelcellar-probe-"


def create_link(source: Path, target: Path, kind: LinkKind) -> MadeLink:
    """Make ``source``, a file of the library, appear under the new name ``target``.

    A symlink is relative where both lie in one folder of one file system that is not its root, so
    that they can move together, and absolute otherwise. A reflink and a copy are files of their
    own: the application may write them. A copy is durable when this returns.

    Raises:
        FileExistsError: something is there, be it a link that leads nowhere.
        OSError: with errno; ``EXDEV`` and ``EOPNOTSUPP`` where this kind of link is impossible.
        ValueError: ``generated``, which has no source; see `write_new`.
    """
    if kind is LinkKind.GENERATED:
        raise ValueError(f"no link: {kind}")
    if not stat.S_ISREG(source.lstat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(source))
    if kind is LinkKind.HARDLINK:
        os.link(source, target, follow_symlinks=False)
    elif kind is LinkKind.SYMLINK:
        target.symlink_to(_leading(source, target))
    elif kind is LinkKind.REFLINK:
        _reflink(source, target)
    else:
        _copy(source, target)
    return _made(target, kind)


def write_new(target: Path, content: bytes) -> MadeLink:
    """Write a small file of ours under the new name ``target``, whole or not at all.

    Raises:
        FileExistsError: something is there, be it a link that leads nowhere.
        OSError: with errno; nothing is left behind.
    """
    with _staged(target) as staged:
        staged.write_bytes(content)
        _publish(staged, target)
    return _made(target, LinkKind.GENERATED)


def what_works(source_folder: Path, target_folder: Path) -> frozenset[LinkKind]:
    """Which links from files in one folder to names in another can be made, by making some.

    Small files are made in both folders and removed at once; ``source_folder`` is best
    the ``staging`` of the library. A folder that does not exist yet is judged by the one above it.
    Answers are remembered while the process lives and both folders stay on their file systems.

    Returns:
        Empty where nothing can be made in the target folder.
    """
    try:
        source, target = nearest_existing(source_folder), nearest_existing(target_folder)
        key = (source.resolve(), source.stat().st_dev, target.resolve(), target.stat().st_dev)
    except OSError:
        return frozenset()
    if key not in _REMEMBERED:
        _REMEMBERED[key] = frozenset(_working(source, target))
    return _REMEMBERED[key]


def _made(target: Path, kind: LinkKind) -> MadeLink:
    found = target.lstat()
    return MadeLink(kind, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def _leading(source: Path, target: Path) -> str:
    """What a symlink at ``target`` has to say. Text, because ten thousand paths are slow."""
    # Resolved, because ".." goes up from where the folder really is, not from its name.
    folder = os.path.realpath(target.parent, strict=True)
    home = os.path.realpath(source.parent)
    origin = os.path.join(home, source.name)  # noqa: PTH118
    with suppress(ValueError, OSError):  # other drives of Windows have no common path
        common = os.path.commonpath([folder, home])
        devices = {os.stat(place).st_dev for place in (folder, home, common)}  # noqa: PTH116
        if len(devices) == 1 and common != os.path.dirname(common):  # noqa: PTH120
            return os.path.relpath(origin, folder)
    return origin


def _reflink(source: Path, target: Path) -> None:
    with _staged(target) as staged:
        if sys.platform == "linux":
            _clone(source, staged)
        else:
            # It reads the clone once for its digests, for want of a faster way.
            (result,) = hashing.copy_many([CopyJob(source, staged)], reflink="always")
            if isinstance(result, OSError):
                raise result
            _make_writable(staged)
        _publish(staged, target)


def _clone(source: Path, staged: Path) -> None:
    # It keeps the time, for A1111 knows a checkpoint by its name and time.
    try:
        clone_file(source, staged)
    except OSError as error:
        # What file systems answer that do not know the request at all.
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.ENOSYS):
            number = errno.EOPNOTSUPP
            raise OSError(number, os.strerror(number), os.fspath(staged)) from None
        raise


def _copy(source: Path, target: Path) -> None:
    hashing.copy_with_hashing(source, target)
    _make_writable(target)


def _make_writable(path: Path) -> None:
    """Give a file of its own the mode of any new file: those of the library are read-only."""
    with suppress(PermissionError):  # file systems without permission bits
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """A free name beside ``target``; what is left under it goes away at the end."""
    staged = target.with_name(f"{STAGED_PREFIX}{os.getpid()}-{secrets.token_hex(8)}.partial")
    try:
        yield staged
    finally:
        staged.unlink(missing_ok=True)


def _publish(staged: Path, target: Path) -> None:
    (is_new,) = hashing.publish([(staged, target)])
    if not is_new:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target))


_LITTER = re.compile(rf"{re.escape(STAGED_PREFIX)}(?:probe-)?([0-9]+)-.*")
_REMEMBERED: dict[tuple[Path, int, Path, int], frozenset[LinkKind]] = {}


def _tidy(folder: Path) -> None:
    """Remove what processes of this machine left there that were killed while they tried links."""
    if sys.platform == "win32":
        return  # where asking whether a process lives may end it
    with suppress(OSError):
        for left in folder.glob(f"{STAGED_PREFIX}*"):
            found = _LITTER.fullmatch(left.name)
            if found is not None and not _is_alive(int(found[1])):
                left.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # somebody else's
    return True


def _working(source: Path, target: Path) -> Iterator[LinkKind]:
    _tidy(source)
    _tidy(target)
    # A symlink needs no room, which a disk that is full may not have.
    if _takes_symlinks(target):
        yield LinkKind.SYMLINK
    with suppress(OSError), _probe_file(target) as here:
        yield from (LinkKind.COPY, LinkKind.GENERATED)
        for kind in (LinkKind.HARDLINK, LinkKind.REFLINK):
            try:
                with _probe_file(source) as there:
                    works = _is_possible(there, target, kind)
            except OSError:
                # A library that may not be written to can be linked from all the same; on one
                # file system its files do what a file beside the target does.
                is_one = source.stat().st_dev == target.stat().st_dev
                works = is_one and _is_possible(here, target, kind)
            if works:
                yield kind


@contextmanager
def _probe_file(folder: Path) -> Iterator[Path]:
    number, name = tempfile.mkstemp(prefix=f"{PROBE_PREFIX}{os.getpid()}-", dir=folder)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(bytes(PROBE_BYTES))
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _takes_symlinks(folder: Path) -> bool:
    link = _probe_name(folder)
    try:
        link.symlink_to(folder.resolve(), target_is_directory=True)
    except OSError:
        return False
    # On NTFS under some settings, and on some network shares, it is a file with a path in it.
    try:
        return link.is_symlink() and link.samefile(folder)
    finally:
        link.unlink()


def _is_possible(source: Path, folder: Path, kind: LinkKind) -> bool:
    target = _probe_name(folder)
    try:
        create_link(source, target, kind)
    except OSError:
        return False
    # Some network shares copy when they are asked for a hard link.
    try:
        return target.samefile(source) is (kind is LinkKind.HARDLINK)
    finally:
        target.unlink()


def _probe_name(folder: Path) -> Path:
    return folder / f"{PROBE_PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
