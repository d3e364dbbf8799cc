"""Finds and walks the pickles in a ZIP file, by their names and by their bytes."""

from collections.abc import Mapping, Sequence

from modelcellar.formats.cursor import Cursor, FormatError, too_large
from modelcellar.formats.facts import plural
from modelcellar.formats.pickles import MAX_PICKLES, BrokenPickleError, PickleWalk, walk
from modelcellar.formats.torch_pickle import looks_like
from modelcellar.formats.zips import DEFLATED, ZipEntry, contradiction, read_small, read_whole

__all__ = ["contradictions", "walk_pickles"]

MAX_PICKLE_BYTES = 16 * 1024 * 1024
ENDINGS = (".pkl", ".pickle")


def walk_pickles(
    cursor: Cursor, entries: Sequence[ZipEntry], root: str = ""
) -> tuple[dict[str, PickleWalk], list[str]]:
    """Every pickle among ``entries`` by its name, and why one could not be read.

    ``root`` is the folder of a torch file, whose storages and code are not looked at.
    """
    walks: dict[str, PickleWalk] = {}
    problems: list[str] = []
    count = 0
    for entry in entries:
        try:
            if not _is_pickle(cursor, root, entry):
                continue
            count += 1
            if count > MAX_PICKLES:
                raise too_large(f"more than {MAX_PICKLES} pickles")
            data = read_whole(cursor, entry, MAX_PICKLE_BYTES)
            inner = cursor.inside(data)
            walks[entry.name] = walk(inner, needs_protocol=False)
            if inner.left and walks[entry.name].is_complete:
                problems.append(f"{plural(inner.left, 'byte')} after the end of a pickle")
        except FormatError as error:
            problems.append(error.reason)
            if isinstance(error, BrokenPickleError):
                walks[entry.name] = error.walked
            if count > MAX_PICKLES:
                break
    return walks, problems


def contradictions(cursor: Cursor, entries: Sequence[ZipEntry]) -> list[str]:
    """In what readers of the archive would not agree."""
    found: list[str] = []
    names: Mapping[str, str] = {entry.name.lower(): entry.name for entry in entries}
    for entry in entries:
        # PyTorch's reader takes the first name that is equal but for case.
        if (other := names[entry.name.lower()]) != entry.name:
            found.append(f"the ZIP entries {entry.name[:64]!r} and {other[:64]!r} differ in case")
        if entry.method not in (0, DEFLATED):
            found.append(f"ZIP entry {entry.name[:64]!r} is packed by method {entry.method}")
        if (problem := contradiction(cursor, entry)) is not None:
            found.append(problem)
    return found


def _is_pickle(cursor: Cursor, root: str, entry: ZipEntry) -> bool:
    """By its name, or by its bytes where only a pickle begins like that."""
    name = entry.name.lower()
    if name.endswith(ENDINGS):
        return True
    if root and name.startswith((root + "data/", root + "code/")):
        return False
    return bool(entry.size_bytes) and looks_like(read_small(cursor, entry, 2))
