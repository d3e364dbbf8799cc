"""What a model is called in Ollama: ``<host>/<namespace>/<model>:<tag>``.

The rules are those of github.com/ollama/ollama, ``types/model/name.go`` (August 2026).
"""

import re
import unicodedata
from dataclasses import dataclass, replace

from modelcellar.hf.names import parse_name

__all__ = ["StoreName", "store_name"]

HOST = "registry.ollama.ai"
NAMESPACE = "library"
TAG = "latest"
MAX_PART_CHARACTERS = 80
MAX_HOST_CHARACTERS = 350
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SPELLED = re.compile(r"(?:(?:([^/]+)/)?([^/]+)/)?([^/:]+):([^/:]+)")
_OTHERS = re.compile(r"[^a-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class StoreName:
    """A full name. ``str`` is the shortest text that ``ollama run`` takes for it."""

    model: str
    tag: str = TAG
    namespace: str = NAMESPACE
    host: str = HOST

    def __str__(self) -> str:
        if self.host != HOST:
            return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"
        prefix = "" if self.namespace == NAMESPACE else f"{self.namespace}/"
        return f"{prefix}{self.model}:{self.tag}"

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """The folders of its manifest, and the manifest's file name."""
        return self.host, self.namespace, self.model, self.tag

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for names that Ollama takes for one (``Name.EqualFold``)."""
        return tuple(part.casefold() for part in self.parts)

    @property
    def is_valid(self) -> bool:
        """Whether Ollama takes it."""
        host_fits = len(self.host) <= MAX_HOST_CHARACTERS and _HOST.fullmatch(self.host)
        others = (self.namespace, self.model, self.tag)
        return bool(
            host_fits
            and _NAMESPACE.fullmatch(self.namespace)
            and all(map(_PART.fullmatch, others))
            and all(len(part) <= MAX_PART_CHARACTERS for part in others)
        )

    def apart(self, sha256: str) -> "StoreName":
        """The same with eight digits of a digest, for the second model of this name."""
        end = f"-{sha256[:8]}"
        return replace(self, tag=self.tag[: MAX_PART_CHARACTERS - len(end)] + end)


def store_name(name: str, quantization: str | None) -> StoreName:
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
        found = StoreName(model, tag, namespace or NAMESPACE, host or HOST)
        if found.is_valid:
            return found
    parts = parse_name(name)
    tag = parts.quantisation or quantization or parts.precision or TAG
    return StoreName(_part(parts.titled or name), _part(tag) if tag != TAG else TAG)


def _part(text: str) -> str:
    """Like ``text``, in the letters that a part of a name may have; never empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    part = _OTHERS.sub("-", plain).lstrip(".-")[:MAX_PART_CHARACTERS].rstrip(".-")
    return part or "model"
