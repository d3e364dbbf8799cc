"""Which folder of an application a model goes to: of all rules that fit, the most specific.

Every condition counts one: each word and each ``field:value`` of a query, the kind, the shapes. A
folder by model type is a rule with one condition, that for any type has none. Among equals the
later one wins, and what an app says itself about a model type wins over all of its preset.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modelcellar.errors import UsageError
from modelcellar.link_records import App
from modelcellar.links.place import Place
from modelcellar.links.preset_files import TYPES, check_folder, tidy_folder
from modelcellar.links.preset_values import ANY_TYPE, Preset, Rule, Shape, Unit
from modelcellar.records import ModelRecord, ModelType
from modelcellar.search.parser import parse_query

__all__ = ["Rules", "Spot", "weight_of"]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a model goes, what it becomes there, and by which extensions it is seen."""

    folder: str
    unit: Unit
    extensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Candidate:
    rule: Rule
    ids: frozenset[str] | None
    """Models that its query fits; None for any."""
    model_type: str = ""

    def fits(self, model: ModelRecord, shape: Shape) -> bool:
        rule = self.rule
        if rule.shapes and shape not in rule.shapes:
            return False
        if self.ids is not None and model.id not in self.ids:
            return False
        if not rule.kind:
            return True
        found = model.findings.get("kind")
        return found is not None and str(found.value).lower() == rule.kind.lower()


class Rules:
    """The rules of one app, asked model by model; ``folders`` are those that it names itself.

    Raises:
        UsageError: a folder that the app itself names is none inside its root.
    """

    def __init__(self, app: App, preset: Preset, place: Place) -> None:
        self.folders = {key: tidy_folder(folder) for key, folder in app.folders.items()}
        _check(app.name, self.folders)
        self._preset = preset
        found = [*_by_type(preset), *_by_query(preset, place)]
        # A stable sort: the later of equals comes first when the whole is turned round.
        weighed = sorted(found, key=lambda pair: pair[0])
        self._by_type = {
            each: [one for _, one in reversed(weighed) if one.model_type in ("", ANY_TYPE, each)]
            for each in ModelType
        }

    def spot(self, model: ModelRecord, shape: Shape) -> Spot | str:
        """Where ``model`` goes, or in words why nowhere."""
        preset, folders = self._preset, self.folders
        best = next((one for one in self._by_type[model.type] if one.fits(model, shape)), None)
        folder = best.rule.folder if best is not None else None
        folder = folders.get(model.type.value, folders.get(ANY_TYPE, folder))
        if folder is None:
            return f"{preset.title} has no folder for the type {model.type.value}"
        if not folder:
            return f"models of the type {model.type.value} are left out here by a rule"
        rule = best.rule if best is not None else Rule(folder)
        if shape not in (rule.shapes or preset.shapes):
            return f"{preset.title} cannot load a model of several files there"
        return Spot(folder, self._unit(rule, model), self._extensions(rule, model))

    def _unit(self, rule: Rule, model: ModelRecord) -> Unit:
        units = self._preset.units
        if rule.unit is not None:
            return rule.unit
        return units.get(model.type.value, units.get(ANY_TYPE, Unit.FILE))

    def _extensions(self, rule: Rule, model: ModelRecord) -> tuple[str, ...]:
        if rule.extensions is not None:
            return rule.extensions
        return self._preset.takes.get(model.type.value, self._preset.extensions)


def weight_of(rule: Rule) -> int:
    """How many conditions a rule has."""
    (clause,) = parse_query(rule.when).alternatives
    return len(clause.items) + bool(rule.kind) + bool(rule.shapes)


def _check(name: str, folders: Mapping[str, str]) -> None:
    for model_type, folder in folders.items():
        if model_type not in TYPES:
            raise UsageError(
                f"{name}: there is no model type {model_type!r}",
                f"There are: {', '.join(TYPES)}.",
            )
        problem = check_folder(folder)
        if problem is not None:
            raise UsageError(
                f"{name}: the folder for {model_type}: {problem}",
                "Give a folder inside that of the application, or nothing for none.",
            )


def _by_type(preset: Preset) -> Iterator[tuple[int, _Candidate]]:
    for model_type, folder in preset.folders.items():
        yield int(model_type != ANY_TYPE), _Candidate(Rule(folder), None, model_type)


def _by_query(preset: Preset, place: Place) -> Iterator[tuple[int, _Candidate]]:
    for rule in preset.rules:
        ids = frozenset(place.find(rule.when)) if rule.when else None
        yield weight_of(rule), _Candidate(rule, ids)
