"""What the files of one folder become: the folder itself as a model, models in it, or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelcellar.records import FileFormat
from modelcellar.sources.folders import ModelFolder, find_model_folder
from modelcellar.sources.groups import Group, group_files
from modelcellar.sources.source import NotTaken, Source, SourceFile, is_page, may_be_model, skipped

__all__ = ["Sorted", "sort_folder"]


@dataclass(frozen=True, slots=True)
class Sorted:
    """The models of one folder, and what of it is none.

    ``whole`` is the model that the folder itself is, ``left`` are files that belong to nobody and
    ``below`` the folders in it that are to be looked at by themselves.
    """

    whole: ModelFolder | None
    groups: Sequence[Group]
    left: Sequence[SourceFile]
    below: Sequence[Path]


def sort_folder(
    folder: Path,
    files: Sequence[SourceFile],
    below: Sequence[Path],
    *,
    odd: Sequence[NotTaken] = (),
    exclude: Path | None = None,
    is_published: bool = False,
) -> Sorted:
    """Put together the files of one folder.

    Args:
        folder: the folder.
        files: the files right in it.
        below: the folders in it.
        odd: why others of its files could not be looked at.
        exclude: the library, of which nothing is taken.
        is_published: a host publishes these very bytes, so that a page or an error message among
            them is no download that failed.

    Raises:
        OSError: a file cannot be read.
    """
    whole = find_model_folder(folder, files, odd, below, exclude=exclude, is_published=is_published)
    if whole is not None:
        files, below = whole.left, whole.apart
    models = [one for one in files if may_be_model(one) and not (is_published and is_page(one))]
    taken = {one.relative for one in models}
    others = [one for one in files if one.relative not in taken]
    groups, left = group_files(models, others, exclude=exclude)
    return Sorted(whole, [_kept(group) for group in groups], left, below)


def _kept(group: Group) -> Group:
    """Leaves alone what is no model although its format is one: an optimizer's state."""
    item = group.item
    if not isinstance(item, Source) or (told := item.findings.get("not_a_model")) is None:
        return group
    if item.format is FileFormat.GGUF:
        return group  # A vocabulary by itself is something that people keep.
    return Group(skipped(item.path, "not_a_model", f"not a model ({told.value})"), group.names)
