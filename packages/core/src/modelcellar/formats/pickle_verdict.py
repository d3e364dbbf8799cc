"""What is known about code that loading a pickle would run, from the names it imports.

Default-deny: only what the list ``pickle_imports.toml`` allows is called data. Lists of forbidden
names alone were got round again and again (CVE-2025-1716 and many after it).
"""

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from modelcellar.formats.facts import clean_text
from modelcellar.formats.pickles import Global, PickleWalk
from modelcellar.records import NOT_CHECKED, Security

__all__ = ["VERDICTS", "verdict_on", "worst"]

VERDICTS = (
    *("no_pickle", "tensors_only", "known_classes"),
    *("unknown_imports", "not_checked", "unreadable", "dangerous_imports"),
)
"""From what says least about code that runs on loading to what says most."""
MAX_DETAILS = 20
SCRIPT_MODULE = "__torch__"
"""Where TorchScript keeps the classes of its own code, which its interpreter runs, not Python."""


_CLASS = re.compile(r"[A-Z][A-Za-z0-9_]*")
"""Of the names in an allowed module only these: a module has others that it imported itself, and a
dotted name or one with underscores leads from any class to all that Python can do."""


@dataclass(frozen=True, slots=True)
class _Names:
    names: frozenset[str]
    modules: frozenset[str]

    def allows(self, found: Global) -> bool:
        """Whether the name is listed, or is that of a class in a listed module."""
        is_class = found.module in self.modules and _CLASS.fullmatch(found.name) is not None
        return is_class or str(found) in self.names

    def forbids(self, found: Global) -> bool:
        """Whether the name, its module or one above it is listed."""
        # A dotted name reaches into what its first part is an attribute of.
        parts = str(found).split(".")
        return str(found) in self.names or any(
            ".".join(parts[:end]) in self.modules for end in range(1, len(parts))
        )


@cache
def _lists() -> dict[str, _Names]:
    data = (resources.files("modelcellar.formats") / "pickle_imports.toml").read_text()
    return {
        key: _Names(frozenset(table.get("names", ())), frozenset(table.get("modules", ())))
        for key, table in tomllib.loads(data).items()
    }


def verdict_on(walks: Sequence[PickleWalk], problems: Iterable[str] = ()) -> Security:
    """The verdict on all pickles of a file together, and on what kept them from being read."""
    lists = _lists()
    imports = sorted({found for one in walks for found in one.imports}, key=str)
    trouble = [*problems, *(text for one in walks for text in one.problems)]
    dangerous = [found for found in imports if lists["dangerous"].forbids(found)]
    unknown = [found for found in imports if _is_unknown(found, lists)]
    known = [found for found in imports if not lists["tensors"].allows(found)]
    if dangerous:
        return _security("dangerous_imports", [f"imports {found}" for found in dangerous])
    if trouble:
        return _security("unreadable", list(dict.fromkeys(trouble)))
    if unknown:
        return _security("unknown_imports", [f"imports {found}" for found in unknown])
    if known:
        lines = [f"imports {found}" for found in known if not _is_script(found)]
        return _security("known_classes", lines)
    return Security("tensors_only")


def worst(found: Iterable[Security]) -> Security:
    """The one that says most about code; the first of several."""
    return max(found, key=lambda one: VERDICTS.index(one.verdict), default=NOT_CHECKED)


def _is_unknown(found: Global, lists: dict[str, _Names]) -> bool:
    listed = lists["tensors"].allows(found) or lists["known"].allows(found)
    return not listed and not _is_script(found)


def _is_script(found: Global) -> bool:
    return found.module.partition(".")[0] == SCRIPT_MODULE


def _security(verdict: str, lines: Sequence[str]) -> Security:
    shown = [clean_text(line, 200) for line in lines[:MAX_DETAILS]]
    if len(lines) > MAX_DETAILS:
        shown.append(f"and {len(lines) - MAX_DETAILS} more")
    return Security(verdict, tuple(shown))
