"""The layout of folders, preset by preset: who goes where, and who does not."""

import os
from pathlib import Path

import pytest

from modelcellar.errors import UsageError
from modelcellar.link_records import LinkKind, Unplaced, Wish
from modelcellar.links.layouts import wishes_of
from modelcellar.links.presets import Preset, load_preset
from modelcellar.records import ModelType
from tests.support.shelf import Shelf, app_at

ROOT = Path("/app")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "library")


def targets(shelf: Shelf, preset: str | Preset, **folders: str) -> list[str]:
    """Every target inside the root, sorted."""
    chosen = load_preset(preset) if isinstance(preset, str) else preset
    found = shelf.wishes(app_at(ROOT, folders=folders), chosen)
    return sorted(
        wish.target.relative_to(ROOT).as_posix() for wish in found if isinstance(wish, Wish)
    )


def reasons(shelf: Shelf, preset: str, **folders: str) -> list[str]:
    found = shelf.wishes(app_at(ROOT, folders=folders), load_preset(preset))
    assert all(isinstance(one, Unplaced) for one in found)
    return [one.reason for one in found if isinstance(one, Unplaced)]


def test_gguf_of_diffusion_models_goes_where_the_node_for_it_looks(shelf: Shelf) -> None:
    shelf.add(ModelType.DIFFUSION_MODEL, "flux-Q4.gguf")
    shelf.add(ModelType.TEXT_ENCODER, "t5.gguf")
    assert targets(shelf, "comfyui") == [
        "models/diffusion_models/flux-Q4.gguf",
        "models/text_encoders/t5.gguf",
    ]


def test_gguf_elsewhere_is_not_seen_there(shelf: Shelf) -> None:
    shelf.add(ModelType.VAE, "vae.gguf")
    (reason,) = reasons(shelf, "comfyui")
    assert reason.startswith("ComfyUI takes .ckpt, .pt,")
    assert reason.endswith("there, not .gguf")


@pytest.mark.parametrize(
    ("preset", "model_type", "files", "reason"),
    [
        ("comfyui", ModelType.LLM, ["x.gguf"], "ComfyUI has no folder for the type llm"),
        ("gpt4all", ModelType.LLM, ["x.safetensors"], "takes .gguf there, not .safetensors"),
        ("gpt4all", ModelType.LLM, ["blob"], "not a name without an extension"),
        ("gpt4all", ModelType.LLM, ["incomplete-x.gguf"], "passes over names like 'incomplete-x"),
        ("gpt4all", ModelType.LLM, ["x.gguf", "mmproj.gguf"], "a model of several files"),
        ("textgen", ModelType.LORA, ["x.safetensors"], "has no folder for the type lora"),
        ("textgen", ModelType.LLM, ["config.json", "x.bin"], "takes .safetensors there, not .json"),
        (
            "comfyui",
            ModelType.DIFFUSION_MODEL,
            ["a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors"],
            "a model of several files",
        ),
        ("comfyui", ModelType.LORA, ["a.json", "a.safetensors"], "a model of several files"),
    ],
)
def test_what_an_application_does_not_take(
    shelf: Shelf, preset: str, model_type: ModelType, files: list[str], reason: str
) -> None:
    shelf.add(model_type, *files)
    (found,) = reasons(shelf, preset)
    assert reason in found


def test_what_the_app_takes_away(shelf: Shelf) -> None:
    shelf.add(ModelType.VAE, "vae.safetensors")
    assert reasons(shelf, "comfyui", vae="") == [
        "models of the type vae are left out here by a rule"
    ]
    assert targets(shelf, "comfyui", vae="mine") == ["mine/vae.safetensors"]


def test_lm_studio_goes_by_repositories(shelf: Shelf) -> None:
    for quant in ("Q4", "Q8"):
        shelf.add(
            ModelType.LLM,
            f"x-{quant}.gguf",
            "mmproj.gguf",
            repo_id="org/x-GGUF",
            same=["mmproj.gguf"],
        )
    shelf.add(ModelType.LLM, "x-Q4.gguf", name="of nobody")
    shelf.add(ModelType.LLM, "config.json", "y.safetensors", repo_id="org/y")
    shelf.add(ModelType.LLM, "bare.gguf", repo_id="bare")
    assert targets(shelf, "lmstudio") == [
        "imported-models/bare/bare.gguf",
        "imported-models/of nobody/x-Q4.gguf",
        "org/x-GGUF/mmproj.gguf",
        "org/x-GGUF/x-Q4.gguf",
        "org/x-GGUF/x-Q8.gguf",
        "org/y/config.json",
        "org/y/y.safetensors",
    ]


@pytest.mark.parametrize("repo_id", ["../../etc", "org/..", "/abs", "a/b/c", "org/{name}", "o/\0"])
def test_a_repository_that_is_no_name_is_not_used(shelf: Shelf, repo_id: str) -> None:
    shelf.add(ModelType.LLM, "x.gguf", repo_id=repo_id)
    assert targets(shelf, "lmstudio") == ["imported-models/x/x.gguf"]


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("a/b", "a_b"),
        ("../../etc", "_.._etc"),
        (".hidden", "hidden"),
        ("CON", "CON_"),
        ("{publisher}", "{publisher}"),
        ("x. ", "x"),
        ("...", "_"),
    ],
)
def test_a_name_that_is_no_folder_becomes_one(shelf: Shelf, name: str, folder: str) -> None:
    shelf.add(ModelType.LLM, "config.json", "x.safetensors", name=name)
    assert targets(shelf, "folder") == [f"{folder}/config.json", f"{folder}/x.safetensors"]


def test_llama_cpp_gives_sets_a_folder_and_knows_one_name_once(shelf: Shelf) -> None:
    first = shelf.add(ModelType.LLM, "x.gguf")
    second = shelf.add(ModelType.LLM, "x-00001-of-00002.gguf", "x-00002-of-00002.gguf", name="x")
    found = targets(shelf, "llama-cpp")
    assert "x.gguf" in found
    (folder,) = {name.partition("/")[0] for name in found if "/" in name}
    assert folder.startswith("x-")
    assert sorted(name for name in found if "/" in name) == [
        f"{folder}/x-00001-of-00002.gguf",
        f"{folder}/x-00002-of-00002.gguf",
    ]
    assert first.id != second.id


def test_projectors_have_a_folder_of_their_own(shelf: Shelf) -> None:
    shelf.add(ModelType.LLM, "x.gguf", "mmproj-F16.gguf")
    other = shelf.add(ModelType.LLM, "y.gguf", "mmproj-F16.gguf")
    found = targets(shelf, "textgen")
    assert found[:2] == sorted(found[:2])
    assert "user_data/mmproj/mmproj-F16.gguf" in found
    assert "user_data/models/x.gguf" in found
    # Renamed together, so that it can be told which belongs to which.
    (suffix,) = {name[-14:] for name in found if "y-" in name}
    assert f"user_data/mmproj/mmproj-F16{suffix}" in found
    assert other.name == "y"


def test_files_of_a_folder_keep_their_names_below_it(shelf: Shelf) -> None:
    shelf.add(
        ModelType.CHECKPOINT,
        "sub/model_index.json",
        "sub/unet/config.json",
        "sub/unet/x.safetensors",
        companions=["sub/unet/x.preview.png"],
        name="SD",
    )
    assert targets(shelf, "folder") == [
        "SD/model_index.json",
        "SD/unet/config.json",
        "SD/unet/x.safetensors",
    ]
    assert targets(shelf, "forge") == [
        "models/diffusers/SD/model_index.json",
        "models/diffusers/SD/unet/config.json",
        "models/diffusers/SD/unet/x.preview.png",
        "models/diffusers/SD/unet/x.safetensors",
    ]


class TestCompanions:
    def test_they_are_renamed_with_their_model(self, shelf: Shelf) -> None:
        shelf.add(ModelType.CHECKPOINT, "x.safetensors", companions=["x.yaml"])
        second = shelf.add(
            ModelType.CHECKPOINT,
            "x.ckpt",
            companions=["x.yaml", "x.preview.png", "x.ckpt.json", "x.civitai.info", "readme.txt"],
        )
        digits = second.files[0].digests.sha256[:8]
        found = targets(shelf, "a1111")
        assert found == [
            f"models/Stable-diffusion/{name}"
            for name in (
                f"x-{digits}.civitai.info",
                f"x-{digits}.ckpt",
                f"x-{digits}.ckpt.json",
                f"x-{digits}.preview.png",
                f"x-{digits}.yaml",
                "x.safetensors",
                "x.yaml",
            )
        ]

    def test_only_those_that_the_application_reads(self, shelf: Shelf) -> None:
        shelf.add(ModelType.CHECKPOINT, "x.safetensors", companions=["x.yaml", "x.PNG", "x.mp4"])
        assert targets(shelf, "comfyui") == [
            "models/checkpoints/x.PNG",
            "models/checkpoints/x.safetensors",
        ]
        assert targets(shelf, "gpt4all") == []

    def test_of_two_for_one_name_the_older_stays(self, shelf: Shelf) -> None:
        first = shelf.add(ModelType.LORA, "x.safetensors", companions=["x.png"])
        shelf.add(ModelType.LORA, "x.pt", companions=["x.png"])
        found = shelf.wishes(app_at(ROOT), load_preset("comfyui"))
        pictures = [one for one in found if isinstance(one, Wish) and one.path == "x.png"]
        assert [(one.model_id, one.target.name) for one in pictures] == [(first.id, "x.png")]

    def test_they_are_never_links(self, shelf: Shelf) -> None:
        shelf.add(ModelType.LORA, "x.safetensors", companions=["x.png"])
        app = app_at(ROOT, link=LinkKind.HARDLINK)
        found = shelf.wishes(app, load_preset("comfyui"))
        kinds = {one.path: one.kinds for one in found if isinstance(one, Wish)}
        assert kinds == {
            "x.safetensors": (LinkKind.HARDLINK,),
            "x.png": (LinkKind.REFLINK, LinkKind.COPY),
        }


def test_no_link_but_those_that_are_allowed(shelf: Shelf) -> None:
    shelf.add(ModelType.LORA, "x.safetensors")
    with pytest.raises(UsageError, match="no symlink for SwarmUI"):
        shelf.wishes(app_at(ROOT, link=LinkKind.SYMLINK), load_preset("swarmui"))
    (wish,) = shelf.wishes(app_at(ROOT), load_preset("swarmui"))
    assert isinstance(wish, Wish)
    assert wish.kinds == (LinkKind.REFLINK,)


@pytest.mark.parametrize(
    ("model_type", "folder", "message"),
    [
        ("lora", "../../etc", "app: the folder for lora: '../../etc': has a part '..'"),
        ("lora", "/etc", "app: the folder for lora: '/etc': absolute"),
        ("lora", "C:\\x", "app: the folder for lora: 'C:"),
        ("lora", "{version}", "what can be put in is {name}"),
        ("loras", "x", "app: there is no model type 'loras'"),
    ],
)
def test_what_an_app_says_of_folders_is_checked(
    shelf: Shelf, model_type: str, folder: str, message: str
) -> None:
    """Before any model is there to be placed."""
    with pytest.raises(UsageError) as caught:
        targets(shelf, "comfyui", **{model_type: folder})
    assert message in caught.value.message


def test_folders_for_any_other_type(shelf: Shelf) -> None:
    shelf.add(ModelType.OTHER, "x.safetensors")
    assert targets(shelf, "comfyui", **{"*": "models/rest/"}) == ["models/rest/x.safetensors"]


def test_names_that_are_no_text(shelf: Shelf) -> None:
    name = os.fsdecode(b"caf\xe9.safetensors")
    shelf.add(ModelType.LORA, name)
    second = shelf.add(ModelType.LORA, name)
    digits = second.files[0].digests.sha256[:8]
    stem = name.removesuffix(".safetensors")
    assert targets(shelf, "comfyui") == [
        f"models/loras/{stem}-{digits}.safetensors",
        f"models/loras/{name}",
    ]


def test_an_unknown_layout(shelf: Shelf) -> None:
    preset = Preset("mine", "Mine", layout="spiral")
    with pytest.raises(UsageError, match="preset mine: there is no layout 'spiral'"):
        wishes_of(app_at(ROOT), preset, [], shelf.place)
