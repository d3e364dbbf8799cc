"""What the name of a model file says, taken apart from its end.

File names follow habits, not rules: llama.cpp's (``Base-Size-Tune-vX-Quantisation-00001-of-00003``,
ggml's ``docs/gguf.md``), diffusers' (``model.fp16.safetensors``), Civitai's (``nameXL_v51Turbo``),
and what browsers and people append.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from modelcellar.hf.quantisation import (
    LABEL,
    PRECISION,
    last_label,
    last_precision,
    spelled_label,
    spelled_precision,
)

__all__ = ["NameParts", "parse_name"]

MAX_CHARACTERS = 1024
"""Of a longer name only so many are looked at; no file system has longer ones."""
WINDOW = 80
"""No suffix is longer; so each look at the end of a name takes the same time."""
_FLAGS = re.VERBOSE | re.IGNORECASE | re.ASCII


@dataclass(frozen=True, slots=True)
class NameParts:
    """What a file name says.

    ``base`` is what is left without anything that only says how the model is stored, which part or
    which copy of it this is, and without its version; never empty unless the name is. ``titled`` is
    the same with the version on, where that was next to the base. ``size_label`` (``8B``,
    ``30B-A3B``) and ``finetune`` (``Instruct``) stay in the base, being a part of what the model is
    called.

    ``quantisation`` is what makes numbers smaller than 16 bits: ``Q4_K_M``, ``UD-Q4_K_XL``,
    ``fp8_e4m3fn``, ``nf4``; ``precision`` is ``fp16``, ``bf16``, ``fp32``. Of several the last
    counts. ``version`` has no ``v`` in front, and dots. ``shard`` is (number, of how many), from 1.
    ``extension`` is in small letters with its dot. ``copy_number`` is which copy a browser or a
    file manager took it for.
    """

    base: str
    titled: str = ""
    size_label: str | None = None
    finetune: str | None = None
    version: str | None = None
    quantisation: str | None = None
    precision: str | None = None
    shard: tuple[int, int] | None = None
    is_mmproj: bool = False
    is_lora: bool = False
    extension: str = ""
    copy_number: int | None = None


_EXTENSIONS = (
    r"\.(?:safetensors|sft|gguf|ggml|ckpt|pth\.tar|pth|pt2|ptl|pte|pt|bin|onnx|ort|tflite|task"
    r"|litertlm|jit|mlmodelc|mlmodel|mlpackage|h5|keras|msgpack|npz|npy|pkl|tar|zip|engine|mlx)"
)
_COPY_WORDS = "copy|kopie|copie|copia|kopia"
_APART = r"[-_.\ (\[{]{1,3}"
"""What parts a suffix from the name; brackets around it belong to it."""


def _ending(pattern: str, *, before: str = _APART) -> re.Pattern[str]:
    return re.compile(rf"{before}(?:{pattern})[)\]}}]?\Z", _FLAGS)


# Each pattern is bounded and tried on a window only: no name takes more than linear time.
_SUFFIXES: Mapping[str, re.Pattern[str]] = {
    "extension": re.compile(rf"(?P<text>{_EXTENSIONS})\Z", _FLAGS),
    "shard": re.compile(
        r"(?:[-_](?P<i>[0-9]{1,6})-of-(?P<n>[0-9]{1,6})|\.part(?P<j>[0-9]{1,3})of(?P<m>[0-9]{1,3}))\Z",
        _FLAGS,
    ),
    "split": re.compile(r"-split-[a-z]\Z", _FLAGS),
    "copy": re.compile(
        rf"(?:\ ?\((?P<i>[0-9]{{1,3}})\)"
        rf"|[-_\ ]{{1,3}}(?:{_COPY_WORDS})(?:[-_\ ]?\(?(?P<n>[0-9]{{1,2}})\)?)?"
        rf"|(?<=.){_EXTENSIONS}(?P<download>\.(?P<m>[0-9]{{1,2}})))\Z",
        _FLAGS,
    ),
    "quantisation": _ending(rf"(?P<text>{LABEL})"),
    "precision": _ending(rf"(?P<text>{PRECISION})"),
    "word": _ending(
        r"pruned|(?:(?:full|non|no)[-_.\ ]?)?ema(?:[-_.\ ]?only)?|final|imat(?:rix)?|i1"
        r"|gguf|ggml(?:v[1-3])?|safetensors?|mmproj(?:[-_.]model)?"
    ),
    "version": _ending(
        r"v(?:er(?:sion)?)?[-_.\ ]?(?P<text>[0-9]{1,4}(?:\.[0-9]{1,2}){0,3}(?:[a-z][a-z0-9]{0,30})?"
        r"|[0-9]{1,4}(?:[._-][0-9]{1,2}){1,3})|(?P<plain>[0-9]{1,2}(?:\.[0-9]{1,3}){1,3})"
    ),
}
"""Kind of suffix -> how it looks at the end of a name. ``inpainting`` is none: it is a model."""
_SECOND = re.compile(r"_(?P<n>[1-9])\Z", re.ASCII)
"""A browser's second copy; after a bare name (``epoch_1``) it says something else."""
_BEFORE_SECOND = ("quantisation", "precision", "word", "shard")
_PREFIX = re.compile(r"mmproj[-_.\ ]{1,3}(?=[a-z0-9])", _FLAGS)

_ALONE = r"(?<![a-z0-9])(?:{})(?![a-z0-9])"
_MMPROJ = re.compile(_ALONE.format("mmproj"), _FLAGS)
_LORA = re.compile(_ALONE.format("lora|lycoris|locon|loha|lokr|dora"), _FLAGS)
_SIZE = re.compile(
    _ALONE.format(
        r"(?<!\.)(?:[0-9]{1,2}x)?(?:[0-9]{1,4}(?:\.[0-9]{1,3})?|0_[0-9]{1,2})[mbt][0-9]?"
        r"(?:[-_]a[0-9]{1,3}(?:\.[0-9]{1,2})?b)?|e[1-9][0-9]?b"
    ),
    _FLAGS,
)
_TUNE = re.compile(
    _ALONE.format(
        "instruct|chat|thinking|reasoning|it|base|coder|sft|dpo|orpo|rlhf|distill|abliterated"
        "|uncensored|inpainting|turbo|lightning|hyper|lcm"
    ),
    _FLAGS,
)
MAX_TUNES = 4


class _Found:
    """What has been taken off so far; of each kind the last in the name comes first and stays."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.shard: tuple[int, int] | None = None
        self.title_end: int | None = None

    def note(self, kind: str, match: re.Match[str], end: int) -> None:
        """Keeps what a suffix of ``kind`` says that ends at ``end``."""
        groups = {key: text for key, text in match.groupdict().items() if text is not None}
        if kind == "shard":
            self.shard = self.shard or _shard(match)
        elif kind == "copy":
            number = groups.get("i") or groups.get("n") or groups.get("m") or "1"
            self.texts.setdefault(kind, number)
        else:
            self.texts.setdefault(kind, groups.get("text") or groups.get("plain") or "")
        if kind != "version":
            self.title_end = None
        elif self.title_end is None:
            self.title_end = end

    def said(self, kind: str) -> str | None:
        """What the suffix of ``kind`` says, if there was one."""
        return self.texts.get(kind) or None


def parse_name(name: str) -> NameParts:
    """What the last part of the path ``name`` says. Takes time in proportion to its length.

    Nothing is taken off that would leave no letter or digit.
    """
    stem = name.rstrip("/").rpartition("/")[2][:MAX_CHARACTERS]
    text = stem[_skipped(stem) : _trimmed(stem, len(stem))]
    if not text:
        return NameParts(base=stem, titled=stem)
    found = _Found()
    end = _peel(text, found)
    start = _after_prefix(text, end)
    title_end = end if found.title_end is None else found.title_end
    size = _SIZE.search(text[:end])
    version, copy = found.said("version"), found.said("copy")
    label, precision = found.said("quantisation"), found.said("precision")
    return NameParts(
        base=text[start:end],
        titled=text[start:title_end],
        size_label=None if size is None else _spelled_size(size[0]),
        finetune=_finetune(text[:end], size),
        version=None if version is None else re.sub("[_-]", ".", version),
        # What stands in the middle is a part of the name, but it still says what it says.
        quantisation=last_label(text) if label is None else spelled_label(label),
        precision=last_precision(text) if precision is None else spelled_precision(precision),
        shard=found.shard,
        is_mmproj=_MMPROJ.search(text) is not None,
        is_lora=_LORA.search(text) is not None,
        extension=(found.said("extension") or "").lower(),
        copy_number=None if copy is None else int(copy),
    )


def _peel(text: str, found: _Found) -> int:
    """Where the base ends, after everything behind it has been put into ``found``."""
    first = next((at for at, c in enumerate(text) if c.isalnum()), len(text))
    end = len(text)
    while True:
        suffix = _suffix(text, end, first)
        if suffix is None:
            return end
        kind, match, at = suffix
        found.note(kind, match, end)
        end = _trimmed(text, at)


def _suffix(text: str, end: int, first: int) -> tuple[str, re.Match[str], int] | None:
    """The kind of the suffix that ends at ``end``, its match and where it begins."""
    begin = max(0, end - WINDOW)
    window = text[begin:end]
    for kind, pattern in _SUFFIXES.items():
        match = pattern.search(window)
        if match is not None and _is_plausible(kind, match):
            is_download = kind == "copy" and match["download"] is not None
            at = begin + match.start("download" if is_download else 0)
            if at > first:
                return kind, match, at
    match = _SECOND.search(window)
    if match is not None and begin + match.start() > first:
        before = _trimmed(window, match.start())
        if any(_SUFFIXES[kind].search(window[:before]) for kind in _BEFORE_SECOND):
            return "copy", match, begin + match.start()
    return None


def _is_plausible(kind: str, match: re.Match[str]) -> bool:
    return kind != "shard" or _shard(match) is not None


def _shard(match: re.Match[str]) -> tuple[int, int] | None:
    number, total = int(match["i"] or match["j"]), int(match["n"] or match["m"])
    return (number, total) if 1 <= number <= total else None


def _skipped(text: str) -> int:
    """Where ``text`` begins but for what parts words."""
    at = 0
    while at < len(text) and (text[at] in "-_." or text[at].isspace()):
        at += 1
    return at


def _trimmed(text: str, end: int) -> int:
    """Where ``text`` up to ``end`` ends but for what parts words, and open brackets."""
    while end > 0 and (text[end - 1] in "-_.([{" or text[end - 1].isspace()):
        end -= 1
    return end


def _after_prefix(text: str, end: int) -> int:
    """Where the base begins: ``mmproj-`` in front says what kind of file it is."""
    start = 0
    while (match := _PREFIX.match(text, start, end)) is not None:
        start = match.end()
    return start


def _spelled_size(label: str) -> str:
    """``8B``, ``0.5B``, ``8x7B``, ``30B-A3B``; BLOOM's ``7b1`` is ``7.1B``."""
    spelled = label.upper().replace("X", "x")
    if spelled[-1].isdigit():
        return f"{spelled[:-2]}.{spelled[-1]}{spelled[-2]}"
    return spelled.replace("0_", "0.", 1) if spelled.startswith("0_") else spelled.replace("_", "-")


def _finetune(text: str, size: re.Match[str] | None) -> str | None:
    # "it" is a word of English unless it comes behind a size.
    behind = len(text) if size is None else size.end()
    words = [
        match[0]
        for match in _TUNE.finditer(text)
        if match[0].lower() != "it" or match.start() > behind
    ]
    return "-".join(words[:MAX_TUNES]) or None
