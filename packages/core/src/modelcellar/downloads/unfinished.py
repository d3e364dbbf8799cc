"""Downloads that were begun and are not finished: told of, and given up if the user says so."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from modelcellar.download_records import UnfinishedDownload
from modelcellar.downloads.shelf import Note, Shelf
from modelcellar.errors import LibraryBusyError
from modelcellar.network.http import display_url

__all__ = ["discard", "shown_target", "unfinished"]

log = logging.getLogger(__name__)


def shown_target(text: str) -> str:
    """What the user gave, without what in an address may be a secret."""
    return display_url(text) if "://" in text else text


def unfinished(root: Path) -> tuple[UnfinishedDownload, ...]:
    """The unfinished downloads of the library at ``root``, the oldest first."""
    found = []
    with closing(Shelf(root)) as shelf:
        for notes in _by_command(shelf.notes()).values():
            held = []
            for note in notes:
                held.append(_held_bytes(note, shelf))
                shelf.release(note.key)  # each is an open file, and there may be thousands
            found.append(_told(notes, held))
    return tuple(sorted(found, key=lambda one: one.began_at))


def discard(root: Path, target: str) -> tuple[UnfinishedDownload, ...]:
    """Give up what was begun of ``target``; what that was.

    Args:
        root: the library's folder.
        target: as it was given to the download, or the repository or page it is from.

    Raises:
        LibraryBusyError: another process is fetching all of it.
        OSError: the library cannot be written to.
    """
    names = {target, shown_target(target)}
    found = []
    with closing(Shelf(root)) as shelf:
        wanted = [note for note in shelf.notes() if not names.isdisjoint((note.target, note.place))]
        for notes in _by_command(wanted).values():
            dropped, held = [], []
            for note in notes:
                if shelf.claim(note.key):
                    held.append(_held_bytes(note, shelf))
                    shelf.drop(note.key)
                    dropped.append(note)
            if dropped:
                found.append(_told(dropped, held))
        shelf.tidy()
    if wanted and not found:
        raise LibraryBusyError(
            f"another process is downloading {wanted[0].target}",
            "Stop it there with Ctrl-C, then run this again.",
        )
    return tuple(found)


def _by_command(notes: Iterable[Note]) -> dict[tuple[str, ...], list[Note]]:
    found: dict[tuple[str, ...], list[Note]] = defaultdict(list)
    for note in notes:
        found[note.target, *note.arguments].append(note)
    return found


def _told(notes: Sequence[Note], held: Sequence[int | None]) -> UnfinishedDownload:
    return UnfinishedDownload(
        notes[0].target,
        notes[0].arguments,
        len(notes),
        sum(one or 0 for one in held),
        sum(note.size_bytes for note in notes),
        min(note.began_at for note in notes),
        is_under_way=None in held,
    )


def _held_bytes(note: Note, shelf: Shelf) -> int | None:
    """How much of a content is here; ``None`` while another process is at it."""
    if shelf.slot(note.key).done.exists():
        return note.size_bytes
    try:
        is_ours = shelf.claim(note.key)
        return shelf.held_bytes(note.key, note.size_bytes) if is_ours else None
    except OSError as error:
        # The library can only be read, or its disk fails: that is told of elsewhere.
        log.debug("%s: %s", note.key, error)
        return 0
