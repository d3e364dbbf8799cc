"""The presets that come with modelcellar, those of the user, and what extends what."""

from pathlib import Path

import pytest

import modelcellar
from modelcellar.errors import UsageError
from modelcellar.link_records import App, LinkKind
from modelcellar.links.kinds import link_kinds
from modelcellar.links.preset_values import Preset
from modelcellar.links.presets import all_presets, load_preset, user_presets_folder
from modelcellar.records import ModelType

SHIPPED = {
    "a1111", "comfyui", "comfyui-yaml", "folder", "fooocus", "fooocus-config", "forge",
    "forge-neo", "gpt4all", "hf", "invokeai", "jan", "koboldcpp", "koboldcpp-configs",
    "llama-cpp", "lmstudio", "ollama", "sdnext", "swarmui", "textgen",
}  # fmt: skip


@pytest.fixture
def own(home: Path) -> Path:
    """The folder of the user's own presets."""
    folder = user_presets_folder()
    assert home in folder.parents
    folder.mkdir(parents=True)
    return folder


def test_those_that_come_with_it() -> None:
    presets = all_presets()
    assert {preset.name for preset in presets} == SHIPPED
    for preset in presets:
        assert preset.title != preset.name
        assert preset.root.hint
        assert LinkKind.COPY not in preset.links


def test_they_are_files_of_the_package() -> None:
    """What is not beside the modules is not in the wheel (see packages/core/pyproject.toml)."""
    folder = Path(str(modelcellar.__file__)).parent / "presets"
    assert {path.stem for path in folder.glob("*.toml")} == SHIPPED


def test_what_writes_into_files_shares_none() -> None:
    assert {preset.name for preset in all_presets() if preset.rewrites} == {"swarmui"}
    assert load_preset("swarmui").links == (LinkKind.REFLINK,)


def test_no_symlink_into_the_cache_of_the_hub() -> None:
    """Its manager deletes what a symlink leads to."""
    assert LinkKind.SYMLINK not in load_preset("hf").links


def test_only_image_applications_take_loras_as_files() -> None:
    takers = {
        preset.name
        for preset in all_presets()
        if preset.layout == "folders" and ModelType.LORA.value in preset.folders
    }
    assert takers == {
        "a1111", "comfyui", "fooocus", "forge", "forge-neo", "koboldcpp", "sdnext", "swarmui",
    }  # fmt: skip


def test_one_of_the_user(own: Path) -> None:
    (own / "mine.toml").write_text('[folders]\nlora = "loras"')
    (own / "notes.txt").write_text("no preset")
    mine = load_preset("mine")
    assert mine == Preset("mine", "mine", folders={"lora": "loras"})
    assert mine in all_presets()


def test_extending_changes_what_it_names(own: Path) -> None:
    (own / "mine.toml").write_text(
        'extends = "comfyui"\nlinks = ["hardlink"]\n'
        '[folders]\nlora = "models/loras/library"\nvae = ""\n'
        '[root]\nplaces = ["~/mine"]\n'
    )
    parent, mine = load_preset("comfyui"), load_preset("mine")
    assert mine.links == (LinkKind.HARDLINK,)
    assert mine.folders == {**parent.folders, "lora": "models/loras/library", "vae": ""}
    assert mine.root.places == ("~/mine",)
    assert mine.root.marks == parent.root.marks
    assert (mine.extensions, mine.rules) == (parent.extensions, parent.rules)


def test_a_rule_takes_the_place_of_one_with_the_same_conditions(own: Path) -> None:
    (own / "base.toml").write_text(
        '[[rules]]\nwhen = "type:lora  base:flux"\nfolder = "flux"\n'
        '[[rules]]\nwhen = "type:lora base:sdxl"\nfolder = "sdxl"\n'
    )
    (own / "mine.toml").write_text(
        'extends = "base"\n[[rules]]\nwhen = "type:lora base:flux"\nfolder = ""\n'
        '[[rules]]\nwhen = "type:lora base:flux"\nshapes = ["set"]\nfolder = "sets"\n'
    )
    rules = load_preset("mine").rules
    assert [(rule.when, rule.folder) for rule in rules] == [
        ("type:lora base:sdxl", "sdxl"),
        ("type:lora base:flux", ""),
        ("type:lora base:flux", "sets"),
    ]


def test_covering_one_that_comes_with_it(own: Path) -> None:
    (own / "comfyui.toml").write_text('extends = "comfyui"\n[folders]\nlora = "elsewhere"')
    (own / "other.toml").write_text('extends = "comfyui"')
    covered = load_preset("comfyui")
    assert covered.folders["lora"] == "elsewhere"
    assert covered.folders["vae"] == "models/vae"
    assert load_preset("other").folders["lora"] == "elsewhere"
    assert [preset.name for preset in all_presets()].count("comfyui") == 1


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"mine": 'extends = "mine"'}, "there is no preset 'mine'"),
        (
            {"mine": 'extends = "b"', "b": 'extends = "mine"'},
            "extend each other: mine -> b -> mine",
        ),
        ({"mine": 'extends = "comfy-ui"'}, "there is no preset 'comfy-ui'"),
        ({"mine": "rewrites = true"}, "links: no symlink where rewrites is true"),
        ({"mine": 'extends = "swarmui"\nlinks = ["hardlink"]'}, "no hardlink where rewrites"),
        ({"mine": "x = 1"}, "mine.toml: x: there is no such key"),
    ],
)
def test_mistakes(own: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (own / f"{name}.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_preset("mine")
    assert message in caught.value.message


def test_an_unknown_one_is_told_with_a_near_one() -> None:
    with pytest.raises(UsageError) as caught:
        load_preset("comfy-ui")
    assert "Did you mean comfyui?" in caught.value.hint


def test_another_folder_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('title = "Mine"')
    assert load_preset("mine", user_folder=tmp_path).title == "Mine"


class TestKinds:
    def test_the_order_of_the_preset(self) -> None:
        preset = load_preset("comfyui")
        assert link_kinds(_app(), preset, system="posix") == preset.links

    def test_a_hard_link_comes_first_on_windows(self) -> None:
        assert link_kinds(_app(), load_preset("comfyui"), system="nt") == (
            LinkKind.HARDLINK,
            LinkKind.SYMLINK,
            LinkKind.REFLINK,
        )
        assert link_kinds(_app(), load_preset("swarmui"), system="nt") == (LinkKind.REFLINK,)

    @pytest.mark.parametrize("kind", [LinkKind.SYMLINK, LinkKind.COPY])
    def test_what_the_app_asks_for(self, kind: LinkKind) -> None:
        assert link_kinds(_app(kind), load_preset("comfyui")) == (kind,)

    def test_not_what_would_harm(self) -> None:
        with pytest.raises(UsageError, match="no hardlink for SwarmUI, which writes into model"):
            link_kinds(_app(LinkKind.HARDLINK), load_preset("swarmui"))
        assert link_kinds(_app(LinkKind.COPY), load_preset("swarmui")) == (LinkKind.COPY,)


def _app(link: LinkKind | None = None) -> App:
    return App("app", "x", Path("/app"), link=link)
