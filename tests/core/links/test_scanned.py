"""Every application sees every model that it is given once, under the right type, and no other."""

import os
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelcellar.link_records import LinkKind, Wish
from modelcellar.links.presets import load_preset
from modelcellar.records import ModelRecord, ModelType
from tests.support.scanners import SCANNERS, Seen
from tests.support.shelf import Shelf, app_at

SHARDS = [f"big-Q8_0-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
TRANSFORMERS = ("config.json", "tokenizer.json", "model.safetensors.index.json",
                "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")  # fmt: skip
DIFFUSERS = ("model_index.json", "unet/config.json", "unet/diffusion.safetensors",
             "vae/config.json", "vae/diffusion.safetensors")  # fmt: skip

AS_TYPES: Mapping[str, set[ModelType]] = {
    "diffusers": {ModelType.CHECKPOINT},
    "llm": {ModelType.LLM, ModelType.EMBEDDING_MODEL},
    "mlx": {ModelType.LLM},
    "tiny vae": {ModelType.VAE},
    "controlnet": {ModelType.CONTROLNET, ModelType.IP_ADAPTER},
    "file": set(ModelType),
    "folder": set(ModelType),
}
"""What models may be seen as, besides their own type."""

KNOW_TINY_VAES = {"comfyui", "a1111", "forge", "forge-neo", "fooocus"}


@dataclass(frozen=True)
class Given:
    """An application's folder, what stands in it, and whose it is."""

    root: Path
    preset: str
    owners: Mapping[Path, ModelRecord]
    unplaced: Mapping[str, str]

    def owner(self, seen: Seen) -> ModelRecord:
        """The model that something seen is of: a file, or the files in a folder."""
        owners = {
            model.id: model
            for target, model in self.owners.items()
            if target == seen.file or seen.file in target.parents
        }
        assert len(owners) == 1, seen
        return owners.popitem()[1]


def fill(shelf: Shelf) -> None:
    """A collection with everything in it that has gone wrong somewhere."""
    beside = ("base.yaml", "base.preview.png", "base.civitai.info")
    shelf.add(ModelType.CHECKPOINT, "base.safetensors", companions=beside)
    shelf.add(ModelType.CHECKPOINT, "BASE.safetensors", companions=("BASE.preview.png",))
    shelf.add(ModelType.CHECKPOINT, "old.ckpt")
    shelf.add(ModelType.CHECKPOINT, "base.ckpt")
    shelf.add(ModelType.CHECKPOINT, *DIFFUSERS, name="Stable Diffusion")
    shelf.add(ModelType.CHECKPOINT, *DIFFUSERS, name="stable diffusion")
    shelf.add(ModelType.DIFFUSION_MODEL, "flux.safetensors")
    shelf.add(ModelType.DIFFUSION_MODEL, "flux-Q4.gguf")
    shelf.add(ModelType.TEXT_ENCODER, "t5.safetensors")
    shelf.add(ModelType.TEXT_ENCODER, "t5-Q8.gguf")
    shelf.add(ModelType.TEXT_ENCODER, "qwen-vl.gguf", "mmproj-qwen-vl.gguf")
    parts = [f"hidream-0000{number}-of-00002.safetensors" for number in (1, 2)]
    shelf.add(ModelType.DIFFUSION_MODEL, *parts)
    shelf.add(ModelType.LORA, "style.safetensors", companions=("style.png", "style.json"))
    shelf.add(ModelType.LORA, "characters/style.safetensors", companions=("characters/style.png",))
    shelf.add(ModelType.LORA, "style.pt")
    shelf.add(ModelType.LORA, "adapter_config.json", "adapter_model.safetensors", name="peft")
    shelf.add(ModelType.LORA, "caf\u00e9.safetensors")
    shelf.add(ModelType.LORA, "cafe\u0301.safetensors")
    shelf.add(ModelType.LORA, "stra\u00dfe.safetensors")
    shelf.add(ModelType.LORA, "STRASSE.safetensors")
    shelf.add(ModelType.VAE, "vae.safetensors")
    shelf.add(ModelType.VAE, "taesd.safetensors", kind="tiny VAE")
    shelf.add(ModelType.CONTROLNET, "canny.safetensors")
    shelf.add(ModelType.IP_ADAPTER, "ip.safetensors")
    shelf.add(ModelType.EMBEDDING, "bad.pt")
    shelf.add(ModelType.CLIP_VISION, "vision.safetensors")
    shelf.add(ModelType.UPSCALER, "4x.pth", kind="ESRGAN")
    shelf.add(ModelType.UPSCALER, "swin.pth", kind="SwinIR")
    shelf.add(ModelType.UPSCALER, "dat.pth", kind="DAT")
    shelf.add(ModelType.LLM, "small-Q4.gguf", repo_id="org/small-GGUF")
    shelf.add(ModelType.LLM, "small-Q8.gguf", repo_id="org/small-GGUF")
    shelf.add(ModelType.LLM, "small-Q4.gguf")
    shelf.add(ModelType.LLM, "a/small-q4.gguf", name="nested")
    shelf.add(ModelType.LLM, *SHARDS)
    shelf.add(ModelType.LLM, *SHARDS, name="big-Q8_0 again")
    for quant in ("Q4", "Q8"):
        files = (f"seeing-{quant}.gguf", "mmproj-F16.gguf")
        repo_id = "org/seeing-GGUF"
        shelf.add(ModelType.LLM, *files, same=["mmproj-F16.gguf"], repo_id=repo_id)
    shelf.add(ModelType.LLM, "other-Q4.gguf", "mmproj-F16.gguf")
    shelf.add(ModelType.LLM, *TRANSFORMERS, name="chat", repo_id="org/chat")
    shelf.add(ModelType.LLM, *TRANSFORMERS, name="Chat")
    shelf.add(ModelType.LLM, "incomplete-but-not.gguf")
    shelf.add(ModelType.EMBEDDING_MODEL, "bge.gguf")
    shelf.add(ModelType.AUDIO, "whisper.bin", kind="speech recognition")
    shelf.add(ModelType.AUDIO, "wav2vec.safetensors", kind="speech encoder")
    shelf.add(ModelType.VISION, "yolo.pt", family="YOLO")
    shelf.add(ModelType.VISION, "sam.pth", family="SAM")
    shelf.add(ModelType.OTHER, "anything.onnx")
    shelf.add(ModelType.UNKNOWN, "what.safetensors")


@pytest.fixture(scope="module", params=sorted(SCANNERS))
def given(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Given:
    """An application with everything from the library that it takes; no test changes it."""
    folder = tmp_path_factory.mktemp(request.param)
    shelf = Shelf(folder / "library")
    fill(shelf)
    preset = load_preset(request.param, user_folder=folder / "none")
    # What writes into files gets no link, and not every file system shares data.
    app = app_at(folder / "app", link=LinkKind.COPY if preset.rewrites else None)
    unplaced = {one.model_id: one.reason for one in shelf.give(app, preset)}
    models = {model.id: model for model in shelf.models}
    wishes = [wish for wish in shelf.wishes(app, preset) if isinstance(wish, Wish)]
    owners = {wish.target: models[wish.model_id] for wish in wishes}
    assert owners.keys() == {path for path in app.root.rglob("*") if not path.is_dir()}
    assert {model.id for model in owners.values()} | unplaced.keys() == models.keys()
    assert not {model.id for model in owners.values()} & unplaced.keys()
    return Given(app.root, request.param, owners, unplaced)


def test_every_model_is_seen_once(given: Given) -> None:
    seen = Counter(given.owner(one).id for one in SCANNERS[given.preset](given.root))
    assert seen == Counter({model.id for model in given.owners.values()})


def test_under_its_type(given: Given) -> None:
    for seen in SCANNERS[given.preset](given.root):
        model = given.owner(seen)
        fitting = AS_TYPES.get(seen.model_type, {seen.model_type})
        if given.preset.startswith("forge") and seen.model_type == "checkpoint":
            fitting = {ModelType.CHECKPOINT, ModelType.DIFFUSION_MODEL}
        assert model.type in fitting, seen
        kind = model.findings.get("kind")
        is_tiny = kind is not None and kind.value == "tiny VAE"
        if given.preset in KNOW_TINY_VAES:
            assert (seen.model_type == "tiny vae") == is_tiny


def test_with_the_content_of_that_model(given: Given) -> None:
    for target, model in given.owners.items():
        contents = {
            (given.root.parent / "library" / "models" / model.id / file.path).read_bytes()
            for file in model.files
        }
        assert target.read_bytes() in contents


def test_no_folder_is_a_link(given: Given) -> None:
    assert not [path for path in given.root.rglob("*") if path.is_dir() and path.is_symlink()]


def test_companions_are_files_that_the_application_may_write(given: Given) -> None:
    preset = load_preset(given.preset)
    companions = [path for path in given.owners if path.name.endswith((".yaml", ".png", ".info"))]
    assert bool(companions) == bool(preset.companions)
    for path in companions:
        found = path.lstat()
        assert stat.S_ISREG(found.st_mode)
        assert found.st_nlink == 1
        assert found.st_mode & stat.S_IWUSR


def test_companions_stand_beside_their_model(given: Given) -> None:
    for target, model in given.owners.items():
        if target.name.endswith((".yaml", ".preview.png", ".civitai.info")):
            stem = target.name.split(".")[0]
            beside = [other for other in target.parent.iterdir() if other.stem == stem]
            assert model in [given.owners[other] for other in beside]


def test_parts_keep_their_numbers_and_stay_together(given: Given) -> None:
    by_model: dict[str, list[Path]] = {}
    for target, model in given.owners.items():
        if "-of-00003" in target.name:
            by_model.setdefault(model.id, []).append(target)
    for targets in by_model.values():
        (prefix,) = {str(target).removesuffix(target.name[-20:]) for target in targets}
        assert sorted(map(str, targets)) == [
            f"{prefix}-0000{number}-of-00003.gguf" for number in (1, 2, 3)
        ]


def test_names_differ_on_every_file_system(given: Given) -> None:
    import unicodedata

    folded = Counter(
        unicodedata.normalize("NFC", os.fspath(target)).casefold() for target in given.owners
    )
    assert set(folded.values()) == {1}


def test_what_is_left_out_has_a_reason(given: Given) -> None:
    assert all(given.unplaced.values())
