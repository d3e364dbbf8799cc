"""What a move does with originals whose copies are in the library."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from modelcellar import naming
from modelcellar.failures import failure
from modelcellar.records import ErrorInfo
from modelcellar.sources import Source, SourceFile, Stamp

__all__ = ["delete_originals", "origins"]


def origins(sources: Iterable[tuple[str, Source]]) -> dict[str, list[tuple[str, str, int]]]:
    """Content digest -> where its files came from and their permissions, to undo a move."""
    found: dict[str, list[tuple[str, str, int]]] = {}
    for digest, source in sources:
        files = [
            (file.relative, os.fspath(file.path.absolute()), file.stamp.mode)
            for file in source.files
        ]
        found.setdefault(digest, files)
    return found


def delete_originals(source: Source) -> ErrorInfo | None:
    """Delete what was moved, all of it or nothing, only while it is still what was copied."""
    if source.kept_by:
        return ErrorInfo(
            "original_kept",
            f"imported, but {naming.display(source.name)} stays in the store of {source.kept_by}",
            f"Remove it there, with {source.kept_by} itself.",
        )
    try:
        for file in source.files:
            file.check_unchanged()
            if _is_behind_link(source, file):
                return ErrorInfo(
                    "original_kept",
                    f"imported, but {naming.display(os.fspath(file.path))} is a link and stays",
                    "Remove it and what it points to by hand.",
                )
        for file in source.files:
            # Not the ctime: deleting one of two hard links to a file changes that of the other.
            if not Stamp.of(file.path).is_same_content(file.stamp):
                raise file.changed()
            file.path.unlink()
    except OSError as error:
        info = failure(error)
        return replace(info, message=f"imported, but the original stays: {info.message}")
    folders = {folder for file in source.files for folder in file.path.parents}
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        if folder.is_relative_to(source.path):
            with suppress(OSError):
                folder.rmdir()
    return None


def _is_behind_link(source: Source, file: SourceFile) -> bool:
    """Whether the named file or folder, or something below it on the way to the file, is a link."""
    if source.behind_link or source.path.is_symlink() or file.path.is_symlink():
        return True
    if not file.path.is_relative_to(source.path):
        return False  # It lies beside the file that stands for the model.
    below = file.path.relative_to(source.path)
    return file.path.resolve() != source.path.resolve() / below
