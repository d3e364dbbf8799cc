"""Folders that are one model because they say so themselves.

A ``model_index.json`` with weights anywhere below makes a diffusers pipeline; the ``config.json``
or ``adapter_config.json`` of a model right beside weights makes a Hugging Face repository or an
adapter. Folders in such a repository that are models themselves (``checkpoint-500``) stay apart.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from modelcellar import naming
from modelcellar.formats import inspect_file, inspect_model
from modelcellar.records import FileFormat
from modelcellar.sources.litter import IGNORED_FOLDERS, is_inside, is_litter
from modelcellar.sources.source import NotTaken, Source, SourceFile, look, refused

__all__ = ["is_model_folder", "models_below", "whole_folder"]

PIPELINE_MARKER = "model_index.json"
WEIGHTS_MARKERS = frozenset({"config.json", "adapter_config.json"})
MODEL_CONFIG_KEYS = frozenset(
    {"architectures", "auto_map", "base_model_name_or_path", "model_type", "peft_type"}
    | {"_class_name", "_diffusers_version", "transformers_version"}
)
"""Keys of the ``config.json`` that transformers, diffusers and PEFT write."""
MAX_CONFIG_BYTES = 4 << 20
WHOLE_FOLDER_FORMATS = frozenset(
    {FileFormat.SAFETENSORS, FileFormat.TORCH_ZIP, FileFormat.TORCH_LEGACY}
)
"""Weights that make a folder with a ``config.json`` one model. GGUF files beside one are not meant:
each of them is a whole model in another quantisation."""


def is_model_folder(folder: Path) -> bool:
    """Whether the folder says that what is in it is one model."""
    names = frozenset(os.listdir(folder))  # noqa: PTH208 - names are what is wanted
    if PIPELINE_MARKER in names:
        below = (Path(parent, name) for parent, _, found in os.walk(folder) for name in found)
        return any(_format_at(path) is not FileFormat.UNKNOWN for path in below)
    if not any(_describes_model(folder / name) for name in names & WEIGHTS_MARKERS):
        return False
    return any(_format_at(folder / name) in WHOLE_FOLDER_FORMATS for name in sorted(names))


def models_below(folder: Path) -> list[Path]:
    """Folders in a model's folder that are models of their own; none in a pipeline."""
    if (folder / PIPELINE_MARKER).is_file():
        return []
    return list(_models_below(folder))


def _models_below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in IGNORED_FOLDERS or path.is_symlink() or not path.is_dir():
            continue
        if is_model_folder(path):
            yield path
        else:
            yield from _models_below(path)


def whole_folder(
    folder: Path, exclude: Path | None, *, apart: frozenset[Path] = frozenset()
) -> Source | NotTaken:
    """Everything in a folder as one model, but for the folders that are kept ``apart``.

    Raises:
        OSError: a part of it cannot be read.
    """
    files = []
    seen = set()
    for parent, subfolders, names in os.walk(folder, followlinks=True, onerror=_raise):
        subfolders[:] = sorted(
            name
            for name in subfolders
            if name not in IGNORED_FOLDERS and Path(parent, name) not in apart
        )
        if is_inside(Path(parent), exclude):
            return refused(
                folder, "inside_library", "a part of it is in the library", "Name other folders."
            )
        found = Path(parent).stat()
        if (found.st_dev, found.st_ino) in seen:
            return refused(folder, "link_loop", "a link in it leads back into it", "Remove it.")
        seen.add((found.st_dev, found.st_ino))
        for name in sorted(names):
            path = Path(parent, name)
            if is_litter(name):
                continue
            if path.exists() and not path.is_file():
                text = f"'{naming.display(name)}' in it is not a regular file"
                return refused(folder, "not_a_file", text, "Remove it from the folder.")
            files.append(look(path, path.relative_to(folder).as_posix()))
    for file in files:
        refusal = file.inspection.refusal
        if refusal is not None and refusal.code != "empty":
            where = f"{naming.display(file.relative)}: {refusal.reason}"
            return refused(folder, refusal.code, where, refusal.remedy)
    if not files:
        return refused(folder, "empty", "the folder holds no files", "Give a folder of models.")
    return _as_source(folder, files)


def _as_source(folder: Path, files: list[SourceFile]) -> Source:
    known = [file for file in files if file.inspection.format is not FileFormat.UNKNOWN]
    others = {file.relative: file.path for file in files if file not in known}
    findings = inspect_model([file.path for file in known], others)
    return Source(folder, _folder_name(folder), tuple(files), findings)


def _describes_model(path: Path) -> bool:
    """Whether a ``config.json`` is that of a model: many programs have one of that name."""
    if not path.is_file():  # opening a named pipe would wait for a writer
        return False
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and not MODEL_CONFIG_KEYS.isdisjoint(document)


def _format_at(path: Path) -> FileFormat:
    """What a file is. One that cannot be read is told of when it is taken, not here."""
    try:
        return inspect_file(path).format if path.is_file() else FileFormat.UNKNOWN
    except OSError:
        return FileFormat.UNKNOWN


def _folder_name(folder: Path) -> str:
    """The folder's name; for a snapshot in the Hugging Face cache, the repository's."""
    resolved = folder.resolve() if folder.name in {"", ".."} else folder.absolute()
    repository = resolved.parent.parent.name
    if resolved.parent.name == "snapshots" and re.fullmatch(r"models--.+", repository):
        return repository.split("--")[-1]
    return resolved.name or "model"


def _raise(error: OSError) -> None:
    raise error
