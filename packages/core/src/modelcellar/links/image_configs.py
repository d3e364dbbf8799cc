"""Layouts ``comfyui_yaml`` and ``fooocus_config``: image programs that are told of other folders.

Nothing is linked: the library's own folders are named, which works across file systems. Fooocus has
one file for all settings, which is the user's, so the plan says what to put into it.
"""

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence

from modelcellar import naming
from modelcellar.link_records import App, Unplaced, Wish
from modelcellar.links.names import Claim, Names
from modelcellar.links.place import Place
from modelcellar.links.preset_values import Preset, Unit
from modelcellar.links.rules import Rules, Spot
from modelcellar.links.shapes import digest_of, main_files, shape_of
from modelcellar.records import ModelRecord

__all__ = ["comfyui_yaml", "fooocus_config"]

SECTION = "modelcellar"
CONFIG_FILE = "extra_model_paths.yaml"
_FOOOCUS_LISTS = ("path_checkpoints", "path_loras")
"""``modules/config.py`` of Fooocus takes a list for these two, and one folder for the others."""


def comfyui_yaml(
    app: App, preset: Preset, models: Sequence[ModelRecord], place: Place
) -> Iterator[Wish | Unplaced]:
    """One section of ``extra_model_paths.yaml`` (ComfyUI, ``utils/extra_config.py``).

    Of two models with a file of one name ComfyUI would find only the first, so the second is left
    out.
    """
    names = Names(preset, ())
    folders: dict[str, list[str]] = {}
    for model, spot in _spots(app, preset, models, place):
        reason = spot if isinstance(spot, str) else _unseen(model, spot, names)
        if reason is not None or isinstance(spot, str):
            yield Unplaced(model.id, reason or "")
        else:
            folders.setdefault(posixpath.basename(spot.folder), []).append(model.id)
    base = place.content_path("")
    if folders:
        target = app.root / str(preset.options.get("file", CONFIG_FILE))
        content = _section(str(base), folders).encode("utf-8", "surrogateescape")
        # Of no one model: each sync writes it anew.
        yield Wish(target, "", content=content)


def fooocus_config(
    app: App, preset: Preset, models: Sequence[ModelRecord], place: Place
) -> Iterator[Wish | Unplaced]:
    """What the user can put into Fooocus' ``config.txt``; nothing is written."""
    file = app.root / str(preset.options.get("file", "config.txt"))
    for model, spot in _spots(app, preset, models, place):
        if isinstance(spot, str):
            yield Unplaced(model.id, spot)
            continue
        key = f"path_{posixpath.basename(spot.folder)}"
        folder = json.dumps(str(place.content_path(model.id)))
        if key in _FOOOCUS_LISTS:
            reason = f"add {folder} to the list {key} in {file}"
        else:
            reason = f"{key} in {file} takes one folder only: use the preset fooocus, or {folder}"
        yield Unplaced(model.id, reason)


def _spots(
    app: App, preset: Preset, models: Sequence[ModelRecord], place: Place
) -> Iterator[tuple[ModelRecord, Spot | str]]:
    """Where each model goes, the oldest first."""
    rules = Rules(app, preset, place)
    for model in sorted(models, key=lambda model: (model.added_at, model.id)):
        spot = rules.spot(model, shape_of(model))
        if not isinstance(spot, str) and spot.unit is Unit.FOLDER:
            spot = f"a model that is a folder cannot be named in a list of folders: {spot.folder}"
        yield model, spot


def _unseen(model: ModelRecord, spot: Spot, names: Names) -> str | None:
    """Why the application would not find a model in its folder of the library."""
    files = main_files(model)
    wrong = next((f.path for f in files if not f.path.lower().endswith(spot.extensions)), None)
    if spot.extensions and wrong is not None:
        return f"{naming.display(wrong)} does not end in {', '.join(spot.extensions)}"
    claims = [Claim(spot.folder, file.path, digest_of(model)) for file in files]
    for claim, given in zip(claims, names.give(claims, digest_of(model)), strict=True):
        if claim != given:
            return f"an older model has a file called {naming.display(claim.name)} there"
    return None


def _section(base: str, folders: Mapping[str, Sequence[str]]) -> str:
    lines = [
        "# Written by cellar, and written anew by each `cellar sync`.",
        f"{SECTION}:",
        f"  base_path: {json.dumps(base, ensure_ascii=False)}",
    ]
    for key, ids in sorted(folders.items()):
        lines += [f"  {key}: |", *(f"    {one}" for one in ids)]
    return "\n".join(lines) + "\n"
