"""What tensor names and shapes tell: the parts of a model, and the type that follows from them."""

from collections.abc import Mapping, Sequence

from modelcellar.formats.classify.adapters import judge_adapter
from modelcellar.formats.classify.gguf import is_diffusion
from modelcellar.formats.classify.names import TensorNames
from modelcellar.formats.classify.precision import judge_precision
from modelcellar.formats.classify.rules import Match, match_rules
from modelcellar.formats.reading import Reading
from modelcellar.records import FileFormat, Finding, JsonValue, ModelType

__all__ = ["PART_TYPES", "judge"]

MAX_NAME_CHARACTERS = 4 << 20
"""Of one file's tensors together; real ones have less than a quarter of it."""

PART_TYPES: Mapping[str, ModelType] = {
    "controlnet": ModelType.CONTROLNET,
    "ip_adapter": ModelType.IP_ADAPTER,
    "embedding": ModelType.EMBEDDING,
    "backbone": ModelType.DIFFUSION_MODEL,
    "upscaler": ModelType.UPSCALER,
    "audio": ModelType.AUDIO,
    "clip": ModelType.OTHER,
    "llm": ModelType.LLM,
    "text_encoder": ModelType.TEXT_ENCODER,
    "clip_vision": ModelType.CLIP_VISION,
    "vae": ModelType.VAE,
    "vision": ModelType.VISION,
    "other": ModelType.OTHER,
}
"""What a model is whose first part in this order is that one."""


def judge(readings: Sequence[Reading], documents: Mapping[str, JsonValue]) -> dict[str, Finding]:
    """Type, kind and family by the rules; rank and alpha of an adapter; precision."""
    del documents
    tensors = [tensor for reading in readings for tensor in reading.tensors]
    if not tensors:
        return {}
    names = None if any(_are_names_too_long(one) for one in readings) else TensorNames(tensors)
    if names is None or names.has_too_many_kinds:
        return _only_counted(judge_precision(tensors, ()))
    found = judge_precision(tensors, names.folded)
    architecture = next(
        (
            reading.metadata["general.architecture"]
            for reading in readings
            if reading.format is FileFormat.GGUF and "general.architecture" in reading.metadata
        ),
        None,
    )
    if architecture is not None:
        # Its header says more, and the types of its tensors are mixed by design, so that the name
        # of the quantization says what people mean. Only diffusion networks keep their own names.
        match = match_rules(names, {}).get("backbone") if is_diffusion(architecture) else None
        told = _by_parts({"backbone": match}) if match is not None else {}
        return told | _only_counted(found)
    scalars = {key: value for reading in readings for key, value in reading.scalars.items()}
    adapter = judge_adapter(names, scalars)
    if adapter:
        return adapter | {key: found[key] for key in found if key not in adapter}
    metadata = {key: value for reading in readings for key, value in reading.metadata.items()}
    return _by_parts(match_rules(names, metadata)) | found


def _only_counted(found: Mapping[str, Finding]) -> dict[str, Finding]:
    return {name: found[name] for name in ("parameter_count",) if name in found}


def _are_names_too_long(reading: Reading) -> bool:
    return sum(len(tensor.name) for tensor in reading.tensors) > MAX_NAME_CHARACTERS


def _by_parts(parts: Mapping[str, Match]) -> dict[str, Finding]:
    leading = next((part for part in PART_TYPES if part in parts), None)
    if leading is None:
        return {}
    match = parts[leading]
    found = match.findings()
    model_type = PART_TYPES[leading]
    evidence = match.evidence
    if leading == "backbone":
        around = [parts[part] for part in ("text_encoder", "vae") if part in parts]
        around = [one for one in around if one.prefix]
        if around:
            model_type = ModelType.CHECKPOINT
            evidence += ", with " + " and ".join(one.rule.says for one in around)
    return {"type": Finding(model_type.value, evidence, match.rule.sure)} | found
