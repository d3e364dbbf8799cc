"""What each layout wishes for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modelcellar.link_records import App, Wish
from modelcellar.links.presets import Preset
from modelcellar.records import ModelRecord

__all__ = ["Place", "Unplaced", "wishes_of"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the library's content is."""

    root: Path

    def content_path(self, model_id: str) -> Path:
        """The folder of a model's files."""
        return self.root / "models" / model_id


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A model that an application has no place for."""

    model_id: str
    reason: str


def wishes_of(
    app: App,
    preset: Preset,
    models: Sequence[ModelRecord],
    place: Place,  # noqa: ARG001
) -> Iterator[Wish | Unplaced]:
    """What should stand where in the folder of ``app``."""
    folders = {**preset.folders, **app.folders}
    for model in models:
        folder = folders.get(model.type.value, "")
        if not folder:
            yield Unplaced(model.id, f"{preset.title} has no folder for {model.type.value}")
            continue
        for file in model.files:
            target = app.root / folder / PurePosixPath(file.path).name
            kinds = preset.links if app.link is None else (app.link,)
            yield Wish(target, model.id, file.path, kinds)
