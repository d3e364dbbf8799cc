"""Takes away what is ours and nothing else: a link, and folders that were made for links."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from modelcellar.io.link_health import is_ours
from modelcellar.link_records import Link, LinkHealth, LinkKind
from modelcellar.links.ledger import Ledger

__all__ = ["OURS", "content_of", "remove_empty_folders", "take_away"]

MAX_CONTENT_BYTES = 16 << 20
"""A generated file that is larger is not kept for undo; ours have some kilobytes."""

OURS = (LinkHealth.OK, LinkHealth.BROKEN, LinkHealth.SOURCE_GONE)


def remove_empty_folders(ledger: Ledger, app: str, *, near: Sequence[Path] | None = None) -> None:
    """Take away folders that were made for an application and hold nothing.

    ``near``: only these and those around them.
    """
    folders = ledger.made_folders(app)
    if near is not None:
        around = {folder for place in near for folder in (place, *place.parents)}
        folders = [folder for folder in folders if folder in around]
    gone = []
    for folder in reversed(folders):
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            continue  # something lies in it, or it may not be removed
        gone.append(folder)
    ledger.forget_folders(gone)


def take_away(link: Link, root: Path) -> LinkHealth:
    """Remove the link if it is ours; how it was. A file of the library itself never is."""
    if _is_in_library(link, root):
        return LinkHealth.REPLACED
    if not {os.unlink, os.stat} <= os.supports_dir_fd:
        health = is_ours(link, root)
        if health in OURS:
            link.target.unlink()
        return health
    # The folder is held, so that what was looked at and what is removed lie in the same one, even
    # if somebody moves folders about.
    try:
        folder = os.open(link.target.parent, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return LinkHealth.MISSING
    name = link.target.name
    try:
        before = os.stat(name, dir_fd=folder, follow_symlinks=False)
        health = is_ours(link, root)
        after = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if health in OURS and not os.path.samestat(before, after):
            return LinkHealth.REPLACED
        if health in OURS:
            os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return LinkHealth.MISSING
    finally:
        os.close(folder)
    return health


def _is_in_library(link: Link, root: Path) -> bool:
    """Whether the link's folder is one of the library by now, by way of a link to a folder."""
    folder = Path(os.path.realpath(link.target.parent))
    return folder.is_relative_to(os.path.realpath(root))


def content_of(link: Link) -> bytes | None:
    """What stands in a generated file, to be put back by undo."""
    if link.kind is not LinkKind.GENERATED or link.size_bytes > MAX_CONTENT_BYTES:
        return None
    with suppress(OSError):
        return link.target.read_bytes()
    return None
