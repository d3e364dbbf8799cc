"""What makes a folder a library: its sub-folders, a README for strangers, and ``library.json``."""

import json
import secrets
import uuid
from contextlib import suppress
from pathlib import Path

from modelcellar import naming
from modelcellar.errors import (
    LibraryFormatError,
    LibraryMovedError,
    LibraryNotFoundError,
    NewerLibraryError,
    UsageError,
)
from modelcellar.io import hashing
from modelcellar.io.trees import write_file

__all__ = [
    "BEGUN_FILE",
    "DOWNLOADS",
    "FOLDERS",
    "MOVED_FILE",
    "README_FILE",
    "create_library",
    "make_folders",
    "read_library_id",
]

FORMAT = 1
MOVED_FILE = "library.moved.json"
"""What ``library.json`` is called once the library was moved: the same, and ``moved_to``."""
BEGUN_FILE = ".relocating.json"
"""In a folder that a library is being moved to: whose it will be."""
DOWNLOADS = "downloads"
"""The folder in ``staging/`` that outlives the process that made it."""
README_FILE = "README.txt"
README = """\
This folder is a modelcellar library: it keeps AI model files once each.

models/     the files themselves, under their original names. They are write-protected on purpose.
manifests/  what is known about each model, one small JSON file a model.
journal/    what was changed, so that `cellar undo` can take it back.
trash/      removed models until they are purged.
staging/    unfinished work; tidied by the next change, but for unfinished downloads.
catalog/    a search index made from the manifests; may be deleted at any time.

The whole folder can be moved or copied to another disk. Change it with the `cellar` command.
"""
FOLDERS = ("models", "manifests", "journal", "trash", "staging", "catalog")


def create_library(root: Path) -> None:
    """Make a library at ``root``, unless one is there.

    Raises:
        UsageError: the folder holds other things.
        LibraryMovedError: it is what a library left behind that was moved.
    """
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    root.mkdir(parents=True, exist_ok=True)
    if (root / "library.json").exists():
        return
    if (root / MOVED_FILE).exists():
        read_library_id(root)
    if foreign := _foreign_names(root):
        raise UsageError(
            f"{root} is not empty and not a library (it holds {foreign[0]!r})",
            "Give a new or empty folder.",
        )
    make_folders(root)
    write_file(root / README_FILE, README.encode())
    document = {"format": FORMAT, "library_id": str(uuid.uuid4())}
    staged = root / f".library.json.{secrets.token_hex(8)}"
    write_file(staged, json.dumps(document).encode() + b"\n")
    # It is missing when another process made this library just now, and tidied.
    with suppress(FileNotFoundError):
        hashing.publish([(staged, root / "library.json")])
    for left in root.glob(".library.json.*"):
        left.unlink(missing_ok=True)
    for folder in missing:
        hashing.sync_folder(folder.parent)


def make_folders(root: Path) -> None:
    """Make those sub-folders that are missing: some tools copy no empty folders."""
    for name in FOLDERS:
        (root / name).mkdir(exist_ok=True)


def read_library_id(root: Path) -> str:
    """The UUID of the library at ``root``.

    Raises:
        LibraryNotFoundError: there is no library.
        LibraryMovedError: it is elsewhere now.
        LibraryFormatError: it was made by a newer version, or its file cannot be read.
    """
    path = root / "library.json"
    try:
        document = json.loads(path.read_bytes())
        number, library_id = document["format"], str(uuid.UUID(document["library_id"]))
    except (FileNotFoundError, NotADirectoryError):
        _raise_if_moved(root)
        raise LibraryNotFoundError(
            f"{root} is not a library", f"Make one with: cellar init {root}"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LibraryFormatError(
            f"{path} cannot be read: {error!r}",
            'Restore it, or write {"format": 1, "library_id": "<a new uuid>"} into it.',
        ) from error
    if number != FORMAT:
        raise NewerLibraryError(
            f"{root} has format {number}, this version knows {FORMAT}", "Update modelcellar."
        )
    return library_id


def _raise_if_moved(root: Path) -> None:
    if (root / BEGUN_FILE).exists():
        shown = naming.display(str(root))
        raise LibraryMovedError(
            f"a library was to be moved to {shown}, and not all of it is there yet",
            f"Finish it, with the settings of the old place: cellar relocate {shown}",
        )
    try:
        place = json.loads((root / MOVED_FILE).read_bytes())["moved_to"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    shown = naming.display(str(place))
    raise LibraryMovedError(
        f"the library that was in {root} was moved to {shown}",
        f"Use --library {shown}, or say so in the settings (see: cellar config show). If the move "
        f"was cut short, finish it: cellar relocate {shown}",
    )


def _foreign_names(root: Path) -> list[str]:
    """What in a folder is neither of a library nor of one whose creation was cut short."""
    names = {entry.name for entry in root.iterdir()}
    # The last one: another process may have made this library since the caller looked.
    foreign = names - {*FOLDERS, README_FILE, ".lock", "library.json"}
    if "manifests" not in names and "models" in names and any((root / "models").iterdir()):
        foreign.add("models")  # many programs have a folder of this name
    return sorted(name for name in foreign if not name.startswith(".library.json."))
