"""Puts together the files of one folder that are parts of one model.

Parts of a split model (``x-00001-of-00003.gguf``) and their index, the projector beside its
language model, the external data of an ONNX file, and companions. What is left over is a model of
its own. Numbers alone (``epoch_00001``) make no parts: only a name that says of how many it is one.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelcellar import naming
from modelcellar.formats import inspect_model
from modelcellar.records import FileFormat, ModelType
from modelcellar.sources.companions import find_companions
from modelcellar.sources.source import NotTaken, Source, SourceFile, refused

__all__ = ["Part", "external_data", "group_files", "index_name"]

MAX_INDEX_BYTES = 32 << 20
SHOWN_MISSING = 5
_PART = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<total>[0-9]{5})(?P<ending>\.\w+)")


@dataclass(frozen=True, slots=True)
class Part:
    """A name that says which part of which set it is."""

    stem: str
    number: int
    total: int
    ending: str

    @classmethod
    def of(cls, name: str) -> "Part | None":
        """The part that a file of this name is, if it is one."""
        match = _PART.fullmatch(name)
        if match is None or not 1 <= int(match["number"]) <= int(match["total"]):
            return None
        return cls(match["stem"], int(match["number"]), int(match["total"]), match["ending"])

    @property
    def set_key(self) -> tuple[str, int, str]:
        """The same for all parts of one set."""
        return (self.stem, self.total, self.ending)

    def name_of(self, number: int) -> str:
        """The name of another part of the set."""
        return f"{self.stem}-{number:05}-of-{self.total:05}{self.ending}"


@dataclass(slots=True)
class _Unit:
    """Files that are one model, the first of them giving it its name."""

    name: str
    files: list[SourceFile]

    @property
    def is_single(self) -> bool:
        return len(self.files) == 1


def index_name(part: Part) -> str:
    """What transformers and diffusers call the list of all tensors of a split model."""
    return f"{part.stem}{part.ending}.index.json"


def group_files(
    models: Sequence[SourceFile], others: Sequence[SourceFile]
) -> tuple[list[Source | NotTaken], list[SourceFile]]:
    """The models of one folder, and the files that belong to none.

    Args:
        models: files that may be models, those that are refused among them.
        others: what else lies there.

    Raises:
        OSError: a file cannot be read.
    """
    by_name = {file.relative: file for file in others}
    wanted = {name for file in models for name in external_data(file)}
    apart = {file.relative: file for file in models if file.relative in wanted and _is_raw(file)}
    by_name |= apart
    units: list[_Unit] = []
    found: list[Source | NotTaken] = []
    for unit in _units([file for file in models if file.relative not in apart]):
        problem = _problem(unit, by_name)
        if problem is not None:
            found.append(problem)
            _take_index(unit, by_name)
        else:
            unit.files += [*_take_index(unit, by_name), *_take_external_data(unit, by_name)]
            units.append(unit)
    units = _join_projector(units)
    singles = [unit.files[0] for unit in units if unit.is_single]
    companions = find_companions(singles, list(by_name.values()))
    found += [_as_source(unit, companions.get(unit.files[0].relative, [])) for unit in units]
    taken = {file.relative for files in companions.values() for file in files}
    left = [file for name, file in by_name.items() if name not in taken]
    return sorted(found, key=lambda item: item.path), left


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


def _problem(unit: _Unit, others: Mapping[str, SourceFile]) -> NotTaken | None:
    """Why the unit cannot come in: a part is missing, or refused by itself."""
    first = unit.files[0]
    for file in unit.files:
        if (refusal := file.inspection.refusal) is not None:
            where = "" if unit.is_single else f"{naming.display(file.relative)}: "
            return refused(file.path, refusal.code, where + refusal.reason, refusal.remedy)
    part = Part.of(first.relative)
    if part is None:
        return None
    present = {file.relative for file in unit.files}
    wanted = {part.name_of(number) for number in range(1, min(part.total, 10_000) + 1)}
    index = others.get(index_name(part))
    missing = sorted((wanted | _indexed(index)) - present)
    if not missing:
        return None
    shown = ", ".join(naming.display(name) for name in missing[:SHOWN_MISSING])
    more = f" and {len(missing) - SHOWN_MISSING} more" if len(missing) > SHOWN_MISSING else ""
    return refused(
        first.path,
        "incomplete",
        f"{len(present)} of {len(wanted)} parts are here; missing: {shown}{more}",
        "Get the missing parts, put them beside these, and import again.",
    )


def _indexed(index: SourceFile | None) -> set[str]:
    """The names of parts that an index lists, if it can be read as one."""
    if index is None or index.stamp.size_bytes > MAX_INDEX_BYTES:
        return set()
    with index.path.open("rb") as file:
        data = file.read(MAX_INDEX_BYTES)
    try:
        tensors = json.loads(data)["weight_map"]
        return {name for name in tensors.values() if Part.of(name) is not None}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()


def _take_index(unit: _Unit, others: dict[str, SourceFile]) -> list[SourceFile]:
    part = Part.of(unit.files[0].relative)
    index = others.pop(index_name(part), None) if part is not None else None
    return [] if index is None else [index]


def _take_external_data(unit: _Unit, others: dict[str, SourceFile]) -> list[SourceFile]:
    """The files that an ONNX or TensorFlow.js file says its weights are in."""
    return [others.pop(name) for name in external_data(unit.files[0]) if name in others]


def external_data(file: SourceFile) -> list[str]:
    """The neighbours that hold the weights of a file, as it says itself."""
    names = file.inspection.facts.get("external_data", [])
    return [name for name in dict.fromkeys(names) if "/" not in name and name != file.relative]


def _is_raw(file: SourceFile) -> bool:
    """Whether the bytes say nothing by themselves, as those of external data do."""
    return file.inspection.format is FileFormat.UNKNOWN and file.inspection.refusal is None


def _join_projector(units: list[_Unit]) -> list[_Unit]:
    """A projector belongs to the language model beside it, if there is exactly one."""
    projectors = [unit for unit in units if _is_projector(unit.files[0])]
    texts = [unit for unit in units if _is_text_gguf(unit.files[0])]
    if not projectors or len(texts) != 1:
        return units
    (text,) = texts
    joined = _Unit(text.name, text.files + [file for unit in projectors for file in unit.files])
    apart = [unit for unit in units if unit is not text and unit not in projectors]
    return [*apart, joined]


def _is_projector(file: SourceFile) -> bool:
    kind = file.inspection.findings.get("kind")
    return kind is not None and kind.value == "mmproj"


def _is_text_gguf(file: SourceFile) -> bool:
    type_ = file.inspection.findings.get("type")
    is_text = type_ is not None and type_.value == ModelType.LLM
    return is_text and file.inspection.format is FileFormat.GGUF


def _as_source(unit: _Unit, companions: list[SourceFile]) -> Source:
    first = unit.files[0]
    files = (*unit.files, *companions)
    if unit.is_single:
        return Source(first.path, unit.name, files, first.inspection.findings)
    known = [file for file in unit.files if file.inspection.format is not FileFormat.UNKNOWN]
    weights = [file.path for file in known if not _is_projector(file)]
    others = {file.relative: file.path for file in unit.files if file not in known}
    return Source(first.path, unit.name, files, inspect_model(weights, others))
