"""Findings as a few plain words."""

from collections.abc import Mapping

from modelcellar.formats.facts import join
from modelcellar.records import Finding, ModelType

__all__ = ["in_words"]

TYPE_WORDS: Mapping[str, str] = {
    ModelType.CHECKPOINT: "checkpoint",
    ModelType.DIFFUSION_MODEL: "diffusion model",
    ModelType.LORA: "LoRA",
    ModelType.VAE: "VAE",
    ModelType.CONTROLNET: "ControlNet",
    ModelType.IP_ADAPTER: "IP-Adapter",
    ModelType.EMBEDDING: "textual inversion",
    ModelType.TEXT_ENCODER: "text encoder",
    ModelType.CLIP_VISION: "CLIP vision",
    ModelType.UPSCALER: "upscaler",
    ModelType.LLM: "language model",
    ModelType.EMBEDDING_MODEL: "embedding model",
    ModelType.VISION: "vision model",
    ModelType.AUDIO: "audio model",
}


def in_words(findings: Mapping[str, Finding]) -> str:
    """``SDXL LoRA (LoKr), rank 16``; empty when nothing is known."""

    def value(name: str) -> str:
        return str(findings[name].value) if name in findings else ""

    noun, kind = TYPE_WORDS.get(value("type"), ""), value("kind")
    if kind and kind != noun:
        noun = f"{noun} ({kind})" if noun else kind
    rank = f"rank {value('rank')}" if "rank" in findings else ""
    return join((f"{value('family')} {noun}".strip(), rank))
