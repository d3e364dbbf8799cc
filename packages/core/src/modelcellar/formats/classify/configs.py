"""What configuration beside the weights says: transformers, diffusers, PEFT, a model card.

Keys: ``config.json`` and ``adapter_config.json`` as transformers, diffusers and PEFT write them;
the front matter of ``README.md`` as the Hub defines it (huggingface.co/docs/hub/model-cards).
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from modelcellar.formats.classify.gguf import family_name
from modelcellar.formats.facts import clean_text
from modelcellar.formats.reading import Reading
from modelcellar.records import Confidence, Finding, JsonValue, ModelType

__all__ = ["judge"]

MAX_TAGS = 32
MAX_RANK = 2**31
"""JSON can say infinity (``1e999``), and that is no rank."""
_WIDTHS = {768: "SD 1.x", 1024: "SD 2.x", 2048: "SDXL"}
_OF_IMAGES = ("UNet2DConditionModel", "ControlNetModel", "ControlNetUnionModel")
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")


@dataclass(frozen=True, slots=True)
class _Entry:
    pattern: re.Pattern[str]
    gives: Mapping[str, str]


@cache
def _entries(section: str) -> tuple[_Entry, ...]:
    folder = resources.files("modelcellar.formats.classify") / "tables"
    tables = tomllib.loads((folder / "config_classes.toml").read_text())[section]
    return tuple(_Entry(re.compile(table["pattern"]), table["gives"]) for table in tables)


def judge(readings: Sequence[Reading], documents: Mapping[str, JsonValue]) -> dict[str, Finding]:
    """What the documents at the top of a model's folder say together."""
    del readings
    found: dict[str, Finding] = {}
    for name, tell in _TELLERS:
        document = documents.get(name)
        if isinstance(document, dict):
            for field, finding in tell(document):
                found.setdefault(field, finding)
    if "modules.json" in documents or "config_sentence_transformers.json" in documents:
        found |= _sentence_transformers(found)
    if any(_has_own_code(document) for document in documents.values()):
        text = "a configuration has auto_map: loading it wants code that comes with the model"
        found["runs_own_code"] = Finding(True, text)
    return found


def _pipeline(document: Mapping[str, JsonValue]) -> Iterator[tuple[str, Finding]]:
    name = document.get("_class_name")
    yield from _by_class(name, "diffusers", "model_index.json")
    yield "kind", Finding("diffusers pipeline", f"model_index.json is of {_text(name)}")


def _adapter(document: Mapping[str, JsonValue]) -> Iterator[tuple[str, Finding]]:
    origin = "adapter_config.json"
    peft_type = _text(document.get("peft_type"))
    if peft_type:
        yield "type", _said(origin, "peft_type", ModelType.LORA.value)
        kind = "DoRA" if document.get("use_dora") is True else _PEFT_KINDS.get(peft_type, peft_type)
        yield "kind", _said(origin, "peft_type", kind)
        yield "layout", _said(origin, "peft_type", "PEFT")
    for key, field in (("r", "rank"), ("lora_alpha", "alpha")):
        value = document.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if 0 < value < MAX_RANK:
            yield field, _said(origin, key, value)
    base = _text(document.get("base_model_name_or_path"))
    if base:
        yield "base_model", _said(origin, "base_model_name_or_path", base)


_PEFT_KINDS = {"LORA": "LoRA", "LOHA": "LoHa", "LOKR": "LoKr", "IA3": "(IA)3", "OFT": "OFT"}


def _config(document: Mapping[str, JsonValue]) -> Iterator[tuple[str, Finding]]:
    origin = "config.json"
    component = document.get("_class_name")
    if isinstance(component, str):
        yield from _by_class(component, "components", origin)
        width = document.get("cross_attention_dim")
        # UNets of videos and of sound take the same widths; those of sound give other channels.
        of_images = component in _OF_IMAGES and document.get("out_channels", 4) == 4
        if of_images and isinstance(width, int) and width in _WIDTHS:
            yield "family", _said(origin, "cross_attention_dim", _WIDTHS[width], Confidence.LIKELY)
        return
    classes = document.get("architectures")
    names = [name for name in classes if isinstance(name, str)] if isinstance(classes, list) else []
    for name in names[:1]:
        yield from _by_class(name, "transformers", origin)
    model_type = _text(document.get("model_type"), 64)
    if model_type:
        yield "family", _said(origin, "model_type", family_name(model_type), Confidence.LIKELY)
    yield from _context(document)
    yield from _quantization(document)
    dtype = _text(document.get("torch_dtype") or document.get("dtype"), 32)
    if dtype:
        yield "precision", _said(origin, "torch_dtype", dtype, Confidence.LIKELY)


def _context(document: Mapping[str, JsonValue]) -> Iterator[tuple[str, Finding]]:
    inner = document.get("text_config")
    for place in (document, inner if isinstance(inner, dict) else {}):
        for key in _CONTEXT_KEYS:
            value = place.get(key)
            if type(value) is int and 0 < value < 2**40:
                yield "context_length", _said("config.json", key, value)


def _quantization(document: Mapping[str, JsonValue]) -> Iterator[tuple[str, Finding]]:
    quantization = document.get("quantization_config")
    if not isinstance(quantization, dict):
        return
    method = _text(quantization.get("quant_method"), 32)
    bits = quantization.get("bits")
    if quantization.get("load_in_4bit") is True:
        bits = 4
    if method:
        name = f"{method} {bits} bit" if type(bits) is int else method
        yield "quantization", _said("config.json", "quantization_config", name)


def _card(document: Mapping[str, JsonValue]) -> Iterator[tuple[str, Finding]]:
    origin = "README.md"
    licence = _text(document.get("license_name") or document.get("license"))
    if licence:
        yield "licence", _said(origin, "license", licence)
    base = document.get("base_model")
    base = _text(base[0] if isinstance(base, list) and base else base)
    if base:
        yield "base_model", _said(origin, "base_model", base, Confidence.LIKELY)
    task = _text(document.get("pipeline_tag"), 64)
    if task:
        yield "task", _said(origin, "pipeline_tag", task, Confidence.LIKELY)
    tags = document.get("tags")
    texts = [_text(tag, 64) for tag in tags] if isinstance(tags, list) else []
    kept = [text for text in dict.fromkeys(texts) if text][:MAX_TAGS]
    if kept:
        yield "card_tags", _said(origin, "tags", kept, Confidence.LIKELY)
    if "cross-encoder" in kept or task == "text-ranking":
        yield "kind", _said(origin, "pipeline_tag", "reranker", Confidence.CERTAIN)


_TELLERS = (
    ("README.md", _card),
    ("model_index.json", _pipeline),
    ("adapter_config.json", _adapter),
    ("config.json", _config),
)


def _sentence_transformers(found: Mapping[str, Finding]) -> dict[str, Finding]:
    kind = found.get("kind")
    if kind is not None and kind.value == "reranker":
        return {"type": Finding(ModelType.OTHER.value, kind.evidence)}
    evidence = "modules.json or its configuration is that of sentence-transformers"
    return {
        "type": Finding(ModelType.EMBEDDING_MODEL.value, evidence),
        "kind": Finding("sentence embeddings", evidence),
    }


def _by_class(name: JsonValue, section: str, origin: str) -> Iterator[tuple[str, Finding]]:
    text = _text(name, 128)
    for entry in _entries(section):
        if entry.pattern.fullmatch(text):
            for field, value in entry.gives.items():
                yield field, Finding(value, f"{origin} names the class {text}")
            return


def _has_own_code(document: JsonValue) -> bool:
    return isinstance(document, dict) and isinstance(document.get("auto_map"), dict)


def _said(
    origin: str, key: str, value: JsonValue, sure: Confidence = Confidence.CERTAIN
) -> Finding:
    return Finding(value, f"{origin} says {key}", sure)


def _text(value: JsonValue, limit_bytes: int = 256) -> str:
    return clean_text(value, limit_bytes) if isinstance(value, str) else ""
