"""What a model of the library is called in Ollama."""

import re
import unicodedata

from modelcellar.hf.names import parse_name
from modelcellar.ollama_store import HOST, MAX_PART_CHARACTERS, NAMESPACE, TAG, OllamaName

__all__ = ["store_name"]

_SPELLED = re.compile(r"(?:(?:([^/]+)/)?([^/]+)/)?([^/:]+):([^/:]+)")
_OTHERS = re.compile(r"[^a-z0-9_.-]+")


def store_name(name: str, quantization: str | None) -> OllamaName:
    """What a model of the library is called in Ollama.

    A name that is one of Ollama's with its tag, as those taken from an Ollama store are, stays as
    it is. Of others the tag is the quantization.

    Args:
        name: the model's name in the library.
        quantization: what its header says, for names that do not.
    """
    spelled = _SPELLED.fullmatch(name)
    if spelled is not None:
        host, namespace, model, tag = spelled.groups()
        found = OllamaName(model, tag, namespace or NAMESPACE, host or HOST)
        if found.is_valid:
            return found
    parts = parse_name(name)
    tag = parts.quantisation or quantization or parts.precision or TAG
    return OllamaName(_part(parts.titled or name), _part(tag) if tag != TAG else TAG)


def _part(text: str) -> str:
    """Like ``text``, in the letters that a part of a name may have; never empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    part = _OTHERS.sub("-", plain).lstrip(".-")[:MAX_PART_CHARACTERS].rstrip(".-")
    return part or "model"
