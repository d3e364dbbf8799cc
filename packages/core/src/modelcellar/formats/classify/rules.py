"""Rules that tell from tensor names and metadata what a part of a model is.

They are data: every ``rules/*.toml`` holds ``[[rule]]`` tables with

``name``      unique; tests and evidence go by it
``part``      what it recognises (``backbone``, ``vae``, ``text_encoder``, ``lora``, ...); of the
              rules for one part the first that holds is taken, so the specific come first
``under``     prefixes of tensor names to try, each on its own; by default only ``""``
``needs``     patterns that must all be there (see :class:`~.names.Pattern`)
``any``       patterns of which one must be there
``lacks``     patterns of which none may be there
``metadata``  key -> regular expression that must be found in its value
``gives``     what it says: field -> value (``family``, ``kind``, ...)
``sure``      ``certain``, ``likely`` or ``guess``
``says``      the evidence in words for people
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from modelcellar.formats.classify.names import Pattern, TensorNames, as_key
from modelcellar.records import Confidence, Finding, JsonValue

__all__ = ["Match", "Rule", "load_rules", "match_rules"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as its file spells it."""

    name: str
    part: str
    under: tuple[str, ...]
    needs: tuple[Pattern, ...]
    any: tuple[Pattern, ...]
    lacks: tuple[Pattern, ...]
    metadata: Mapping[str, str]
    gives: Mapping[str, JsonValue]
    sure: Confidence
    says: str
    gate: frozenset[str] | None
    """Names of which one must be there if the rule is to hold; ``None``: that cannot be told."""

    def prefix_in(self, names: TensorNames, metadata: Mapping[str, object]) -> str | None:
        """The prefix under which the rule holds; ``None`` where it does not."""
        for key, wanted in self.metadata.items():
            value = metadata.get(key)
            if not isinstance(value, str) or not re.search(wanted, value):
                return None
        return next((prefix for prefix in self.under if self._holds(names, prefix)), None)

    def _holds(self, names: TensorNames, prefix: str) -> bool:
        # Whole names first: they cost nothing, and one with ``*`` is compared with every tensor.
        if self.any and not any(names.has(pattern, prefix) for pattern in self.any):
            return False
        for pattern in self.needs:
            if not names.has(pattern, prefix):
                return False
        return not any(names.has(pattern, prefix) for pattern in self.lacks)


@dataclass(frozen=True, slots=True)
class Match:
    """A rule that holds, and the prefix of the tensor names it holds under."""

    rule: Rule
    prefix: str

    @property
    def evidence(self) -> str:
        """What the rule goes by, and its name for who wants to look it up."""
        return f"{self.rule.says} [{self.rule.name}]"

    def findings(self) -> dict[str, Finding]:
        """What the rule says, with its evidence."""
        return {
            name: Finding(value, self.evidence, self.rule.sure)
            for name, value in self.rule.gives.items()
        }


@cache
def load_rules() -> tuple[Rule, ...]:
    """All rules in the order of their files' names, then of the files."""
    folder = resources.files("modelcellar.formats.classify") / "rules"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=str)
    tables = (table for file in files for table in tomllib.loads(file.read_text())["rule"])
    return tuple(_rule(table) for table in tables)


def match_rules(
    names: TensorNames, metadata: Mapping[str, object], rules: Iterable[Rule] | None = None
) -> dict[str, Match]:
    """For each part the first rule that holds."""
    found: dict[str, Match] = {}
    for rule in _promising(names) if rules is None else rules:
        if rule.part in found:
            continue
        prefix = rule.prefix_in(names, metadata)
        if prefix is not None:
            found[rule.part] = Match(rule, prefix)
    return found


def _promising(names: TensorNames) -> list[Rule]:
    """The rules that may hold, in their order: of some 300 a handful."""
    by_key, always = _gates()
    places = set(always)
    for key in names.keys_among(by_key):
        places.update(by_key[key])
    rules = load_rules()
    return [rules[place] for place in sorted(places)]


@cache
def _gates() -> tuple[Mapping[str, Sequence[int]], Sequence[int]]:
    """Which rules each name lets in, by their places, and those that need no name."""
    by_key: dict[str, list[int]] = {}
    always = []
    for place, rule in enumerate(load_rules()):
        for key in rule.gate or ():
            by_key.setdefault(key, []).append(place)
        if rule.gate is None:
            always.append(place)
    return by_key, always


def _rule(table: Mapping[str, JsonValue]) -> Rule:
    if any(set("*#") & set(prefix) for prefix in table.get("under", ())):
        raise ValueError(f"rule {table.get('name')!r}: a prefix stands for itself only")

    def patterns(key: str) -> tuple[Pattern, ...]:
        return tuple(Pattern.parse(text) for text in table.get(key, ()))

    unknown = set(table) - {
        *("name", "part", "under", "needs", "any", "lacks", "metadata", "gives", "sure", "says")
    }
    if unknown:
        raise ValueError(f"rule {table.get('name')!r}: unknown {sorted(unknown)}")
    return Rule(
        name=table["name"],
        part=table["part"],
        under=tuple(table.get("under", [""])),
        needs=patterns("needs"),
        any=patterns("any"),
        lacks=patterns("lacks"),
        metadata=table.get("metadata", {}),
        gives=table["gives"],
        sure=Confidence(table["sure"]),
        says=table["says"],
        gate=_gate(table.get("under", [""]), patterns("any") or patterns("needs")[:1]),
    )


def _gate(under: Iterable[str], patterns: Sequence[Pattern]) -> frozenset[str] | None:
    if not patterns or any("*" in pattern.name for pattern in patterns):
        return None
    return frozenset(as_key(prefix + pattern.name) for prefix in under for pattern in patterns)
