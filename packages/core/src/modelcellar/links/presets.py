"""How each kind of application wants its models laid out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelcellar.errors import UsageError
from modelcellar.link_records import LinkKind

__all__ = ["Preset", "all_presets", "load_preset"]


@dataclass(frozen=True, slots=True)
class Preset:
    """How one kind of application wants its models laid out."""

    name: str
    title: str
    layout: str = "folders"
    folders: Mapping[str, str] = field(default_factory=dict)
    links: tuple[LinkKind, ...] = (LinkKind.SYMLINK, LinkKind.HARDLINK)
    hazards: tuple[str, ...] = ()


_COMFYUI = Preset(
    "comfyui",
    "ComfyUI",
    folders={
        "checkpoint": "models/checkpoints",
        "lora": "models/loras",
        "vae": "models/vae",
        "unknown": "models/checkpoints",
        "llm": "models/LLM",
    },
)


def all_presets() -> tuple[Preset, ...]:
    """Every preset, by name."""
    return (_COMFYUI,)


def load_preset(name: str, *, user_folder: Path | None = None) -> Preset:  # noqa: ARG001
    """The preset of this name.

    Raises:
        UsageError: there is none.
    """
    for preset in all_presets():
        if preset.name == name:
            return preset
    raise UsageError(f"there is no preset called {name!r}", "See: cellar app add --help")
