"""The layouts by name: ``folders``, and one for each application that is not content with that."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from modelcellar.errors import UsageError
from modelcellar.link_records import App, Unplaced, Wish
from modelcellar.links import folders
from modelcellar.links.place import Place
from modelcellar.links.preset_values import Preset
from modelcellar.records import ModelRecord

__all__ = ["LAYOUTS", "Layout", "Place", "wishes_of"]

Layout = Callable[[App, Preset, Sequence[ModelRecord], Place], Iterator[Wish | Unplaced]]
"""It writes nothing and does not look into the application's folder: it says what should be."""

LAYOUTS: Mapping[str, Layout] = {
    "folders": folders.wishes,
}
"""Every layout by the name that presets give it (``layout = "folders"``)."""


def wishes_of(
    app: App, preset: Preset, models: Sequence[ModelRecord], place: Place
) -> Iterator[Wish | Unplaced]:
    """What should stand in an application.

    ``models`` are all that the app gets: what one is called may depend on another of its name.

    Raises:
        UsageError: there is no such layout, or the app asks for a link that is not allowed.
    """
    layout = LAYOUTS.get(preset.layout)
    if layout is None:
        raise UsageError(
            f"preset {preset.name}: there is no layout {preset.layout!r}",
            f"There are: {', '.join(LAYOUTS)}.",
        )
    return layout(app, preset, models, place)
