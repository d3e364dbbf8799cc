"""What the headers of GGML, CTranslate2 and ONNX files tell: a few kinds that name themselves."""

from collections.abc import Mapping, Sequence

from modelcellar.formats.reading import Reading
from modelcellar.records import FileFormat, Finding, JsonValue, ModelType

__all__ = ["judge"]

_GGML = {
    "whisper": (ModelType.AUDIO, "speech recognition", "Whisper"),
    "silero": (ModelType.AUDIO, "voice activity detection", "Silero VAD"),
}
_CTRANSLATE2 = {
    "WhisperSpec": (ModelType.AUDIO, "speech recognition", "Whisper"),
    "Wav2Vec2Spec": (ModelType.AUDIO, "speech encoder", "wav2vec 2.0"),
    "TransformerDecoderModelSpec": (ModelType.LLM, "decoder", ""),
    "TransformerSpec": (ModelType.LLM, "encoder and decoder", ""),
}
_SILERO_INPUTS = {"input", "state", "sr"}
_UNET_INPUTS = {"sample", "timestep", "encoder_hidden_states"}


def judge(readings: Sequence[Reading], documents: Mapping[str, JsonValue]) -> dict[str, Finding]:
    """Type, kind and family, where the format's own words say them."""
    del documents
    for reading in readings:
        found = _judge_one(reading)
        if found:
            return found
    return {}


def _judge_one(reading: Reading) -> dict[str, Finding]:
    facts = reading.facts
    if reading.format is FileFormat.GGML:
        return _findings(_GGML.get(str(facts.get("ggml_model"))), "the shape of its header")
    if reading.format is FileFormat.CTRANSLATE2:
        spec = str(facts.get("spec"))
        return _findings(_CTRANSLATE2.get(spec), f"it was written as a {spec}")
    if reading.format is FileFormat.ONNX:
        return _onnx(facts)
    return {}


def _onnx(facts: Mapping[str, JsonValue]) -> dict[str, Finding]:
    inputs = set(facts.get("inputs", ()))
    if inputs == _SILERO_INPUTS:
        told = (ModelType.AUDIO, "voice activity detection", "Silero VAD")
        return _findings(told, "its inputs are sound, a state and a sample rate")
    if inputs >= _UNET_INPUTS:
        told = (ModelType.DIFFUSION_MODEL, "", "")
        return _findings(told, "its inputs are a sample, a timestep and a text")
    return {}


def _findings(told: tuple[ModelType, str, str] | None, evidence: str) -> dict[str, Finding]:
    if told is None:
        return {}
    values = zip(("type", "kind", "family"), told, strict=True)
    return {name: Finding(str(value), evidence) for name, value in values if value}
