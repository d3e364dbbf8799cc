"""How to look for the repository of a file: what its header names, then what its name says.

The Hub's ``search`` is a substring test on the repository's id, so whole sentences find nothing and
few, selective spellings find most. What a header says may be invented; nothing of it becomes part
of an address unless it is a valid id or a plain word.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modelcellar.hf.names import parse_name
from modelcellar.naming import is_repo_id
from modelcellar.origins import Subject

__all__ = ["Guess", "Search", "repositories_named", "searches"]

MAX_SEARCHES = 4
MAX_GUESSES = 8
MIN_QUERY, MAX_QUERY = 3, 96
TELLING_CHARACTERS = 8
"""From this length on a name without its version is asked for before the one with it."""
SHORT_QUERY = 8
"""A shorter one is in so many ids that what the model was made from has to narrow them."""
MAX_VALUE = 512
"""Characters; nothing longer is a name or an address."""
BASE_MODELS = 8
MAX_FOLDERS = 4


@dataclass(frozen=True, slots=True)
class Search:
    """One question to ``GET /api/models``: a part of the id, whose it is, tags it must have."""

    query: str | None
    author: str | None
    filters: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Guess:
    """A repository that a header names, and where it does."""

    repo_id: str
    reason: str


_OWN_KEYS = ("general.repo_url", "general.url", "repo_id", "hf_repo_id", "modelspec.repo_id")
"""What may name the repository of the file itself, though most name the one it was made from."""
_BASE_KEYS = (
    "general.source.huggingface.repository",
    "general.source.repo_url",
    "general.source.url",
    *(f"general.base_model.{index}.repo_url" for index in range(BASE_MODELS)),
    "base_model",
    "base_model_name_or_path",
)
_AUTHOR_KEYS = ("general.quantized_by", "mradermacher.quantized_by", "modelspec.author")
_NAME_KEYS = ("general.name", "modelspec.title", "ss_output_name", "model_name")
_PARTS_KEYS = ("general.basename", "general.size_label", "general.finetune", "general.version")

_ADDRESS = re.compile(
    r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<space>[^/?#\s]+)(?:/(?P<name>[^/?#\s]+))?"
    r"(?:[/?#]\S*)?",
    re.IGNORECASE | re.ASCII,
)
_NOT_MODELS = frozenset(["api", "blog", "collections", "datasets", "docs", "papers", "spaces"])
_NAMESPACE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,40}[A-Za-z0-9])?")
_UNSEARCHABLE = re.compile(r"[^A-Za-z0-9._-]+")
_COMMIT = re.compile(r"[0-9a-f]{7,64}", re.IGNORECASE)
_NUMBER_PARTS = re.compile(r"(?<=[0-9])_(?=[0-9])")
_GENERIC = frozenset(
    [
        *("adapter", "ae", "args", "best", "checker", "checkpoint", "checkpoints", "ckpt", "clip"),
        *("config", "consolidated", "controlnet", "copy", "data", "decoder", "default"),
        *("diffusers", "diffusion", "discriminator", "download", "embeddings", "encoder", "epoch"),
        *("extractor", "feature", "file", "final", "flax", "fsdp", "generator", "ggml", "gguf"),
        *("gptq", "index", "ip", "json", "last", "latest", "llama", "lora", "loras", "merged"),
        *("mmproj", "model", "params", "txt", "yaml"),
        *("models", "my", "new", "onnx", "open", "optimizer", "ot", "out", "output", "pretrained"),
        *("pytorch", "quantized", "rust", "safetensors", "safety", "scheduler", "step", "test"),
        *("text", "tf", "tmp", "tokenizer", "training", "transformer", "unet", "untitled", "vae"),
        "weights",
    ]
)
"""Words that thousands of files and folders are called by: a search for them finds none of them."""
_GENERIC_NAMES = frozenset(["image-encoder", "stable-diffusion"])
"""The same of several words, each of which may be what makes another name a particular one."""
_KOHYA_BASES: Mapping[str, str] = {
    "sd_v1": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sdxl_base_v1-0": "stabilityai/stable-diffusion-xl-base-1.0",
    "sd3_m": "stabilityai/stable-diffusion-3-medium",
    "flux1": "black-forest-labs/FLUX.1-dev",
}
"""``ss_base_model_version`` (kohya-ss/sd-scripts, ``sai_model_spec.py``) -> the model it means."""


def repositories_named(subject: Subject) -> tuple[Guess, ...]:
    """The repositories that the file's metadata name outright; the likeliest first.

    Most name what the file was made from rather than where it is, so an answer needs a digest.
    """
    metadata = _metadata(subject)
    found: dict[str, Guess] = {}
    for key in (*_OWN_KEYS, *_BASE_KEYS):
        repo_id = _repo_id(metadata.get(key, ""))
        if repo_id is not None:
            found.setdefault(repo_id.lower(), Guess(repo_id, f"the header says {key}"))
    return tuple(found.values())[:MAX_GUESSES]


def searches(subject: Subject) -> tuple[Search, ...]:
    """What to ask the Hub for, at most `MAX_SEARCHES` questions, the most promising first."""
    found: dict[tuple[str | None, str | None, tuple[str, ...]], Search] = {}
    for one in _promising(subject):
        query = None if one.query is None else one.query.lower()
        found.setdefault((query, one.author, one.filters), one)
    return tuple(found.values())[:MAX_SEARCHES]


def _promising(subject: Subject) -> Iterator[Search]:
    """All questions, the most promising first; some twice."""
    metadata = _metadata(subject)
    is_gguf = subject.format == "gguf"
    tags = ("gguf",) if is_gguf else ()
    author, base = _author(metadata), _base(metadata)
    embedded, named = _embedded(metadata), _from_path(subject.name)
    if base is not None and is_gguf:
        yield Search(None, author, (f"base_model:quantized:{base.repo_id}",), base.reason)
    for query, reason in embedded[:1]:
        if author is not None:
            yield Search(query, author, tags, f"{reason}, by the author it names")
        yield Search(query, None, tags, reason)
    for query in named:
        if base is not None and not is_gguf and len(query) < SHORT_QUERY:
            yield Search(query, None, (f"base_model:adapter:{base.repo_id}",), base.reason)
        yield Search(query, None, tags, "the file name")
    if base is not None and is_gguf:
        yield Search(None, None, (f"base_model:quantized:{base.repo_id}",), base.reason)
    yield from (Search(query, None, tags, reason) for query, reason in embedded[1:])


def _metadata(subject: Subject) -> dict[str, str]:
    """The texts of the header that say something; kohya writes what is not set as ``None``."""
    metadata = subject.facts.get("metadata")
    if not isinstance(metadata, Mapping):
        return {}
    return {
        key: value.strip()
        for key, value in metadata.items()
        if isinstance(key, str) and isinstance(value, str) and len(value) <= MAX_VALUE
        if value.strip() not in ("", "None", "null")
    }


def _repo_id(text: str) -> str | None:
    """The id that ``text`` is or is the address of, if it may be one."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return text if is_repo_id(text) else None
    repo_id = f"{match['space']}/{match['name']}"
    is_model = match["name"] is not None and match["space"].lower() not in _NOT_MODELS
    return repo_id if is_model and is_repo_id(repo_id) else None


def _author(metadata: Mapping[str, str]) -> str | None:
    """Whose repository it may be: of an address without a name, as Unsloth writes it, or said."""
    match = _ADDRESS.fullmatch(metadata.get("general.repo_url", ""))
    if match is not None and match["name"] is None and _NAMESPACE.fullmatch(match["space"]):
        return match["space"]
    said = (metadata.get(key, "") for key in _AUTHOR_KEYS)
    return next((text for text in said if _NAMESPACE.fullmatch(text) and "--" not in text), None)


def _base(metadata: Mapping[str, str]) -> Guess | None:
    """What the model was made from."""
    for key in (*_BASE_KEYS, *_OWN_KEYS):
        repo_id = _repo_id(metadata.get(key, ""))
        if repo_id is not None:
            return Guess(repo_id, f"made from what the header calls {key}")
    known = _KOHYA_BASES.get(metadata.get("ss_base_model_version", ""))
    reason = "made from what the header calls ss_base_model_version"
    return None if known is None else Guess(known, reason)


def _embedded(metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names in the header, as queries, with where they stand."""
    found = []
    if all(key in metadata for key in _PARTS_KEYS[:2]):
        composed = "-".join(metadata[key] for key in _PARTS_KEYS if key in metadata)
        found.append((composed, "the header says general.basename"))
    found += [(metadata[key], f"the header says {key}") for key in _NAME_KEYS if key in metadata]
    queries = ((next(iter(_queries(text)), None), reason) for text, reason in found)
    return [(query, reason) for query, reason in queries if query is not None]


def _from_path(path: str) -> list[str]:
    """Spellings of the file's name or, where that says nothing, of the nearest folder's."""
    for name in reversed(path.split("/")[-MAX_FOLDERS:]):
        queries = list(_queries(name))
        if queries:
            return queries
    return []


def _queries(name: str) -> Iterator[str]:
    """Spellings of a name that ids may have: with its version and without, as it is and dashed."""
    parts = parse_name(name.rpartition("\\")[2])
    # What finds the shorter name finds the longer one as well, if it is not lost among thousands.
    is_telling = len(parts.base) >= TELLING_CHARACTERS
    texts = (parts.base, parts.titled) if is_telling else (parts.titled, parts.base)
    for text in dict.fromkeys(texts):
        plain = _UNSEARCHABLE.sub("-", text).strip("-._")
        dashed = _NUMBER_PARTS.sub(".", plain).replace("_", "-")
        yield from (one for one in dict.fromkeys((plain, dashed)) if _is_selective(one))


def _is_selective(query: str) -> bool:
    if not MIN_QUERY <= len(query) <= MAX_QUERY or _COMMIT.fullmatch(query):
        return False
    words = re.split(r"[-_.]+", query.lower())
    return "-".join(words) not in _GENERIC_NAMES and any(map(_is_telling, words))


def _is_telling(word: str) -> bool:
    """Whether a word is more than a common one, a letter or a number (``epoch10``, ``v2``)."""
    stem = word.rstrip("0123456789")
    return len(stem) > 1 and stem not in _GENERIC
