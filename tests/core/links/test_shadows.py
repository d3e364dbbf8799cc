"""Where a file of the user would hide a link, or be hidden by it."""

import os
from pathlib import Path

import pytest

from modelcellar.link_records import App
from modelcellar.links.presets import load_preset
from modelcellar.links.shadows import Shadows
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
    found = list(Shadows(App(preset, preset, ROOT), load_preset(preset))(ROOT / target))
    assert found == [ROOT / other for other in others]


def test_a_scanner_agrees(tmp_path: Path) -> None:
    """What is in a shadow is what ComfyUI shows instead."""
    link = tmp_path / "models" / "text_encoders" / "x.safetensors"
    (shadow,) = Shadows(App("comfyui", "comfyui", tmp_path), load_preset("comfyui"))(link)
    for path in (link, shadow):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    assert [seen.file for seen in comfyui(tmp_path)] == [shadow]


def test_a_lora_of_the_user_with_the_same_stem_anywhere(tmp_path: Path) -> None:
    """A1111 knows LoRAs by their stems, whatever the folder; checkpoints by their path."""
    loras, checkpoints = tmp_path / "models" / "Lora", tmp_path / "models" / "Stable-diffusion"
    mine = [
        loras / "styles" / "Ghibli.ckpt",
        tmp_path / "models" / "LyCORIS" / "ghibli.safetensors",
    ]
    beside = [loras / "ghibli.png", loras / "ghibli2.safetensors", checkpoints / "sub" / "a.ckpt"]
    for path in (*mine, *beside):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (loras / "round").symlink_to(loras)
    found = Shadows(App("a1111", "a1111", tmp_path), load_preset("a1111"))
    real = {Path(os.path.realpath(path)) for path in found(loras / "ghibli.safetensors")}
    assert real == set(mine)
    assert list(found(checkpoints / "a.ckpt")) == []
    assert list(found(loras / "ghibli.preview.png")) == [
        tmp_path / "models" / "LyCORIS" / "ghibli.preview.png"
    ]
