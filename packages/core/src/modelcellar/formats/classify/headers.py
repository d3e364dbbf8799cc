"""What a safetensors header says of itself: ModelSpec, kohya's training keys, other trainers'.

Keys: github.com/Stability-AI/ModelSpec; kohya-ss/sd-scripts ``train_util.py``. A header may be
edited, merged or invented, so tensors win over it, and a hash in it is only a claim.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard

from modelcellar.formats.bounded_json import parse_json
from modelcellar.formats.facts import clean_text
from modelcellar.formats.reading import Reading
from modelcellar.records import Confidence, FileFormat, Finding, JsonValue, ModelType

__all__ = ["judge"]

MAX_TAGS = 64
MAX_COUNT = 2**53
"""A number with hundreds of digits is no count, and cannot be compared with a share of one."""
MAX_JSON_BYTES = 4 << 20
TRIGGER_SHARE = 0.95
"""A tag on so many of the images is what the training was about."""
MAX_TRIGGERS = 5
_HASH = re.compile(r"(?:0x)?([0-9a-f]{64})")
_RESOLUTION = re.compile(r"\(?\s*(\d{2,5})\s*[x,]\s*(\d{2,5})\s*\)?|(\d{2,5})")

_TEXTS = (
    ("modelspec.title", "title"),
    ("modelspec.author", "author"),
    ("modelspec.description", "description"),
    ("modelspec.date", "date"),
    ("modelspec.license", "licence"),
    ("modelspec.usage_hint", "usage_hint"),
    ("ss_output_name", "title"),
    ("ss_sd_model_name", "base_model"),
    ("ss_training_comment", "training_comment"),
    ("base_model", "base_model"),
    ("license", "licence"),
)
_FAMILIES = (
    ("stable-diffusion-v1", "SD 1.x"),
    ("stable-diffusion-v2", "SD 2.x"),
    ("stable-diffusion-xl-v1-refiner", "SDXL refiner"),
    ("stable-diffusion-xl", "SDXL"),
    ("stable-diffusion-3-5", "SD 3.5"),
    ("stable-diffusion-3", "SD 3"),
    ("flux-2", "Flux.2"),
    ("flux2", "Flux.2"),
    ("sdxl", "SDXL"),
    ("sd-v1", "SD 1.x"),
    ("sd-v2", "SD 2.x"),
    ("sd3-5", "SD 3.5"),
    ("sd3", "SD 3"),
    ("flux", "Flux.1"),
    ("chroma", "Chroma"),
    ("hunyuan-video-1-5", "HunyuanVideo 1.5"),
    ("hunyuan-video", "HunyuanVideo"),
    ("hunyuan-image", "Hunyuan Image"),
    ("framepack", "HunyuanVideo"),
    ("wan2-2", "Wan 2.2"),
    ("wan", "Wan"),
    ("qwen-image", "Qwen-Image"),
    ("lumina-2", "Lumina 2"),
    ("z-image", "Z-Image"),
    ("anima-", "Anima"),
    ("kandinsky-5", "Kandinsky 5"),
    ("kandinsky5", "Kandinsky 5"),
    ("hidream-o1", "HiDream-O1"),
)
"""Beginnings of ``modelspec.architecture`` and ``ss_base_model_version``, specific ones first.

In small letters, with hyphens for underscores and dots: one trainer writes ``Flux.2-dev`` and
``flux_2_dev``.
"""
_SUBFAMILIES = (("pony", "Pony"), ("illustrious", "Illustrious"), ("noob", "NoobAI"))
"""Children of SDXL with the same tensors; only the name of the base model tells."""


def judge(readings: Sequence[Reading], documents: Mapping[str, JsonValue]) -> dict[str, Finding]:
    """Title, author, licence, triggers, tags, family and rank, as far as a header says."""
    del documents
    found: dict[str, Finding] = {}
    for reading in readings:
        if reading.format is not FileFormat.GGUF:
            for name, finding in _judge_one(reading.metadata):
                found.setdefault(name, finding)
    return found


def _judge_one(metadata: Mapping[str, object]) -> Iterator[tuple[str, Finding]]:
    texts = {key: value for key, value in metadata.items() if _is_said(value)}
    for key, name in _TEXTS:
        if text := clean_text(str(texts.get(key, ""))):
            yield name, _said(key, text)
    yield from _family(texts)
    yield from _network(texts)
    yield from _resolution(texts)
    yield from _recorded_hash(texts)
    yield from _tags(texts)


def _is_said(value: object) -> bool:
    # kohya writes what is not set as the text "None".
    return isinstance(value, str) and value not in ("", "None", "null")


def _said(key: str, value: JsonValue, sure: Confidence = Confidence.LIKELY) -> Finding:
    return Finding(value, f"the header says {key}", sure)


def _family(texts: Mapping[str, object]) -> Iterator[tuple[str, Finding]]:
    base = f"{texts.get('ss_sd_model_name', '')} {texts.get('modelspec.title', '')}".lower()
    for key in ("modelspec.architecture", "ss_base_model_version"):
        said = str(texts.get(key, "")).lower()
        spelled = re.sub(r"[._]", "-", said)
        family = next((name for start, name in _FAMILIES if spelled.startswith(start)), None)
        if family == "SDXL":
            child = next((name for part, name in _SUBFAMILIES if part in base), None)
            if child is not None:
                yield "family_child", Finding(child, "the name of the base model", Confidence.GUESS)
        if family is not None:
            yield "family", _said(key, family)
        if said.endswith("/lora"):
            yield "type", _said(key, ModelType.LORA.value)
        if said.endswith("/textual-inversion"):
            yield "type", _said(key, ModelType.EMBEDDING.value)
        if said.endswith("/control-net"):
            yield "type", _said(key, ModelType.CONTROLNET.value)


def _network(texts: Mapping[str, object]) -> Iterator[tuple[str, Finding]]:
    for key, name in (("ss_network_dim", "rank"), ("ss_network_alpha", "alpha")):
        try:
            value = float(str(texts[key]))
        except (KeyError, ValueError):
            continue
        # LyCORIS says 10000 for "in full".
        if 0 < value < 10_000:
            yield name, _said(key, int(value) if value == int(value) else value)


def _resolution(texts: Mapping[str, object]) -> Iterator[tuple[str, Finding]]:
    for key in ("modelspec.resolution", "ss_resolution"):
        match = _RESOLUTION.fullmatch(str(texts.get(key, "")).strip())
        if match is not None:
            width, height = match[1] or match[3], match[2] or match[3]
            yield "resolution", _said(key, f"{width}x{height}")


def _recorded_hash(texts: Mapping[str, object]) -> Iterator[tuple[str, Finding]]:
    for key in ("modelspec.hash_sha256", "sshs_model_hash"):
        match = _HASH.fullmatch(str(texts.get(key, "")).strip().lower())
        if match is not None:
            yield "recorded_tensor_sha256", _said(key, match[1])


def _tags(texts: Mapping[str, object]) -> Iterator[tuple[str, Finding]]:
    phrase = clean_text(str(texts.get("modelspec.trigger_phrase", "")))
    if phrase:
        words = [word.strip() for word in phrase.split(",") if word.strip()]
        yield "trigger_words", _said("modelspec.trigger_phrase", words[:MAX_TAGS])
    counts, images = _counts(texts)
    if counts:
        # Highest first; of equal ones the order in which the trainer met them.
        top = {clean_text(tag, 128): count for tag, count in counts.most_common(MAX_TAGS)}
        yield "tag_frequency", _said("ss_tag_frequency", top, Confidence.CERTAIN)
        common = [tag for tag, count in top.items() if images and count >= TRIGGER_SHARE * images]
        if common:
            evidence = f"ss_tag_frequency: on nearly all of {images:,} images"
            yield "trigger_words", Finding(common[:MAX_TRIGGERS], evidence, Confidence.LIKELY)


def _counts(texts: Mapping[str, object]) -> tuple[Counter[str], int]:
    """How often each tag occurs over all datasets, and how many images those have."""
    counts: Counter[str] = Counter()
    for tags in _object(texts.get("ss_tag_frequency")).values():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            if _is_count(count) and tag:
                counts[tag] += count
    images = 0
    for folder in _object(texts.get("ss_dataset_dirs")).values():
        number = folder.get("img_count") if isinstance(folder, dict) else None
        images += number if _is_count(number) else 0
    return counts, images or max(counts.values(), default=0)


def _is_count(value: JsonValue) -> TypeGuard[int]:
    return type(value) is int and 0 < value < MAX_COUNT


def _object(text: object) -> Mapping[str, JsonValue]:
    if not isinstance(text, str) or len(text) > MAX_JSON_BYTES:
        return {}
    try:
        value = parse_json(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
