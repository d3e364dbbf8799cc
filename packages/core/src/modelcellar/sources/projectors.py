"""Which language model a multimodal projector (``mmproj-*.gguf``) belongs to, by their headers.

A projector ends in vectors as wide as the model's embeddings, and llama.cpp's converter writes
that width and the model's name into both (``gguf-py/gguf/constants.py``: ``embedding_length``,
``projection_dim``, ``general.name``, ``general.basename``). File names are not looked at.
"""

import re
from collections.abc import Mapping

from modelcellar.records import FileFormat, ModelType
from modelcellar.sources.source import SourceFile

__all__ = ["is_projector", "is_text_model", "pairs"]

_WORD = re.compile(r"[^\W_]+")


def is_projector(file: SourceFile) -> bool:
    """Whether the file is the projector of some model."""
    kind = file.inspection.findings.get("kind")
    return kind is not None and kind.value == "mmproj"


def is_text_model(file: SourceFile) -> bool:
    """Whether the file is a language model, or the first part of one, in GGUF."""
    type_ = file.inspection.findings.get("type")
    is_text = type_ is not None and type_.value == ModelType.LLM
    return is_text and file.inspection.format is FileFormat.GGUF


def pairs(texts: Mapping[str, SourceFile], projectors: Mapping[str, SourceFile]) -> dict[str, str]:
    """Key of a language model -> key of its projector, where neither fits any other.

    Two quantisations of one model fit the same projector: whose it is cannot be told then.
    """
    fitting = [
        (text, projector)
        for text in texts
        for projector in projectors
        if _fits(texts[text], projectors[projector])
    ]
    return {
        text: projector
        for text, projector in fitting
        if sum(text in pair for pair in fitting) == sum(projector in pair for pair in fitting) == 1
    }


def _fits(text: SourceFile, projector: SourceFile) -> bool:
    """Whether the widths are equal and the names, where both have one, do not contradict."""
    about, said = _metadata(text), _metadata(projector)
    width = about.get(f"{about.get('general.architecture')}.embedding_length")
    widths = {value for key, value in said.items() if key.endswith(".projection_dim")}
    agreement = _names_agree(about, said)
    if width is None or not widths:
        return agreement is True
    return width in widths and agreement is not False


def _names_agree(about: Mapping[str, object], said: Mapping[str, object]) -> bool | None:
    """``None`` if one of them has no name to compare."""
    answers = []
    for key in ("general.basename", "general.name"):
        one, other = _words(about.get(key)), _words(said.get(key))
        if one and other:
            shorter = min(len(one), len(other))
            is_name = key == "general.name"
            answers.append(one[:shorter] == other[:shorter] if is_name else one == other)
    return any(answers) if answers else None


def _words(value: object) -> list[str]:
    return _WORD.findall(value.casefold()) if isinstance(value, str) else []


def _metadata(file: SourceFile) -> Mapping[str, object]:
    metadata = file.inspection.facts.get("metadata")
    return metadata if isinstance(metadata, dict) else {}
