"""Files that managers of image models keep beside the weights: previews, notes, configuration.

They belong to the model whose name they carry. Two models that share a stem are never mixed: the
companions go to one of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from modelcellar.records import FileFormat
from modelcellar.sources.source import SourceFile

__all__ = ["companion_names", "find_companions", "may_be_companion"]

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


def companion_names(weights_name: str) -> list[str]:
    """The names that companions of a weights file may have, for looking beside it."""
    stem = weights_name.rpartition(".")[0] or weights_name
    return [start + ending for start in (stem, weights_name) for ending in ENDINGS]


def may_be_companion(file: SourceFile) -> bool:
    """Whether the file is none of the weights, and small enough to travel along."""
    inspection = file.inspection
    is_other = inspection.format is FileFormat.UNKNOWN and inspection.refusal is None
    return is_other and file.stamp.size_bytes <= MAX_BYTES


def find_companions(
    weights: Iterable[SourceFile], others: Sequence[SourceFile]
) -> Mapping[str, list[SourceFile]]:
    """Relative name of a weights file -> its companions among ``others``, marked as such."""
    owners: dict[str, str] = {}
    for file in sorted(weights, key=_priority):
        owners.setdefault(file.relative.rpartition(".")[0] or file.relative, file.relative)
    names = {file.relative for file in weights}
    found: dict[str, list[SourceFile]] = {}
    for other in others:
        owner = _owner(other.relative, owners, names) if may_be_companion(other) else None
        if owner is not None:
            found.setdefault(owner, []).append(replace(other, is_companion=True))
    return found


def _owner(name: str, owners: Mapping[str, str], names: set[str]) -> str | None:
    # The shortest ending leaves the longest stem, and that is the nearest model.
    for ending in _BY_LENGTH:
        if not name.lower().endswith(ending):
            continue
        stem = name[: -len(ending)]
        if stem in names:
            return stem
        if stem in owners:
            return owners[stem]
    return None


def _priority(file: SourceFile) -> tuple[int, str]:
    ending = "." + file.relative.rpartition(".")[2].lower()
    place = OWNERS.index(ending) if ending in OWNERS else len(OWNERS)
    return (place, file.relative)
