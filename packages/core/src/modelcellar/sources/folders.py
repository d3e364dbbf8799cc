"""Folders that are one model because they say so themselves.

A ``model_index.json`` makes a diffusers pipeline of the subfolders that it names; the
``config.json`` or ``adapter_config.json`` of a model makes a Hugging Face repository or an adapter
of the weights that its library writes (see ``claims``). Text, configuration and pictures go along.
Other weights are models of their own: a folder below that holds some stays apart, and where some
lie right beside the configuration, only what libraries write goes with it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelcellar import naming
from modelcellar.formats import inspect_model
from modelcellar.records import FileFormat
from modelcellar.sources.claims import EXPORT_FOLDERS, MARKERS, is_of_libraries, read_claim
from modelcellar.sources.external import Trouble, external_data, needs_of, refuse
from modelcellar.sources.gathering import Gathering, StopError, foreign_weights, is_weights
from modelcellar.sources.litter import has_weights_name
from modelcellar.sources.parts import Part, index_name, indexed, missing_parts
from modelcellar.sources.source import NotTaken, Source, SourceFile, is_page, refused

__all__ = ["ModelFolder", "find_model_folder", "whole_folder"]

Item = Source | NotTaken


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that is one model, and what in it is not a part of that.

    ``left`` are files right in the folder, ``apart`` folders below that are other models' or
    nobody's, and ``told`` is what is left alone.
    """

    item: Item
    left: Sequence[SourceFile] = ()
    apart: Sequence[Path] = ()
    told: Sequence[NotTaken] = field(default=())


def whole_folder(folder: Path, exclude: Path | None) -> Item:
    """Everything in a folder as one model.

    Raises:
        OSError: a part of it cannot be read.
    """
    gathering = Gathering(folder, exclude)
    try:
        gathering.take_all(folder)
    except StopError as stop:
        return stop.refusal
    return _as_item(folder, gathering.files, exclude, is_wanted=True)


def find_model_folder(
    folder: Path,
    looked: Sequence[SourceFile],
    odd: Sequence[NotTaken],
    below: Sequence[Path],
    *,
    exclude: Path | None = None,
    is_published: bool = False,
) -> ModelFolder | None:
    """The model that a folder says it is; ``None`` if it says nothing of the kind.

    Args:
        folder: the folder.
        looked: the files right in it.
        odd: why others of them could not be looked at.
        below: the folders in it.
        exclude: the library, of which nothing is taken.
        is_published: a host publishes these very bytes, pages and error messages among them.

    Raises:
        OSError: a part of it cannot be read.
    """
    files = {file.relative: file for file in looked}
    if MARKERS.isdisjoint(files) and "model.bin" not in files:
        return None
    claim = read_claim(files, frozenset(path.name for path in below))
    folders = {path.name for path in below} & (
        {*claim.folders, *EXPORT_FOLDERS} if claim else set()
    )
    if claim is None or not (folders or any(claim.takes(file.relative) for file in looked)):
        return None
    left = foreign_weights(claim, looked, "")
    is_mixed = bool(left)
    if is_mixed:
        left += [f for f in looked if not is_weights(f) and not is_of_libraries(f.relative)]
        needed = {name for f in looked if claim.takes(f.relative) for name in needs_of(f).files}
        left = [file for file in left if file.relative not in needed or is_weights(file)]
    gathering = Gathering(folder, exclude, claim)
    try:
        gathering.enter(folder)
        gathering.files += [file for file in looked if file not in left]
        for path in sorted(below):
            gathering.take_below(path, is_mixed=is_mixed)
    except StopError as stop:
        return ModelFolder(stop.refusal)
    if not any(is_weights(file) and claim.takes(file.relative) for file in gathering.files):
        return None
    told = [*gathering.told]
    for item in odd:
        if item.error.code == "unfinished" or (is_mixed and not claim.takes(item.path.name)):
            told.append(item)
        elif item.error.code == "not_a_file":
            text = f"'{naming.display(item.path.name)}' in it is not a regular file"
            return ModelFolder(refused(folder, "not_a_file", text, "Remove it from the folder."))
        else:
            return ModelFolder(replace(item, path=folder))
    whole = _as_item(folder, gathering.files, exclude, is_published=is_published)
    return ModelFolder(whole, left, gathering.apart, told)


def _as_item(
    folder: Path,
    files: list[SourceFile],
    exclude: Path | None,
    *,
    is_wanted: bool = False,
    is_published: bool = False,
) -> Item:
    """The files of a folder as one model, if nothing of it is missing or broken.

    ``is_wanted``: the user said that they are one, so they need not be all parts of a set.
    """
    checked = _with_data(folder, files, exclude, is_wanted=is_wanted)
    if isinstance(checked, NotTaken):
        return checked
    files = checked
    for file in files:
        refusal = file.inspection.refusal
        if refusal is not None and not _is_spared(file, is_published=is_published):
            where = f"{naming.display(file.relative)}: {refusal.reason}"
            return refused(folder, refusal.code, where, refusal.remedy)
    if not files:
        return refused(folder, "empty", "the folder holds no files", "Give a folder of models.")
    if not is_wanted and (gap := _gap(files)) is not None:
        remedy = "Get the missing parts, put them beside these, and import again."
        return refused(folder, "incomplete", gap, remedy)
    known = [file for file in files if file.inspection.format is not FileFormat.UNKNOWN]
    others = {file.relative: file.path for file in files if file not in known}
    findings = inspect_model([file.path for file in known], others)
    return Source(folder, _folder_name(folder), tuple(files), findings)


def _is_spared(file: SourceFile, *, is_published: bool) -> bool:
    """Whether a refused file is only a file beside the weights."""
    if is_published and is_page(file):
        return True
    refusal = file.inspection.refusal
    return refusal is not None and refusal.code == "empty" and not has_weights_name(file.path.name)


def _with_data(
    folder: Path, files: Sequence[SourceFile], exclude: Path | None, *, is_wanted: bool
) -> list[SourceFile] | NotTaken:
    """The same files, those that hold the data of others known as that."""
    by_path = {file.path: file for file in files}
    for file in files:
        needs = needs_of(file)
        if not needs.files and (needs.trouble is None or is_wanted):
            continue
        parent = file.path.parent
        beside = {path.name: other for path, other in by_path.items() if path.parent == parent}
        found = external_data(needs, parent, beside, exclude)
        if isinstance(found, Trouble):
            return refuse(folder, file, found)
        for data in found:
            if data.path not in by_path:
                where = naming.display(data.relative)
                trouble = Trouble("incomplete", f"needs {where}, which is with another model")
                return refuse(folder, file, trouble)
            by_path[data.path] = replace(by_path[data.path], inspection=data.inspection)
    return list(by_path.values())


def _gap(files: Sequence[SourceFile]) -> str | None:
    """Which parts of a split model are not there."""
    sets: dict[tuple[Path, object], list[SourceFile]] = {}
    for file in files:
        part = Part.of(file.path.name)
        if part is not None and is_weights(file):
            sets.setdefault((file.path.parent, part.set_key), []).append(file)
    by_path = {file.path: file for file in files}
    for (parent, _), parts in sets.items():
        part = Part.of(parts[0].path.name)
        assert part is not None
        listed = indexed(by_path.get(parent / index_name(part)))
        present = {file.path.name for file in files if file.path.parent == parent}
        if (reason := missing_parts(part, present, listed)) is not None:
            return reason
    return None


def _folder_name(folder: Path) -> str:
    """The folder's name; for a snapshot in the Hugging Face cache, the repository's."""
    resolved = folder.resolve() if folder.name in {"", ".."} else folder.absolute()
    repository = resolved.parent.parent.name
    if resolved.parent.name == "snapshots" and re.fullmatch(r"models--.+", repository):
        return repository.split("--")[-1]
    return resolved.name or "model"
