"""Puts together the files of one folder that are parts of one model.

Parts of a split model and their index, the projector beside its language model, external data,
and companions. ONNX files that say their weights are in the same file become one model: neither is
whole without it, and taking it along with one would take it away from the other. What is left over
is a model of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelcellar import naming
from modelcellar.formats import inspect_model
from modelcellar.records import FileFormat
from modelcellar.sources.companions import find_companions
from modelcellar.sources.external import Needs, Trouble, external_data, needs_of, refuse
from modelcellar.sources.parts import Part, index_name, indexed, missing_parts
from modelcellar.sources.projectors import is_projector, is_text_model, pairs
from modelcellar.sources.source import NotTaken, Source, SourceFile, refused

__all__ = ["Group", "group_files"]


@dataclass(frozen=True, slots=True)
class Group:
    """What becomes of some files of a folder, and the names of those that are meant."""

    item: Source | NotTaken
    names: frozenset[str]


@dataclass(slots=True)
class _Unit:
    """Files that are one model, the first of them giving it its name."""

    name: str
    files: list[SourceFile]
    needs: list[tuple[SourceFile, Needs]] = field(default_factory=list)
    problem: NotTaken | None = None

    @property
    def key(self) -> str:
        return self.files[0].relative

    @property
    def wanted(self) -> set[str]:
        return {name for _, needs in self.needs for name in needs.files}

    def take(self, other: "_Unit") -> None:
        """Make the other one a part of this one."""
        self.files += other.files
        self.needs += other.needs


def group_files(
    models: Sequence[SourceFile],
    others: Sequence[SourceFile],
    *,
    exclude: Path | None = None,
    only: str | None = None,
) -> tuple[list[Group], list[SourceFile]]:
    """The models of one folder, and the files that belong to none.

    Args:
        models: files that may be models, those that are refused among them.
        others: what else lies there.
        exclude: the library, of which nothing is taken.
        only: the name of a file; only what becomes of it is told then.

    Raises:
        OSError: a file cannot be read.
    """
    needs = {file.relative: needs_of(file) for file in models}
    wanted = {name for needed in needs.values() for name in needed.files}
    # What another file needs, and is nothing by itself, is no model whatever its name ends in.
    apart = {file.relative for file in models if file.relative in wanted and _is_raw(file)}
    beside = {file.relative: file for file in (*models, *others)}
    left = {file.relative: file for file in others} | {name: beside[name] for name in apart}
    units = _units([file for file in models if file.relative not in apart])
    for unit in units:
        unit.needs = [(file, needs[file.relative]) for file in unit.files]
    units = _join_by_data(units, {name for name in wanted if name in left})
    for unit in units:
        unit.problem = _problem(unit, left)
        if unit.problem is None:
            _complete(unit, beside, exclude)
        if (index := _index(unit, left)) is not None:
            unit.files.append(index)
        for file in unit.files:
            left.pop(file.relative, None)
    units = _join_projectors(units)
    sound = {unit.key: unit.files for unit in units if unit.problem is None}
    companions = find_companions(sound, list(left.values()))
    for file in (file for files in companions.values() for file in files):
        del left[file.relative]
    groups = [
        _group(unit, companions.get(unit.key, []))
        for unit in units
        if only is None or any(file.relative == only for file in unit.files)
    ]
    return sorted(groups, key=lambda group: group.item.path), list(left.values())


def _units(models: Iterable[SourceFile]) -> list[_Unit]:
    units: list[_Unit] = []
    sets: dict[tuple[str, int, str], list[tuple[int, SourceFile]]] = {}
    for file in models:
        part = Part.of(file.relative)
        if part is None:
            units.append(_Unit(Path(file.relative).stem, [file]))
        else:
            sets.setdefault(part.set_key, []).append((part.number, file))
    for (stem, _, _), parts in sets.items():
        units.append(_Unit(stem, [file for _, file in sorted(parts, key=lambda part: part[0])]))
    return units


def _join_by_data(units: Sequence[_Unit], data: set[str]) -> list[_Unit]:
    """Units that need the same file of ``data`` are one; the first by name gives it its name."""
    joined: dict[str, _Unit] = {}
    owners: dict[str, _Unit] = {}
    for unit in sorted(units, key=lambda unit: unit.key):
        needed = unit.wanted & data
        sharing = sorted({owners[name].key for name in needed if name in owners})
        first = joined[sharing[0]] if sharing else unit
        for key in sharing[1:]:
            first.take(joined.pop(key))
        if first is not unit:
            first.take(unit)
        joined[first.key] = first
        owners |= dict.fromkeys(needed, first)
        for key in sharing[1:]:
            owners |= {name: first for name, unit in owners.items() if unit.key == key}
    return list(joined.values())


def _problem(unit: _Unit, left: Mapping[str, SourceFile]) -> NotTaken | None:
    """Why the unit cannot come in: a part is missing, or refused by itself."""
    first = unit.files[0]
    for file in unit.files:
        if (refusal := file.inspection.refusal) is not None:
            where = "" if len(unit.files) == 1 else f"{naming.display(file.relative)}: "
            return refused(file.path, refusal.code, where + refusal.reason, refusal.remedy)
    part = Part.of(first.relative)
    if part is None:
        return None
    present = {file.relative for file in unit.files}
    reason = missing_parts(part, present, indexed(left.get(index_name(part))))
    if reason is None:
        return None
    remedy = "Get the missing parts, put them beside these, and import again."
    return refused(first.path, "incomplete", reason, remedy)


def _complete(unit: _Unit, beside: Mapping[str, SourceFile], exclude: Path | None) -> None:
    """Adds the data that the unit's files need, or says why they cannot be had."""
    data: dict[str, SourceFile] = {}
    for file, needs in unit.needs:
        found = external_data(needs, file.path.parent, beside, exclude)
        if isinstance(found, Trouble):
            unit.problem = refuse(unit.files[0].path, file, found)
            return
        data |= {one.relative: one for one in found}
    unit.files += data.values()


def _index(unit: _Unit, left: Mapping[str, SourceFile]) -> SourceFile | None:
    part = Part.of(unit.key)
    return None if part is None else left.get(index_name(part))


def _is_raw(file: SourceFile) -> bool:
    """Whether the bytes say nothing by themselves, as those of external data do."""
    return file.inspection.format is FileFormat.UNKNOWN or file.inspection.refusal is not None


def _join_projectors(units: Sequence[_Unit]) -> list[_Unit]:
    sound = {unit.key: unit for unit in units if unit.problem is None}
    texts = {key: unit.files[0] for key, unit in sound.items() if is_text_model(unit.files[0])}
    projectors = {key: unit.files[0] for key, unit in sound.items() if is_projector(unit.files[0])}
    joined = pairs(texts, projectors)
    for text, projector in joined.items():
        sound[text].files += sound[projector].files
    gone = set(joined.values())
    return [unit for unit in units if unit.key not in gone]


def _group(unit: _Unit, companions: Sequence[SourceFile]) -> Group:
    names = frozenset(file.relative for file in (*unit.files, *companions))
    if unit.problem is not None:
        return Group(unit.problem, names)
    first, files = unit.files[0], (*unit.files, *companions)
    if len(unit.files) == 1:
        return Group(Source(first.path, unit.name, files, first.inspection.findings), names)
    known = [file for file in unit.files if file.inspection.format is not FileFormat.UNKNOWN]
    weights = [file.path for file in known if not is_projector(file) or file is first]
    names_known = {file.relative for file in known}
    rest = {file.relative: file.path for file in unit.files if file.relative not in names_known}
    return Group(Source(first.path, unit.name, files, inspect_model(weights, rest)), names)
