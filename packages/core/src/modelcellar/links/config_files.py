"""Layouts ``jan`` and ``koboldcpp_configs``: a small file a model, which names the library's file.

They work across file systems, and where links are impossible. What they name is write-protected.
"""

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence

from modelcellar import naming
from modelcellar.link_records import App, Unplaced, Wish
from modelcellar.links.gguf_parts import GgufParts, find_gguf
from modelcellar.links.names import Claim, Names
from modelcellar.links.place import Place
from modelcellar.links.preset_values import Preset
from modelcellar.links.rules import Rules
from modelcellar.links.shapes import digest_of, shape_of
from modelcellar.records import FileRecord, JsonValue, ModelRecord, ModelType

__all__ = ["jan", "koboldcpp_configs"]

PUBLISHER = "cellar"
"""Jan calls a model by two names, the first of them its publisher's."""


def jan(
    app: App, preset: Preset, models: Sequence[ModelRecord], place: Place
) -> Iterator[Wish | Unplaced]:
    """A ``model.yml`` for each model (github.com/janhq/jan, ``extensions/llamacpp-extension``)."""
    names = Names(preset, ())
    for found in _language_models(app, preset, models, place):
        if isinstance(found, Unplaced):
            yield found
            continue
        model, parts, folder = found
        home = posixpath.join(folder, PUBLISHER)
        (claim,) = names.give([Claim(home, _file_name(model))], digest_of(model))
        target = app.root / claim.folder / claim.name / "model.yml"
        yield Wish(target, model.id, content=_model_yml(model, parts, place))


def koboldcpp_configs(
    app: App, preset: Preset, models: Sequence[ModelRecord], place: Place
) -> Iterator[Wish | Unplaced]:
    """A ``.kcpps`` for each model, as ``--admindir`` lists them."""
    names = Names(preset, ())
    for found in _language_models(app, preset, models, place):
        if isinstance(found, Unplaced):
            yield found
            continue
        model, parts, folder = found
        digest = digest_of(model)
        (claim,) = names.give([Claim(folder, f"{_file_name(model)}.kcpps", digest)], digest)
        values = {"model_param": _path(place, model, parts.text)}
        if parts.projectors:
            values["mmproj"] = _path(place, model, parts.projectors[0])
        content = json.dumps(values, ensure_ascii=False, indent=1) + "\n"
        yield Wish(app.root / claim.folder / claim.name, model.id, content=content.encode())


def _language_models(
    app: App, preset: Preset, models: Sequence[ModelRecord], place: Place
) -> Iterator[tuple[ModelRecord, GgufParts, str] | Unplaced]:
    """Each model with its GGUF files and its folder, the oldest first."""
    rules = Rules(app, preset, place)
    for model in sorted(models, key=lambda model: (model.added_at, model.id)):
        spot = rules.spot(model, shape_of(model))
        if isinstance(spot, str):
            yield Unplaced(model.id, spot)
            continue
        parts = find_gguf(model, place)
        if isinstance(parts, str):
            yield Unplaced(model.id, parts)
        elif not _path(place, model, parts.text).isprintable():
            # These files are UTF-8, and a name that is not cannot stand in them.
            yield Unplaced(model.id, "its path has characters that cannot be written down")
        else:
            yield model, parts, spot.folder


def _model_yml(model: ModelRecord, parts: GgufParts, place: Place) -> bytes:
    values: dict[str, JsonValue] = {
        "model_path": _path(place, model, parts.text),
        "name": naming.display(model.name),
        "size_bytes": model.size_bytes,
        "embedding": model.type is ModelType.EMBEDDING_MODEL,
        "model_sha256": parts.text.known_digests.sha256,
    }
    if parts.projectors:
        values["mmproj_path"] = _path(place, model, parts.projectors[0])
    return _as_yaml(values).encode()


def _as_yaml(values: Mapping[str, JsonValue]) -> str:
    """Lines of YAML, of which JSON is a part (YAML 1.2, 1.3)."""
    return "".join(
        f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items()
    )


def _path(place: Place, model: ModelRecord, file: FileRecord) -> str:
    return str(place.content_path(model.id) / file.path)


def _file_name(model: ModelRecord) -> str:
    # A dot in front would hide it.
    return naming.portable_name(model.name.strip().lstrip(".") or model.id)
