"""Files that managers of image models keep beside the weights: previews, notes, configuration.

They belong to the model whose name they carry: that of one of its files, or of a split model. Two
models that share a stem are never mixed: the companions go to one of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from modelcellar.records import FileFormat
from modelcellar.sources.parts import Part
from modelcellar.sources.source import SourceFile

__all__ = ["ENDINGS", "find_companions", "names_for_companions", "owner_names"]

MAX_BYTES = 32 << 20
ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".webp", ".gif", ".mp4"),
    *(".preview.png", ".preview.jpg", ".preview.jpeg", ".preview.webp", ".preview.gif"),
    *(".preview.mp4", ".json", ".yaml", ".yml", ".txt", ".md", ".sha256"),
    *(".civitai.info", ".metadata.json", ".cm-info.json", ".swarm.json", ".preview.json"),
)
"""What A1111 and its forks, ComfyUI-Manager, Stability Matrix, LoRA Manager and SwarmUI write."""
_BY_LENGTH = sorted(ENDINGS, key=len)
OWNERS = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx")
"""Which of several models of one stem its companions go to: the first of these endings."""


def owner_names(name: str) -> Iterator[str]:
    """What a file must be called, but for its ending, to own the companion ``name``; nearest first.

    The shortest ending leaves the longest stem, and that is the nearest model.
    """
    lowered = name.lower()
    for ending in _BY_LENGTH:
        if lowered.endswith(ending):
            yield name[: -len(ending)]


def names_for_companions(name: str) -> list[str]:
    """The beginnings that companions of a weights file may have: its name, stem and set."""
    part = Part.of(name)
    names = [name, name.rpartition(".")[0] or name]
    return names if part is None else [*names, part.stem, part.stem + part.ending]


def find_companions(
    models: Mapping[str, Sequence[SourceFile]], others: Iterable[SourceFile]
) -> Mapping[str, list[SourceFile]]:
    """Key of a model -> its companions among ``others``, marked as such.

    Args:
        models: the files of each model by key, the one that stands for it first.
        others: what may be companions.
    """
    owners: dict[str, str] = {}
    for key, files in models.items():
        owners |= {file.relative: key for file in files}
    for key, files in sorted(models.items(), key=lambda model: _priority(model[1][0])):
        for file in files:
            if file.inspection.format is not FileFormat.UNKNOWN or file is files[0]:
                for name in names_for_companions(file.relative):
                    owners.setdefault(name, key)
    found: dict[str, list[SourceFile]] = {}
    for other in others:
        names = owner_names(other.relative) if _may_be_companion(other) else ()
        owner = next((owners[name] for name in names if name in owners), None)
        if owner is not None:
            found.setdefault(owner, []).append(replace(other, is_companion=True))
    return found


def _may_be_companion(file: SourceFile) -> bool:
    """Whether the file is none of the weights, and small enough to travel along."""
    inspection = file.inspection
    is_other = inspection.format is FileFormat.UNKNOWN and inspection.refusal is None
    return is_other and file.stamp.size_bytes <= MAX_BYTES


def _priority(file: SourceFile) -> tuple[int, bool, str]:
    ending = "." + file.relative.rpartition(".")[2].lower()
    place = OWNERS.index(ending) if ending in OWNERS else len(OWNERS)
    return (place, Part.of(file.relative) is not None, file.relative)
