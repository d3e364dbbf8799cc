"""Downloads that were begun and are not finished: told of, and given up if the user says so."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from modelcellar.download_records import UnfinishedDownload
from modelcellar.downloads.shelf import Note, Shelf

__all__ = ["discard", "unfinished"]


def unfinished(root: Path) -> tuple[UnfinishedDownload, ...]:
    """The unfinished downloads of the library at ``root``, the oldest first."""
    with closing(Shelf(root)) as shelf:
        found = [_told(notes, shelf) for notes in _by_command(shelf).values()]
    return tuple(sorted(found, key=lambda one: one.began_at))


def discard(root: Path, target: str) -> tuple[UnfinishedDownload, ...]:
    """Give up what was begun of ``target``; what that was.

    Args:
        root: the library's folder.
        target: as it was given to the download, or the repository or page it is from.

    Raises:
        OSError: the library cannot be written to.
    """
    dropped: dict[tuple[str, ...], list[Note]] = defaultdict(list)
    with closing(Shelf(root)) as shelf:
        for command, notes in _by_command(shelf).items():
            for note in notes:
                if target in (note.target, note.place) and shelf.claim(note.key):
                    dropped[command].append(note)
        found = tuple(_told(notes, shelf) for notes in dropped.values())
        for notes in dropped.values():
            for note in notes:
                shelf.drop(note.key)
        shelf.tidy()
    return found


def _by_command(shelf: Shelf) -> dict[tuple[str, ...], list[Note]]:
    found: dict[tuple[str, ...], list[Note]] = defaultdict(list)
    for note in shelf.notes():
        found[note.target, *note.arguments].append(note)
    return found


def _told(notes: list[Note], shelf: Shelf) -> UnfinishedDownload:
    return UnfinishedDownload(
        notes[0].target,
        notes[0].arguments,
        len(notes),
        sum(_held(notes, shelf)),
        sum(note.size_bytes for note in notes),
        min(note.began_at for note in notes),
    )


def _held(notes: list[Note], shelf: Shelf) -> Iterator[int]:
    for note in notes:
        is_done = shelf.slot(note.key).done.exists()
        yield note.size_bytes if is_done else shelf.held_bytes(note.key, note.size_bytes)
