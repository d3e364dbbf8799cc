"""What docs/presets.md says is what there is, and its example is one."""

import re
from dataclasses import fields
from pathlib import Path

from modelcellar.links.preset_files import read_preset
from modelcellar.links.preset_values import Preset
from modelcellar.links.presets import all_presets, load_preset, user_presets_folder
from modelcellar.records import ModelType

DOCS = (Path(__file__).parents[3] / "docs" / "presets.md").read_text(encoding="utf-8")


def rows(heading: str) -> set[str]:
    """The words in the first column of the table below a heading."""
    section = DOCS.split(f"{heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return {word.strip("[]") for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def test_every_preset_has_a_row() -> None:
    assert rows("# Presets") == {preset.name for preset in all_presets()}


def test_every_key_has_a_row() -> None:
    assert rows("## Keys") == {field.name for field in fields(Preset)} - {"name"} | {"extends"}


def test_every_model_type_is_named() -> None:
    assert all(f"`{kind.value}`" in DOCS for kind in ModelType)


def test_the_example_is_a_preset() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)
    assert read_preset(example.encode(), "docs")["extends"] == "comfyui"
    folder = user_presets_folder()
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(example, encoding="utf-8")
    assert [rule.folder for rule in load_preset("mine").rules][-2:] == ["models/loras/flux", ""]
