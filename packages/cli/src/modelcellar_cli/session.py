"""Opens the library that a command works on."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from modelcellar.config import load_settings
from modelcellar.errors import LibraryNotFoundError
from modelcellar_cli.options import Options
from modelcellar_cli.output import show_text, talk

if TYPE_CHECKING:
    from modelcellar.config import Settings
    from modelcellar.library import ModelLibrary

__all__ = ["library_to_import_into", "open_library", "talk_of_place"]


def open_library(options: Options) -> "ModelLibrary":
    """The library that the options and settings name.

    Raises:
        LibraryNotFoundError: there is none.
    """
    from modelcellar.library import ModelLibrary

    _show_warnings(options)
    settings, _ = load_settings(flags=options.flags())
    return ModelLibrary(settings.library, settings=settings)


def library_to_import_into(
    options: Options, *, dry_run: bool
) -> "AbstractContextManager[ModelLibrary]":
    """The library, made first when it is the default one or nothing stands in its place.

    Raises:
        LibraryNotFoundError: the folder that was named is there and is no library.
    """
    from modelcellar.library import ModelLibrary

    try:
        return open_library(options)
    except LibraryNotFoundError:
        settings, origins = load_settings(flags=options.flags())
        named = any(one.name == "library" and one.origin != "default" for one in origins)
        if named and settings.library.exists():
            raise
    path = show_text(str(settings.library))
    if dry_run:
        talk(options, f"A new library would be made: {path}")
        return _scratch_library(settings)
    library = ModelLibrary.create(settings.library, settings=settings)
    talk(options, f"Made a new library: {path}")
    return library


def talk_of_place(options: Options) -> None:
    """Say what is wrong with the place of the library, or of the one that would be made."""
    from modelcellar.io.surroundings import nearest_existing
    from modelcellar.io.validator import validate_mapping_target
    from modelcellar.records import Level

    settings, _ = load_settings(flags=options.flags())
    for found in validate_mapping_target(nearest_existing(settings.library)):
        if found.level is not Level.NOTE:
            talk(options, show_text(f"{found.level}: the library's place: {found.message}"))


@contextmanager
def _scratch_library(settings: "Settings") -> "Iterator[ModelLibrary]":
    """An empty library on the disk where the real one would be, gone afterwards."""
    import tempfile

    from modelcellar.library import ModelLibrary

    disk = next(folder for folder in settings.library.parents if folder.is_dir())
    with tempfile.TemporaryDirectory(prefix=".modelcellar-dry-run-", dir=disk) as folder:
        scratch = Path(folder, "library")
        with ModelLibrary.create(scratch, settings=settings) as library:
            yield library


class _OneSafeLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return show_text(f"{record.levelname.lower()}: {record.getMessage()}")


def _show_warnings(options: Options) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_OneSafeLine())
    handler.setLevel(logging.ERROR if options.json or options.quiet else logging.WARNING)
    logging.basicConfig(handlers=[handler])
