"""What a GGUF file says of itself: architecture, type, quantization, and who made it.

Keys: github.com/ggml-org/ggml, ``docs/gguf.md``; llama.cpp ``gguf-py/gguf/constants.py``. Many
diffusion networks go by the name of another: the converter of ComfyUI-GGUF calls Chroma ``flux``
and Z-Image ``lumina2``.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources

from modelcellar.formats.facts import clean_text
from modelcellar.formats.gguf_types import FILE_TYPES, GUESSED
from modelcellar.formats.reading import Reading
from modelcellar.records import Confidence, FileFormat, Finding, JsonValue, ModelType

__all__ = ["family_name", "is_diffusion", "judge"]

POOLING_RANK = 4
"""``llama_pooling_type``: none 0, mean 1, cls 2, last 3, rank 4."""
_TEXTS = (
    ("general.author", "author"),
    ("general.organization", "author"),
    ("general.description", "description"),
    ("general.license", "licence"),
    ("general.license.name", "licence"),
    ("general.quantized_by", "quantized_by"),
    ("general.size_label", "size_label"),
    ("general.base_model.0.repo_url", "base_model"),
    ("general.base_model.0.name", "base_model"),
    ("general.source.huggingface.repository", "base_model"),
)
_UNTITLED = re.compile(
    r"[0-9a-f]{7,64}|.*[\\/].*|models?|.*\b(?:checkpoint|ckpt|tmp|output|merged?|run)[-_ ]?\d*|\W*",
    re.IGNORECASE,
)
"""Names that are a path, a commit or the folder of a run, and no title."""


@cache
def _architectures() -> Mapping[str, Mapping[str, str]]:
    folder = resources.files("modelcellar.formats.classify") / "tables"
    table = tomllib.loads((folder / "gguf_architectures.toml").read_text())
    return {name: {**table["default"], **entry} for name, entry in table["architecture"].items()}


def family_name(architecture: str) -> str:
    """What people call an architecture; its own name, made clean, if nobody told us."""
    known = _architectures().get(architecture)
    return known["family"] if known else clean_text(architecture, 64)


def family_sure(architecture: str) -> Confidence:
    """How sure the family is: models of other makers come under some of the names."""
    known = _architectures().get(architecture)
    return Confidence(known["sure"]) if known else Confidence.CERTAIN


def is_diffusion(architecture: object) -> bool:
    """Whether it is that of a diffusion network, whose tensors keep the names of its own code."""
    known = _architectures().get(architecture) if isinstance(architecture, str) else None
    return known is not None and known["type"] == ModelType.DIFFUSION_MODEL


def judge(readings: Sequence[Reading], documents: Mapping[str, JsonValue]) -> dict[str, Finding]:
    """Everything the header of the first GGUF file tells; the parts of a split model share it."""
    del documents
    for reading in readings:
        if reading.format is FileFormat.GGUF and reading.metadata:
            return dict(_judge_one(reading))
    return {}


def _judge_one(reading: Reading) -> Iterator[tuple[str, Finding]]:
    metadata = reading.metadata
    architecture = metadata.get("general.architecture")
    if isinstance(architecture, str):
        yield from _type(reading, architecture)
        # Programs that run it go by this very word; the family is what people call it.
        if word := clean_text(architecture, 64):
            yield "architecture", _said("general.architecture", word)
        if family := family_name(architecture):
            sure = Confidence.LIKELY if is_diffusion(architecture) else family_sure(architecture)
            yield "family", _said("general.architecture", family, sure)
        length = metadata.get(f"{architecture}.context_length")
        if type(length) is int and length > 0:
            yield "context_length", _said(f"{architecture}.context_length", length)
        experts = metadata.get(f"{architecture}.expert_count")
        if type(experts) is int and experts > 0:
            yield "expert_count", _said(f"{architecture}.expert_count", experts)
    file_type = metadata.get("general.file_type")
    if type(file_type) is int and reading.tensors and (file_type & ~GUESSED) in FILE_TYPES:
        sure = Confidence.LIKELY if file_type & GUESSED else Confidence.CERTAIN
        name = FILE_TYPES[file_type & ~GUESSED]
        yield "quantization", Finding(name, "the header says general.file_type", sure)
    for key, name in _TEXTS:
        value = metadata.get(key)
        if isinstance(value, str) and (text := clean_text(value)):
            yield name, _said(key, text, Confidence.LIKELY)
    title = metadata.get("general.name")
    if isinstance(title, str) and not _UNTITLED.fullmatch(title.strip()):
        yield "title", _said("general.name", clean_text(title), Confidence.LIKELY)
    if isinstance(metadata.get("tokenizer.chat_template"), str):
        yield "chat_template", _said("tokenizer.chat_template", True)


def _type(reading: Reading, architecture: str) -> Iterator[tuple[str, Finding]]:
    metadata, key = reading.metadata, "general.architecture"
    kind = metadata.get("general.type")
    if kind == "adapter":
        yield "type", _said("general.type", ModelType.LORA.value)
        alpha = metadata.get("adapter.lora.alpha")
        if isinstance(alpha, int | float) and alpha > 0:
            yield "alpha", _said("adapter.lora.alpha", alpha)
        ranks = [tensor.shape[0] for tensor in reading.tensors if tensor.name.endswith(".lora_a")]
        if ranks:
            yield "rank", Finding(max(ranks, key=ranks.count), "the inner size of its pairs")
        return
    if kind == "imatrix" or architecture == "imatrix":
        yield "type", _said("general.type", ModelType.OTHER.value)
        yield "not_a_model", _said("general.type", "importance matrix")
        return
    if kind == "mmproj" or architecture == "clip":
        yield "type", _said(key, ModelType.OTHER.value)
        yield "kind", _said(key, "mmproj")
        return
    if not reading.tensors:
        evidence = "it has a tokenizer and no tensors"
        if "tokenizer.ggml.tokens" in metadata:
            yield "type", Finding(ModelType.OTHER.value, evidence)
            yield "kind", Finding("vocabulary only", evidence)
            yield "not_a_model", Finding("vocabulary only", evidence)
        return
    pooling = metadata.get(f"{architecture}.pooling_type")
    if pooling == POOLING_RANK or any(one.name == "cls.output.weight" for one in reading.tensors):
        yield "type", _said(f"{architecture}.pooling_type", ModelType.OTHER.value)
        yield "kind", _said(f"{architecture}.pooling_type", "reranker")
        return
    known = _architectures().get(architecture)
    if known is not None:
        model_type = known["type"]
        if model_type == ModelType.LLM and type(pooling) is int and pooling > 0:
            model_type = ModelType.EMBEDDING_MODEL.value
        yield "type", _said(key, model_type)
        if known["kind"]:
            yield "kind", _said(key, known["kind"])
    elif _has_text_layers(reading):
        yield (
            "type",
            Finding(
                ModelType.LLM.value,
                "layers of attention after embeddings of tokens",
                Confidence.LIKELY,
            ),
        )


def _has_text_layers(reading: Reading) -> bool:
    names = {tensor.name for tensor in reading.tensors}
    return "token_embd.weight" in names and any(name.startswith("blk.") for name in names)


def _said(key: str, value: JsonValue, sure: Confidence = Confidence.CERTAIN) -> Finding:
    return Finding(value, f"the header says {key}", sure)
