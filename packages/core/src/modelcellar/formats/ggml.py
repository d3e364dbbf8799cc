"""Reads the head of the files that llama.cpp and whisper.cpp used before GGUF.

Magic numbers and layouts: ``llama.cpp`` up to August 2023 (``llama_file_loader``) and whisper.cpp's
``whisper_model_load``. No index says where the tensors lie, so only the head is checked.
"""

import struct
from collections.abc import Mapping

from modelcellar.formats.cursor import Cursor, other_format
from modelcellar.formats.facts import clean_bytes, join
from modelcellar.formats.reading import Reading
from modelcellar.records import NO_PICKLE, FileFormat, JsonValue

MAGICS: Mapping[bytes, str] = {b"lmgg": "ggml", b"fmgg": "ggmf", b"tjgg": "ggjt", b"algg": "ggla"}
"""The first four bytes; all but the first are followed by a version."""
MAX_VERSION = 3
_WHISPER = (
    *("vocabulary", "audio_context", "audio_state", "audio_heads", "audio_layers"),
    *("text_context", "text_state", "text_heads", "text_layers", "mels", "file_type"),
)
_LLAMA = ("vocabulary", "embedding", "multiple", "heads", "layers", "rotary", "file_type")
_WHISPER_CONTEXT = 1500
_WHISPER_MELS = (80, 128)
_MAX_NAME_BYTES = 64


def looks_like(head: bytes) -> bool:
    """Whether one of the magic numbers stands at the beginning."""
    return head[:4] in MAGICS


def inspect(cursor: Cursor) -> Reading:
    """What the numbers after the magic say, as far as their layout is known."""
    cursor.seek(0)
    kind = MAGICS[cursor.take(4)]
    facts: dict[str, JsonValue] = {"container": kind}
    if kind != "ggml":
        (version,) = cursor.unpack(struct.Struct("<I"))
        if not 1 <= version <= MAX_VERSION:
            raise other_format(f"no {kind} version {version:,} exists")
        facts["version"] = version
    facts |= _silero(cursor) or _numbers(cursor, _WHISPER) or _numbers(cursor, _LLAMA)
    model = facts.get("ggml_model", "")
    return Reading(FileFormat.GGML, join((kind, str(model))), facts, security=NO_PICKLE)


def _silero(cursor: Cursor) -> dict[str, JsonValue]:
    """whisper.cpp's voice detector begins with its own name."""
    head = cursor.peek(4 + _MAX_NAME_BYTES)
    length = int.from_bytes(head[:4], "little")
    name = head[4 : 4 + length]
    if not 0 < length <= _MAX_NAME_BYTES or not name.startswith(b"silero"):
        return {}
    return {"ggml_model": "silero", "name": clean_bytes(name)}


def _numbers(cursor: Cursor, names: tuple[str, ...]) -> dict[str, JsonValue]:
    head = cursor.peek(4 * len(names))
    if len(head) < 4 * len(names):
        return {}
    values = dict(zip(names, struct.unpack(f"<{len(names)}i", head), strict=True))
    if not all(0 <= value < 2**24 for value in values.values()):
        return {}
    if names is _LLAMA:
        return {"ggml_model": "llama", **values} if _is_llama(values) else {}
    if values["audio_context"] != _WHISPER_CONTEXT or values["mels"] not in _WHISPER_MELS:
        return {}
    return {"ggml_model": "whisper", **values}


def _is_llama(values: Mapping[str, int]) -> bool:
    heads, width = values["heads"], values["embedding"]
    return bool(heads) and width == heads * values["rotary"] and 0 < values["layers"] <= 256
