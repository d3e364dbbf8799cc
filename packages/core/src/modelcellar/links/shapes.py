"""What a model is made of, and the digest that tells it from another of its name."""

import hashlib

from modelcellar.links.preset_values import Shape
from modelcellar.records import FileFormat, FileRecord, ModelRecord
from modelcellar.sources.parts import Part

__all__ = ["digest_of", "main_files", "shape_of"]


def main_files(model: ModelRecord) -> tuple[FileRecord, ...]:
    """The files of a model without its companions; those, where there is nothing else."""
    return tuple(file for file in model.files if not file.is_companion) or model.files


def shape_of(model: ModelRecord) -> Shape:
    """What a model is made of."""
    files = main_files(model)
    if len(files) == 1:
        return Shape.SINGLE
    folders = {file.path.rpartition("/")[0] for file in files}
    is_weights_only = all(file.format is not FileFormat.UNKNOWN for file in files)
    if len(folders) > 1 or not is_weights_only:
        return Shape.FOLDER
    is_in_parts = any(Part.of(file.path.rpartition("/")[2]) for file in files)
    return Shape.PARTS if is_in_parts else Shape.SET


def digest_of(model: ModelRecord) -> str:
    """The SHA-256 of a model of one file, else one over those of all its files."""
    files = main_files(model)
    if len(files) == 1:
        return files[0].digests.sha256
    lines = sorted(f"{file.digests.sha256}  {file.path}\n" for file in files)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
