"""The presets there are: those that come with modelcellar, and those of the user.

A user's preset is a file of the same form in the folder ``presets`` beside ``config.toml``. It may
begin with another (``extends``) and change of it what it says; the same name covers a preset that
comes with modelcellar. What is more specific wins, whoever says it, and what is said later wins
among equals, so that a user's file changes or takes away (folder "") what it names and no more.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cache
from importlib import resources
from importlib.abc import Traversable
from pathlib import Path

from modelcellar.config import default_config_file
from modelcellar.errors import UsageError
from modelcellar.link_records import LinkKind
from modelcellar.links.preset_files import read_preset
from modelcellar.links.preset_values import Preset, RootRule, Rule
from modelcellar.records import JsonValue

__all__ = ["Preset", "all_presets", "load_preset", "user_presets_folder"]

ENDING = ".toml"
_SHARING = (LinkKind.HARDLINK, LinkKind.SYMLINK)
_Values = Mapping[str, JsonValue]


def user_presets_folder() -> Path:
    """Where the user's own presets are."""
    return default_config_file().parent / "presets"


def load_preset(name: str, *, user_folder: Path | None = None) -> Preset:
    """One preset by its name, which is that of its file.

    Args:
        name: such as ``comfyui``.
        user_folder: where the user's own presets are, if not in the usual place.

    Raises:
        UsageError: there is none of that name, or a file it is made of has a mistake.
        OSError: a file cannot be read.
    """
    return _Presets(user_folder or user_presets_folder()).load(name)


def all_presets(*, user_folder: Path | None = None) -> tuple[Preset, ...]:
    """All presets, ordered by name.

    Raises:
        UsageError: a file has a mistake.
        OSError: a file cannot be read.
    """
    presets = _Presets(user_folder or user_presets_folder())
    return tuple(presets.load(name) for name in presets.names())


class _Presets:
    def __init__(self, user_folder: Path) -> None:
        self._own = _files_in(user_folder)

    def names(self) -> list[str]:
        return sorted({*self._own, *_shipped()})

    def load(self, name: str) -> Preset:
        preset = Preset(name, "")
        for values in self._lineage(name):
            preset = _over(preset, values)
        unfit = [kind for kind in preset.links if kind in _SHARING]
        if preset.rewrites and unfit:
            raise UsageError(
                f"preset {name}: links: no {unfit[0]} where rewrites is true",
                "What the application writes would end in the library. Allow reflink only.",
            )
        return preset if preset.title else replace(preset, title=name)

    def _lineage(self, name: str) -> Sequence[_Values]:
        """The values of a preset and of all that it extends, the last ancestor first."""
        lineage: list[_Values] = []
        seen: list[tuple[str, bool]] = []
        is_own = name in self._own
        while True:
            if (name, is_own) in seen:
                circle = " -> ".join(each for each, _ in (*seen, (name, is_own)))
                raise UsageError(f"presets extend each other: {circle}", "Break the circle.")
            seen.append((name, is_own))
            values = self._read(name, is_own=is_own)
            lineage.insert(0, values)
            parent = values.get("extends")
            if parent is None:
                return lineage
            # Of its own name it extends the one that it covers.
            name, is_own = parent, parent in self._own and not (is_own and parent == name)

    def _read(self, name: str, *, is_own: bool) -> _Values:
        if is_own:
            path = self._own[name]
            return read_preset(path.read_bytes(), str(path))
        if name not in _shipped():
            known = self.names()
            near = difflib.get_close_matches(name, known, 1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"there is no preset {name!r}", f"{hint}There are: {', '.join(known)}."
            )
        return _read_shipped(name)


def _files_in(folder: Path) -> dict[str, Path]:
    try:
        return {path.stem: path for path in folder.iterdir() if path.suffix == ENDING}
    except (FileNotFoundError, NotADirectoryError):
        return {}


@cache
def _shipped() -> Mapping[str, Traversable]:
    files = resources.files("modelcellar").joinpath("presets").iterdir()
    return {file.name.removesuffix(ENDING): file for file in files if file.name.endswith(ENDING)}


@cache
def _read_shipped(name: str) -> _Values:
    return read_preset(_shipped()[name].read_bytes(), f"presets/{name}{ENDING}")


def _over(preset: Preset, values: _Values) -> Preset:
    """``preset`` with ``values`` laid over it: tables by key, rules added, all else replaced."""
    changes: dict[str, JsonValue] = {}
    for each in fields(Preset):
        if each.name not in values:
            continue
        value, old = values[each.name], getattr(preset, each.name)
        if isinstance(value, Mapping):
            value = {**old, **value}
        elif each.name == "rules":
            value = tuple(_with_rules(old, value))
        elif isinstance(value, RootRule):
            value = RootRule(
                value.hint or old.hint, value.marks or old.marks, value.places or old.places
            )
        changes[each.name] = value
    return replace(preset, **changes)


def _with_rules(old: Sequence[Rule], new: Sequence[Rule]) -> Iterator[Rule]:
    """Both, but of rules with the same conditions only the last."""
    last = {_conditions(rule): rule for rule in (*old, *new)}
    for rule in (*old, *new):
        if last[_conditions(rule)] is rule:
            yield rule


def _conditions(rule: Rule) -> tuple[object, ...]:
    return (" ".join(rule.when.split()), rule.kind, frozenset(rule.shapes))
