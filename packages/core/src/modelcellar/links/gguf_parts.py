"""A language model in GGUF as programs around llama.cpp want it: one file, and its projector."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelcellar.formats import inspect_file
from modelcellar.hf.names import parse_name
from modelcellar.links.place import Place
from modelcellar.links.shapes import main_files
from modelcellar.records import FileFormat, FileRecord, ModelRecord

__all__ = ["GgufParts", "find_gguf"]


@dataclass(frozen=True, slots=True)
class GgufParts:
    """The file with the language model, and the ``mmproj`` beside it that lets it see or hear.

    Of a model in numbered parts ``text`` is the first, which programs are given; ``count`` is how
    many there are.
    """

    text: FileRecord
    projectors: tuple[FileRecord, ...] = ()
    count: int = 1


def find_gguf(model: ModelRecord, place: Place) -> GgufParts | str:
    """The GGUF files of a model by what they are for; in words why there is not just one text.

    Where names do not say which file is the projector, the headers of the library's files do.
    """
    if not getattr(model, "is_read", True):
        return "nobody has read all of it yet, so its digests are not known: cellar verify"
    files = main_files(model)
    found = [file for file in files if file.format is FileFormat.GGUF]
    if not found:
        kinds = sorted({f.format.value for f in files if f.format is not FileFormat.UNKNOWN})
        return f"its weights are {', '.join(kinds) or 'of an unknown format'}, only GGUF is taken"
    if len(found) == 1:
        return GgufParts(found[0])
    shards = {file: parse_name(file.path).shard for file in found}
    parts = sorted((shard, file.path, file) for file, shard in shards.items() if shard is not None)
    rest = [file for file, shard in shards.items() if shard is None]
    if parts:
        return GgufParts(parts[0][2], tuple(rest), len(parts))
    projectors = _projectors(model, found, place)
    texts = [file for file in found if file not in projectors]
    if len(texts) != 1:
        return f"it has {len(texts)} GGUF files that may be the model, one is wanted"
    return GgufParts(texts[0], projectors)


def _projectors(
    model: ModelRecord, files: Sequence[FileRecord], place: Place
) -> tuple[FileRecord, ...]:
    named = tuple(file for file in files if parse_name(file.path).is_mmproj)
    if len(named) == len(files) - 1:
        return named
    folder = place.content_path(model.id)
    return tuple(file for file in files if _is_projector(folder / file.path))


def _is_projector(path: Path) -> bool:
    try:
        kind = inspect_file(path).findings.get("kind")
    except OSError:
        # The plan is about what should be; applying it tells that the file is missing.
        return False
    return kind is not None and kind.value == "mmproj"
