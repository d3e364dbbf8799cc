"""Models that nobody has, called and described as models are; the same ones for the same seed.

Words follow Zipf's law: few are everywhere and most are rare, in the shares that the lists of the
Hub and of Civitai show. The first models are the same however many are asked for.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from benchmarks.name_words import (
    CJK_WORDS,
    ENGLISH,
    LANGUAGE_FAMILIES,
    LANGUAGE_WORDS,
    PICTURE_FAMILIES,
    QUANTISATIONS,
    STYLE_WORDS,
    SUFFIXES,
    SYLLABLES,
    TAGS,
    TYPES,
)
from modelcellar.records import FileFormat, JsonValue

SEED = 20240229
RARE_WORDS = 40_000
AUTHORS = 5_000
CJK_SHARE = 0.04
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Made:
    """One model: what is known of it by field, its file, and that file's size and format."""

    values: dict[str, JsonValue]
    path: str
    size_bytes: int
    format: FileFormat


class Zipf:
    """Takes words by chance, the n-th of them one n-th as often as the first."""

    def __init__(self, words: Sequence[str], chance: random.Random) -> None:
        self._words = words
        self._shares = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
        self._chance = chance

    def one(self) -> str:
        """One word."""
        return self.some(1)[0]

    def some(self, count: int) -> list[str]:
        """So many words, some perhaps twice."""
        return self._chance.choices(self._words, cum_weights=self._shares, k=count)


def made_models(count: int, *, seed: int = SEED) -> Iterator[Made]:
    """The first ``count`` models of that seed."""
    maker = _Maker(random.Random(seed))
    for _ in range(count):
        yield maker.model()


class _Maker:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._pictures = Zipf(PICTURE_FAMILIES, chance)
        self._languages = Zipf(LANGUAGE_FAMILIES, chance)
        self._styles = Zipf(STYLE_WORDS, chance)
        self._language_words = Zipf(LANGUAGE_WORDS, chance)
        self._rare = Zipf(_invented(chance, RARE_WORDS), chance)
        self._authors = Zipf(_invented(chance, AUTHORS), chance)
        self._cjk = Zipf(CJK_WORDS, chance)
        self._tags = Zipf(TAGS, chance)
        self._english = Zipf(ENGLISH, chance)
        self._suffixes = Zipf(SUFFIXES, chance)
        self._quantisations = Zipf(QUANTISATIONS, chance)
        self._types = list(TYPES)
        self._type_shares = list(accumulate(TYPES.values()))

    def model(self) -> Made:
        (kind,) = self._chance.choices(self._types, cum_weights=self._type_shares)
        if kind in ("llm", "embedding_model", "audio"):
            return self._language_model(kind)
        return self._picture_model(kind)

    def _picture_model(self, kind: str) -> Made:
        chance = self._chance
        family = self._pictures.one()
        parts = [self._rare.one(), *self._styles.some(chance.randint(0, 2))]
        if chance.random() < CJK_SHARE:
            parts[0] = self._cjk.one() + (self._cjk.one() if chance.random() < 0.5 else "")
        if chance.random() < 0.4:
            parts.insert(chance.choice((0, len(parts))), family)
        if kind != "checkpoint" and chance.random() < 0.5:
            parts.append(kind.replace("_", "-"))
        if chance.random() < 0.7:
            parts.append(self._version())
        if chance.random() < 0.3:
            parts.append(self._suffixes.one())
        name = self._spelled(parts)
        values = self._values(name, kind, family)
        if kind == "lora":
            values["trigger_words"] = self._rare.some(chance.randint(1, 3))
        large = kind in ("checkpoint", "diffusion_model")
        size = int(chance.uniform(2, 24) * GIB) if large else int(chance.uniform(0.01, 0.9) * GIB)
        return Made(values, f"{name}.safetensors", size, FileFormat.SAFETENSORS)

    def _language_model(self, kind: str) -> Made:
        chance = self._chance
        family = self._languages.one()
        size = chance.choice(("0.5B", "1.5B", "3B", "7B", "8B", "13B", "14B", "32B", "70B"))
        parts = [f"{family}-{size}", *self._language_words.some(chance.randint(0, 2))]
        if chance.random() < 0.5:
            parts.insert(chance.choice((0, 1)), self._rare.one().capitalize())
        if chance.random() < 0.4:
            parts.append(self._version())
        is_gguf = chance.random() < 0.7
        if is_gguf:
            parts.append(self._quantisations.one())
        name = "-".join(parts)
        values = self._values(name, kind, family)
        if is_gguf:
            values["quantization"] = parts[-1]
        extension, form = (
            ("gguf", FileFormat.GGUF) if is_gguf else ("safetensors", FileFormat.SAFETENSORS)
        )
        size_bytes = int(chance.uniform(0.3, 45) * GIB)
        return Made(values, f"{name}.{extension}", size_bytes, form)

    def _values(self, name: str, kind: str, family: str) -> dict[str, JsonValue]:
        chance = self._chance
        values: dict[str, JsonValue] = {"name": name, "type": kind, "family": family}
        if chance.random() < 0.6:
            values["author"] = self._authors.one()
            values["tags"] = list(dict.fromkeys(self._tags.some(chance.randint(2, 7))))
        if chance.random() < 0.4:
            words = self._english.some(chance.randint(8, 25)) + self._styles.some(3)
            values["summary"] = " ".join(words)
        return values

    def _version(self) -> str:
        chance = self._chance
        major = min(int(chance.expovariate(0.5)) + 1, 30)
        text = f"{major}.{chance.randrange(10)}" if chance.random() < 0.4 else str(major)
        return chance.choice(("v", "v", "V", "", "rev")) + text

    def _spelled(self, parts: list[str]) -> str:
        """Parted as people part: by a character, or by capitals alone."""
        style = self._chance.random()
        if style < 0.35:
            return "_".join(parts)
        if style < 0.6:
            return "-".join(parts)
        if style < 0.8:
            return " ".join(part.capitalize() if part.islower() else part for part in parts)
        return "".join(part[0].upper() + part[1:] for part in parts)


def _invented(chance: random.Random, count: int) -> list[str]:
    """Different words of two to four syllables: names of people, of places, of nothing."""
    words: dict[str, None] = {}
    while len(words) < count:
        words["".join(chance.choices(SYLLABLES, k=chance.randint(2, 4)))] = None
    return list(words)
