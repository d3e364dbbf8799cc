"""Tensor names as rules ask for them: whole, or with their layer numbers folded into ``#``."""

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache

from modelcellar.formats.reading import AnyTensor

__all__ = ["Pattern", "TensorNames", "as_key", "fold"]

_NUMBER = re.compile(r"[0-9](?<![^._/\n][0-9])[0-9]*+(?![^._/\n])")
"""A number that stands alone between dots, underscores or slashes: ``blocks.12.attn2``.

It begins with its first digit, and what must not be before that is looked at then: the search for
one of ten characters takes half the time of a look at each place.
"""

ANY = -1
MAX_KINDS = 16_384
"""Different names and shapes once numbers are folded; real models have some hundred."""


def fold(name: str) -> str:
    """``down_blocks.0.attn2_1.weight`` -> ``down_blocks.#.attn2_#.weight``."""
    return _NUMBER.sub("#", name)


@lru_cache(maxsize=4096)
def _fold_pattern(name: str) -> str:
    """One number left to chance makes all of them: layers are folded together."""
    return fold(name)


def as_key(name: str) -> str:
    """The name of a pattern without ``*`` as it stands among those of tensors."""
    return _fold_pattern(name) if "#" in name else name


@lru_cache(maxsize=1024)
def _wild_pattern(name: str) -> re.Pattern[str]:
    return re.compile(translate(_fold_pattern(name)))


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of a rule: a name, and perhaps the shape it must have.

    Written ``name`` or ``name [640, *]``. The name is exact; where it has a ``#``, that and every
    other number standing alone is any number; ``*`` stands for any text. In a shape ``*`` is any
    size and ``320|640`` one of several.
    """

    name: str
    shape: tuple[frozenset[int], ...] | None
    is_whole: bool = field(init=False)
    """Whether the name stands for one tensor only."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_whole", not set("*#") & set(self.name))

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """The pattern that ``text`` spells; ``ValueError`` if it spells none."""
        name, bracket, sizes = text.partition(" [")
        if not bracket:
            return cls(name, None)
        if not sizes.endswith("]"):
            raise ValueError(f"no shape: {text!r}")
        return cls(name, tuple(_sizes(size) for size in sizes[:-1].split(",") if size.strip()))

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape may be meant."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            ANY in wanted or size in wanted for size, wanted in zip(shape, self.shape, strict=True)
        )


def _sizes(text: str) -> frozenset[int]:
    return frozenset(ANY if one.strip() == "*" else int(one) for one in text.split("|"))


class TensorNames:
    """The tensors of one model, to be asked for patterns. Asking costs nothing per tensor."""

    def __init__(self, tensors: Iterable[AnyTensor]) -> None:
        self.exact = {tensor.name: tensor.shape for tensor in tensors}
        self.folded: dict[str, set[tuple[int, ...]]] = {}
        # All names at once: a call for each would take half as long again. A name with a line
        # break would shift the others, so those are told apart.
        joined = fold("\n".join(self.exact)).split("\n")
        if len(joined) != len(self.exact):
            joined = [fold(name) for name in self.exact]
        kinds = set(zip(joined, self.exact.values(), strict=True))
        self.has_too_many_kinds = len(kinds) > MAX_KINDS
        for name, shape in () if self.has_too_many_kinds else kinds:
            self.folded.setdefault(name, set()).add(shape)

    def __len__(self) -> int:
        return len(self.exact)

    def add(self, name: str, shapes: Set[tuple[int, ...]]) -> None:
        """One more name with all the shapes it comes in, as layers folded together have many."""
        self.exact.update((name, shape) for shape in shapes)
        self.folded.setdefault(fold(name), set()).update(shapes)

    def shapes(self, name: str) -> set[tuple[int, ...]]:
        """The shapes that tensors of this name have; a name with ``*`` stands for many."""
        if "*" in name:
            fits = _wild_pattern(name).match
            return set().union(*(shapes for key, shapes in self.folded.items() if fits(key)))
        if "#" in name:
            return self.folded.get(_fold_pattern(name), set())
        shape = self.exact.get(name)
        return set() if shape is None else {shape}

    def keys_among(self, keys: Mapping[str, object]) -> set[str]:
        """Which of these names, as :func:`as_key` writes them, tensors have."""
        return (keys.keys() & self.exact.keys()) | (keys.keys() & self.folded.keys())

    def has(self, pattern: Pattern, under: str = "") -> bool:
        """Whether a tensor fits, its name taken to begin with ``under``."""
        if pattern.is_whole:
            # Asked dozens of times for each file, mostly in vain.
            shape = self.exact.get(under + pattern.name)
            return shape is not None and (pattern.shape is None or pattern.fits(shape))
        shapes = self.shapes(under + pattern.name)
        return bool(shapes) and (pattern.shape is None or any(map(pattern.fits, shapes)))
