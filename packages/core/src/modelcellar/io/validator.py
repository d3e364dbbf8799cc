"""Checks of a source before anything of it is copied, and of a place before anything goes there.

Each returns findings: an error will fail, a warning may, a note is good to know. Nothing is
written, and nothing needs root.
"""

import errno
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from modelcellar import naming
from modelcellar.errors import SourceRefusedError
from modelcellar.io.surroundings import (
    FAT_MAX_BYTES,
    HERE,
    FileSystem,
    Surroundings,
    file_system_of,
    ignores_case,
    nearest_existing,
    sandbox_findings,
    state_findings,
)
from modelcellar.records import Level, PlaceFinding

__all__ = ["place_of_source", "raise_errors", "validate_import_source", "validate_mapping_target"]

SPARE_PERCENT = 3
MAX_PATH_BYTES = 4096
"""``PATH_MAX`` of Linux, the end included."""


def validate_import_source(
    relative_paths: Sequence[str],
    size_bytes: int,
    *,
    library: Path,
    min_free_bytes: int,
    largest_bytes: int = 0,
    surroundings: Surroundings = HERE,
) -> tuple[PlaceFinding, ...]:
    """Whether a model's names survive on every system and its bytes fit into the library.

    Args:
        relative_paths: the names of its files inside the model, with ``/`` between the parts.
        size_bytes: of all files together.
        library: the folder on whose disk they must fit.
        min_free_bytes: what must stay free there, or 3 % of the model if that is more.
        largest_bytes: of the largest file.
        surroundings: where facts about the library's file system are read.

    Returns:
        Errors ``unsafe_name`` (with a name that would do), ``name_collision``, ``no_space`` (with
        the figures), ``file_too_large``.

    Raises:
        OSError: the library's file system cannot be asked.
    """
    findings = [
        _unsafe_name(problems[0])
        for path in relative_paths
        if (problems := naming.relative_path_problems(path))
    ]
    findings += _collisions(relative_paths, Level.ERROR)
    # Asked for each of many small models, whose size no file system minds.
    is_large = largest_bytes > FAT_MAX_BYTES
    system = file_system_of(library, surroundings, find_mount=is_large)
    spare = max(size_bytes * SPARE_PERCENT // 100, min_free_bytes)
    findings += _room_findings(system, size_bytes, spare)
    if is_large and system.is_fat:
        findings.append(_too_large(largest_bytes))
    return tuple(findings)


def place_of_source(path: Path, *, surroundings: Surroundings = HERE) -> tuple[PlaceFinding, ...]:
    """Whether ``path``, a file or folder to import, can be read, and what is odd about its place.

    A source on a file system mounted read-only is as good as any other.
    """
    try:
        path.stat()
    except OSError as error:
        return (_unreachable(error),)
    is_folder = path.is_dir()
    findings = []
    if not os.access(path, os.R_OK | (os.X_OK if is_folder else 0)):
        findings.append(_not_allowed("unreadable", "it may not be read"))
    system = file_system_of(path, surroundings)
    if system.mount is not None and system.mount.is_read_only:
        message = "mounted read-only, which is all that an import needs"
        findings.append(PlaceFinding(Level.NOTE, "read_only", message))
    return (*findings, *state_findings(system, surroundings), *sandbox_findings(surroundings))


def validate_mapping_target(
    path: Path,
    *,
    names: Sequence[str] = (),
    size_bytes: int = 0,
    largest_bytes: int = 0,
    surroundings: Surroundings = HERE,
) -> tuple[PlaceFinding, ...]:
    """Whether ``path`` is a folder in which files or links could be made, and what is odd about it.

    Args:
        path: the folder; it may not exist yet.
        names: relative names that are to be made in it, with ``/`` between the parts.
        size_bytes: what is to be written there, 0 for links.
        largest_bytes: of the largest file that is to be there, 0 when that is not known.
        surroundings: where facts about this system are read.

    Returns:
        Findings with the codes ``missing``, ``not_a_folder``, ``unreadable``, ``not_writable``,
        ``read_only``, ``no_space``, ``file_too_large``, ``path_too_long``, ``name_collision``,
        ``ignores_case``, ``network``, ``ntfs_unclean``, ``turned_read_only``, ``sandbox``; the
        worst first.
    """
    try:
        folder = nearest_existing(path)
    except OSError as error:
        return (_unreachable(error),)
    findings = []
    if folder != path:
        message = f"the folder does not exist yet; it would be made in '{_shown(folder)}'"
        findings.append(PlaceFinding(Level.WARNING, "missing", message, "Check the path."))
    if not folder.is_dir():
        message = f"'{_shown(folder)}' is not a folder"
        findings.append(PlaceFinding(Level.ERROR, "not_a_folder", message, "Give a folder."))
        return tuple(findings)
    system = file_system_of(folder, surroundings)
    findings += _access_findings(folder, system)
    findings += state_findings(system, surroundings)
    # A link takes a block at most; a file system that is only read has none free.
    if system.mount is None or not system.mount.is_read_only:
        findings += _room_findings(system, max(size_bytes, 1), 0)
    findings += _fat_findings(system, largest_bytes)
    findings += _length_findings(path, names, system)
    findings += _name_findings(folder if folder == path else None, names, system)
    findings += sandbox_findings(surroundings)
    order = list(Level)
    return tuple(sorted(findings, key=lambda found: order.index(found.level)))


def raise_errors(findings: Iterable[PlaceFinding], place: Path) -> None:
    """Raise the first error among findings about an import into ``place``.

    Raises:
        SourceRefusedError: with the code of the finding.
        OSError: ``ENOSPC`` for ``no_space``.
    """
    for found in findings:
        if found.level is not Level.ERROR:
            continue
        if found.code == "no_space":
            raise OSError(errno.ENOSPC, found.message, os.fspath(place))
        raise SourceRefusedError(found.code, found.message, found.hint)


def _access_findings(folder: Path, system: FileSystem) -> Iterator[PlaceFinding]:
    if not os.access(folder, os.R_OK | os.X_OK):
        yield _not_allowed("unreadable", "it may not be looked into")
    if system.mount is not None and system.mount.is_read_only:
        hint = "Mount it for writing."
        yield PlaceFinding(Level.ERROR, "read_only", "it is mounted read-only", hint)
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield _not_allowed("not_writable", "nothing may be made in it")


def _room_findings(system: FileSystem, size_bytes: int, spare: int) -> Iterator[PlaceFinding]:
    free = system.free_bytes
    if free is not None and size_bytes + spare > free:
        text = f"no space for {size_bytes:,} bytes with {spare:,} to spare: {free:,} are free"
        yield PlaceFinding(Level.ERROR, "no_space", text, "Free some space on that disk.")


def _fat_findings(system: FileSystem, largest_bytes: int) -> Iterator[PlaceFinding]:
    if not system.is_fat:
        return
    if largest_bytes > FAT_MAX_BYTES:
        yield _too_large(largest_bytes)
    elif largest_bytes == 0:
        message = "a FAT file system: no file of 4 GiB and more fits"
        hint = "Use exFAT, NTFS or a file system of Linux for large models."
        yield PlaceFinding(Level.WARNING, "file_too_large", message, hint)


def _length_findings(
    folder: Path, names: Sequence[str], system: FileSystem
) -> Iterator[PlaceFinding]:
    hint = "Use a folder with a shorter path."
    used = len(os.fsencode(folder.absolute())) + 2
    if not names and used + naming.MAX_PATH_BYTES > MAX_PATH_BYTES:
        message = "its path is so long that not every name fits behind it"
        yield PlaceFinding(Level.WARNING, "path_too_long", message, hint)
    for name in names:
        raw = os.fsencode(name)
        part_bytes = max(map(len, raw.split(b"/")))
        if used + len(raw) > MAX_PATH_BYTES or part_bytes > system.max_name_bytes:
            message = f"the name '{naming.display(name)}' is too long there"
            yield PlaceFinding(Level.ERROR, "path_too_long", message, hint)


def _name_findings(
    folder: Path | None, names: Sequence[str], system: FileSystem
) -> Iterator[PlaceFinding]:
    """Names that are one name there, with each other and with what is there."""
    blind = ignores_case(folder, system.mount) if folder is not None else None
    if blind and not names:
        message = "names that differ in upper and lower case only are one name here"
        yield PlaceFinding(Level.NOTE, "ignores_case", message)
    level = Level.ERROR if blind else Level.WARNING
    yield from _collisions(names, level)
    present = {_caseless(name): name for name in (_listed(folder) if folder and names else ())}
    for first in dict.fromkeys(name.partition("/")[0] for name in names):
        other = present.get(_caseless(first), first)
        if other != first:
            yield _collision(other, first, level)


def _listed(folder: Path) -> Sequence[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def _caseless(name: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def _collisions(names: Sequence[str], level: Level) -> list[PlaceFinding]:
    return [_collision(one, other, level) for one, other in naming.collisions(names)]


def _collision(one: str, other: str, level: Level) -> PlaceFinding:
    pair = f"'{naming.display(one)}' and '{naming.display(other)}'"
    hint = "Rename one of them and import the folder again."
    return PlaceFinding(level, "name_collision", f"{pair} are one name on Windows and macOS", hint)


def _too_large(largest_bytes: int) -> PlaceFinding:
    message = f"a file of {largest_bytes:,} bytes does not fit on FAT, which ends below 4 GiB"
    hint = "Use a place on exFAT, NTFS or a file system of Linux."
    return PlaceFinding(Level.ERROR, "file_too_large", message, hint)


def _unreachable(error: OSError) -> PlaceFinding:
    code = "missing" if isinstance(error, FileNotFoundError) else "unreadable"
    message = f"it cannot be reached: {error.strerror}"
    return PlaceFinding(Level.ERROR, code, message, "Check the path and its permissions.")


def _not_allowed(code: str, message: str) -> PlaceFinding:
    return PlaceFinding(Level.ERROR, code, message, "Check the permissions and the owner.")


def _shown(path: Path) -> str:
    return naming.display(os.fspath(path))


def _unsafe_name(problem: naming.NameProblem) -> PlaceFinding:
    reason = f"the name '{naming.display(problem.part)}' {problem.reason}"
    better = naming.display(naming.portable_name(problem.part))
    remedy = f"Rename it, for example to '{better}', and import it again."
    if problem.code == "path_too_long":
        remedy = "Give it and the folders around it shorter names and import it again."
    return PlaceFinding(Level.ERROR, "unsafe_name", reason, remedy)
