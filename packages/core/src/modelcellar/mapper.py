"""Plans what should change in the folders of applications; :func:`apply_plan` then does it.

Wishes come from the layouts, what is ours from the ledger, what is there from the disk. The plan
that is shown is the plan that is done.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from modelcellar.failures import failure
from modelcellar.link_records import Action, ActionKind, App, Link, Plan, Unplaced, Wish
from modelcellar.links.applying import apply_plan
from modelcellar.links.judging import OFFLINE, Judge, SourceFile, is_offline
from modelcellar.links.keeper import removal_order
from modelcellar.links.layouts import wishes_of
from modelcellar.links.needed import Needed
from modelcellar.links.place import Place
from modelcellar.links.preset_values import Preset
from modelcellar.links.shadows import Shadows
from modelcellar.records import ModelRecord

__all__ = ["AppModels", "apply_plan", "plan_links"]


@dataclass(frozen=True, slots=True)
class AppModels:
    """An application, its preset, and all models of the library."""

    app: App
    preset: Preset
    models: Sequence[ModelRecord]


def plan_links(
    wanted: Sequence[AppModels],
    rows: Mapping[Path, Link],
    place: Place,
    *,
    model_ids: Collection[str] | None = None,
) -> Plan:
    """What has to be done so that every application has what it should have. Changes nothing.

    Args:
        wanted: the applications to plan for. Each is given all models of the library, because what
            one is called may depend on others.
        rows: the ledger's rows of all applications, by target; see :meth:`LinkKeeper.rows`.
        place: where the library's files are.
        model_ids: plan only for these models, and leave the links of all others alone.

    Returns:
        First what goes away, then what is made, application by application.
    """
    actions: list[Action] = []
    claims: dict[tuple[str, str], Link] = {}
    for one in wanted:
        own = [row for row in rows.values() if row.app == one.app.name]
        wishes: list[Wish] = []
        unplaced: list[Action] = []
        for wish in wishes_of(one.app, one.preset, _of_app(one, place), place):
            if model_ids is not None and wish.model_id not in model_ids:
                continue
            if isinstance(wish, Wish):
                wishes.append(wish)
            else:
                unplaced.append(_unplaced(one.app, wish))
        if model_ids is not None:
            own = [row for row in own if row.model_id in model_ids]
        actions += unplaced
        shadows = Shadows(one.app, one.preset)
        needed = Needed(one.app.root, one.preset.layout, lambda: rows, place.root)
        judging = partial(
            Judge, one.app, place.root, rows, claims=claims, shadows=shadows, needed=needed
        )
        actions += _app_actions(one, wishes, own, judging, place)
    return Plan(tuple(actions))


def _of_app(one: AppModels, place: Place) -> Sequence[ModelRecord]:
    if not one.app.only.strip():
        return one.models
    found = frozenset(place.find(one.app.only))
    return [model for model in one.models if model.id in found]


def _app_actions(
    one: AppModels,
    wishes: Sequence[Wish],
    own: Sequence[Link],
    judging: Callable[..., Judge],
    place: Place,
) -> Iterator[Action]:
    app = one.app
    if is_offline(app, own):
        for wish in wishes:
            yield _skipped(app, wish, OFFLINE)
        return
    targets = {wish.target for wish in wishes}
    leaving = removal_order([row for row in own if row.target not in targets])
    judge = judging(leaving=leaving)
    for row in leaving:
        try:
            yield judge.unwished(row)
        except OSError as error:
            yield Action(
                ActionKind.SKIP,
                app.name,
                row.model_id,
                row.target,
                link=row.kind,
                reason=failure(error).message,
            )
    files = _Files(one.models, place)
    for wish in sorted(wishes, key=lambda wish: wish.order):
        try:
            yield judge.wished(wish, files.of(wish))
        except OSError as error:
            yield _skipped(app, wish, failure(error).message)


class _Files:
    """The library's files behind wishes."""

    def __init__(self, models: Sequence[ModelRecord], place: Place) -> None:
        self._models = {model.id: model for model in models}
        folder = place.content_path("id")
        self._home = folder.parent.relative_to(place.root).as_posix()
        self._last: tuple[str, dict[str, SourceFile]] = ("", {})

    def of(self, wish: Wish) -> SourceFile:
        if wish.content is not None:
            return SourceFile("", hashlib.sha256(wish.content).hexdigest(), len(wish.content))
        if self._last[0] != wish.model_id:
            folder = f"{self._home}/{wish.model_id}"
            self._last = (
                wish.model_id,
                {
                    file.path: SourceFile(
                        f"{folder}/{file.path}",
                        file.digests.sha256 if file.digests else "",
                        file.size_bytes,
                    )
                    for file in self._models[wish.model_id].files
                },
            )
        return self._last[1][wish.path]


def _unplaced(app: App, found: Unplaced) -> Action:
    return Action(ActionKind.SKIP, app.name, found.model_id, app.root, reason=found.reason)


def _skipped(app: App, wish: Wish, reason: str) -> Action:
    return Action(ActionKind.SKIP, app.name, wish.model_id, wish.target, reason=reason, wish=wish)
