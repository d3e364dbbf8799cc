"""Where a file of the user would hide a link, or be hidden by it."""

from pathlib import Path

import pytest

from modelcellar.links.presets import load_preset
from modelcellar.links.shadows import shadows_of
from tests.support.scanners import comfyui

ROOT = Path("/app")


@pytest.mark.parametrize(
    ("preset", "target", "others"),
    [
        ("comfyui", "models/text_encoders/sub/x.gguf", ["models/clip/sub/x.gguf"]),
        ("comfyui", "models/unet/x.gguf", ["models/diffusion_models/x.gguf"]),
        ("comfyui", "models/clip_vision/x.gguf", []),
        ("comfyui", "models/loras/x.safetensors", []),
        ("a1111", "models/Lora/x.safetensors", ["models/LyCORIS/x.safetensors"]),
        ("folder", "x", []),
    ],
)
def test_other_places_of_a_name(preset: str, target: str, others: list[str]) -> None:
    found = list(shadows_of(load_preset(preset), ROOT, ROOT / target))
    assert found == [ROOT / other for other in others]


def test_a_scanner_agrees(tmp_path: Path) -> None:
    """What is in a shadow is what ComfyUI shows instead."""
    link = tmp_path / "models" / "text_encoders" / "x.safetensors"
    (shadow,) = shadows_of(load_preset("comfyui"), tmp_path, link)
    for path in (link, shadow):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    assert [seen.file for seen in comfyui(tmp_path)] == [shadow]
