"""Model names as people type them: segments, joins of neighbouring segments, CJK bigrams.

The name ``sd_xl_base_1.0`` holds the segments ``sd xl base 1 0``; joins of two to four neighbours
(``sdxl``, ``base10``, ...) make it findable however the typist spaces it. Queries are cut the same
way, by `word_tokens`, so both sides always agree.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

__all__ = ["MAX_JOIN", "has_cjk", "search_words", "segments", "without_diacritics", "word_tokens"]

MAX_JOIN = 4
"""Segments in the longest join that is indexed."""

MAX_CHARACTERS = 4000
"""Characters of one call's texts that are looked at."""

_VERSION = re.compile(r"(?<=[^\W\d_])(?=[vV]\d)")
"""Before the v of "SDXLv2", which else would be cut as "SDX Lv 2"."""

_CJK = (
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x3130, 0x318F),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7AF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)

Run = tuple[bool, list[str]]
"""Neighbouring segments: (True, single CJK characters) or (False, segments of other scripts)."""


def segments(text: str) -> list[str]:
    """The smallest words of ``text``, folded: CamelCase, letters, digits and CJK characters apart.

    Lower case (``str.casefold``), compatibility forms and diacritics folded as FTS5's
    ``remove_diacritics 2`` folds Latin letters.
    """
    return [segment for _, run in _runs(text) for segment in run]


def search_words(*texts: str) -> str:
    """The content of the index column ``words``: segments, joins and bigrams, each one once.

    Looks at the first 4,000 characters of all texts together. Joins never cross from one text
    into the next.
    """
    words: dict[str, None] = {}
    left = MAX_CHARACTERS
    for text in texts:
        part = text[:left]
        left -= len(part)
        words.update(_words(part))
    return " ".join(words)


@lru_cache(maxsize=1024)
def _words(text: str) -> dict[str, None]:
    """The same of one text. Thousands of models share a family and tags, and many have the name
    of their file."""
    words: dict[str, None] = {}
    # "RealVisXL_V5" is typed as "realvisxlv5" too, five segments where capitals part.
    small = text.lower()
    for is_cjk, run in (*_runs(text), *(_runs(small) if small != text else ())):
        longest = 2 if is_cjk else MAX_JOIN
        for size in range(1, longest + 1):
            starts = range(len(run) - size + 1)
            words.update(("".join(run[i : i + size]), None) for i in starts)
    return words


def word_tokens(text: str) -> list[str]:
    """The words a model must all have in its ``words`` for ``text`` to be part of it.

    Joins of four neighbours, overlapping; the whole when there are fewer. CJK as bigrams.
    """
    tokens: list[str] = []
    for is_cjk, run in _runs(text):
        size = min(2 if is_cjk else MAX_JOIN, len(run))
        tokens.extend("".join(run[i : i + size]) for i in range(len(run) - size + 1))
    return tokens


def has_cjk(text: str) -> bool:
    """Whether ``text`` holds characters that FTS5 would keep together in one long word."""
    return any(_kind(character) == "cjk" for character in text)


def _runs(text: str) -> list[Run]:
    runs: list[Run] = []
    for segment in _split(without_diacritics(text)):
        is_cjk = _kind(segment[0]) == "cjk"
        if not runs or runs[-1][0] != is_cjk:
            runs.append((is_cjk, []))
        runs[-1][1].append(segment.casefold())
    return runs


def _split(text: str) -> Iterator[str]:
    """Cuts ``text`` at separators and between kinds of characters. Marks stay with their letter."""
    segment, previous = "", ""
    for character, following in pairwise(_VERSION.sub(" ", text) + " "):
        kind = _kind(character)
        if kind == "mark" and segment:
            segment += character
            continue
        if segment and _is_boundary(previous, kind, _kind(following)):
            yield segment
            segment = ""
        if kind in ("upper", "letter", "digit", "cjk"):
            segment += character
        previous = kind
    if segment:
        yield segment


def _is_boundary(previous: str, kind: str, following: str) -> bool:
    if kind == "cjk" or {previous, kind} == {"letter", "upper"}:
        # "deepSeek" is cut before the S; in "Seek" the capital belongs to what follows it.
        return kind != "letter"
    if previous == kind == "upper":
        # "SDXLBase" is cut before the B.
        return following == "letter"
    return previous != kind


def without_diacritics(text: str) -> str:
    """``text`` in compatibility forms, its letters without marks, as the index folds them."""
    # Only the marks of U+0300: without its voiced mark (U+3099) a kana is another letter.
    decomposed = unicodedata.normalize("NFKD", text)
    stripped = "".join(c for c in decomposed if not 0x300 <= ord(c) <= 0x36F)
    return unicodedata.normalize("NFKC", stripped)


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] in "LN" and any(low <= ord(character) <= high for low, high in _CJK):
        return "cjk"
    if category in ("Lu", "Lt"):
        return "upper"
    return {"L": "letter", "N": "digit", "M": "mark"}.get(category[0], "separator")
