"""What safetensors headers say of themselves, and how little of it is believed."""

import hashlib
import json
from collections.abc import Mapping

import pytest

from modelcellar.formats.classify import classify
from modelcellar.formats.classify.headers import MAX_TAGS
from modelcellar.records import Confidence, Finding
from tests.core.formats.builders import inspect_bytes, safetensors_file
from tests.core.formats.classify.fixtures import kohya, reading_of

BLOCK = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
SURTR: Mapping[str, str] = {
    "modelspec.architecture": "stable-diffusion-v1/lora",
    "modelspec.date": "2024-03-13T11:54:28",
    "modelspec.implementation": "diffusers",
    "modelspec.resolution": "512x768",
    "modelspec.sai_model_spec": "1.0.0",
    "modelspec.title": "surtr_arknights",
    "ss_base_model_version": "sd_v1",
    "ss_network_module": "lycoris.kohya",
    "ss_network_dim": "4",
    "ss_network_alpha": "2",
    "ss_network_args": '{"preset": "attn-mlp", "algo": "lora"}',
    "ss_output_name": "surtr_arknights",
    "ss_sd_model_name": "nai.ckpt",
    "ss_resolution": "(512, 768)",
    "ss_dataset_dirs": '{"1_1girl": {"n_repeats": 1, "img_count": 1358}}',
    "ss_tag_frequency": '{"1_1girl": {"surtr (arknights)": 1358, "red hair": 1358, "1girl": 1357, '
    '"solo": 1355, "purple eyes": 1339}}',
    "ss_noise_offset": "None",
    "ss_training_comment": "nebulae",
    "sshs_legacy_hash": "147fd55d",
    "sshs_model_hash": "06adff80a2d8188d3d96c7629d360bd074034ed60da6dfb0752bd31845a21ac8",
}
"""Shortened from a published LoRA."""


def told(metadata: Mapping[str, object], tensors: str = "a 4x4") -> dict[str, Finding]:
    return classify([reading_of(tensors, metadata)])


def test_a_real_block_of_kohya_and_modelspec() -> None:
    found = {name: finding.value for name, finding in told(SURTR).items()}
    assert found["type"] == "lora"
    assert found["family"] == "SD 1.x"
    assert (found["rank"], found["alpha"]) == (4, 2)
    assert found["title"] == "surtr_arknights"
    assert found["date"] == "2024-03-13T11:54:28"
    assert found["base_model"] == "nai.ckpt"
    assert found["resolution"] == "512x768"
    assert found["recorded_tensor_sha256"] == SURTR["sshs_model_hash"]
    assert found["tag_frequency"] == {
        **{"surtr (arknights)": 1358, "red hair": 1358, "1girl": 1357},
        **{"solo": 1355, "purple eyes": 1339},
    }
    assert found["trigger_words"] == [
        *("surtr (arknights)", "red hair", "1girl", "solo", "purple eyes")
    ]


def test_tensors_win_over_what_a_header_says() -> None:
    found = told(SURTR, kohya([(BLOCK, 2048, 640)], rank=32))
    assert found["family"].value == "SDXL"
    assert found["rank"].value == 32
    assert found["family"].sure is Confidence.CERTAIN


@pytest.mark.parametrize("value", ["None", "", "null"])
def test_absent_values(value: str) -> None:
    keys = ("ss_output_name", "modelspec.title", "ss_network_dim", "ss_base_model_version")
    assert set(told(dict.fromkeys(keys, value))) == {"parameter_count", "precision"}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("modelspec.hash_sha256", "0x" + "ab" * 32, "ab" * 32),
        ("modelspec.hash_sha256", "0x" + "AB" * 32, "ab" * 32),
        ("sshs_model_hash", "ab" * 32, "ab" * 32),
        ("sshs_model_hash", "ab" * 31, None),
        ("sshs_legacy_hash", "e3b0c442", None),
        ("modelspec.hash_sha256", "0x" + "xy" * 32, None),
    ],
)
def test_recorded_hash(key: str, value: str, expected: str | None) -> None:
    finding = told({key: value}).get("recorded_tensor_sha256")
    assert (finding and finding.value) == expected


@pytest.mark.parametrize(
    ("base", "child"),
    [("ponyDiffusionV6XL.safetensors", "Pony"), ("Illustrious-XL-v1", "Illustrious"), ("x", None)],
)
def test_child_of_sdxl_only_by_the_name_of_its_base(base: str, child: str | None) -> None:
    found = told({"ss_base_model_version": "sdxl_base_v1-0", "ss_sd_model_name": base})
    assert found["family"].value == "SDXL"
    finding = found.get("family_child")
    assert (finding and finding.value) == child
    assert finding is None or finding.sure is Confidence.GUESS


def test_trigger_phrase_is_taken_as_it_is() -> None:
    found = told({"modelspec.trigger_phrase": "ohwx man, portrait"} | {"ss_tag_frequency": "{}"})
    assert found["trigger_words"].value == ["ohwx man", "portrait"]


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "[]",
        "3",
        '{"a": 3}',
        '{"a": {"b": "c"}}',
        '{"a": {"b": -1}}',
        '{"a": {"": 2}}',
        "{" * 99,
    ],
)
def test_tags_of_any_form(text: str) -> None:
    assert "tag_frequency" not in told({"ss_tag_frequency": text})


def test_tags_are_bounded_merged_and_most_frequent_first() -> None:
    tags = {f"tag {number}": number + 1 for number in range(500)}
    text = json.dumps({"1_a": tags, "2_b": {"tag 3": 1000}})
    found = told({"ss_tag_frequency": text})["tag_frequency"].value
    assert len(found) == MAX_TAGS
    assert list(found.items())[:2] == [("tag 3", 1004), ("tag 499", 500)]


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("/home/alice/models/nai.ckpt", "nai.ckpt"),
        (r"C:\Users\Alice Smith\models\nai.ckpt", "nai.ckpt"),
        ("/Users/alice/x.safetensors", "x.safetensors"),
        (r"\\nas\alice\x.safetensors", "x.safetensors"),
        ("/workspace/alice/x.safetensors", "x.safetensors"),
        ("/home/alice", "~"),
        ("built with -I/home/alice/inc", "built with -Iinc"),
        ("-I/home/alice/inc", "-Iinc"),
        ("host:/data/alice/z", "host:z"),
        ("%2Fhome%2Falice%2Fz", "z"),
        ("at %252Fhome%252falice", "at ~"),
        ("trained at /home/alice smith/x", "trained at x"),
        (r"trained at C:\Users\Alice B Smith\x", "trained at x"),
        ("see ~alice/x", "see x"),
        ("100%25 of a/b", "100%25 of a/b"),
        ("https://host/home/page/x", "https://host/home/page/x"),
        ("stabilityai/sdxl-base", "stabilityai/sdxl-base"),
        ("https://huggingface.co/a/b", "https://huggingface.co/a/b"),
    ],
)
def test_private_paths_are_cut_to_their_last_name(value: str, kept: str) -> None:
    found = told({"ss_sd_model_name": value})
    assert found["base_model"].value == kept


def test_no_private_path_is_left_anywhere() -> None:
    paths = ["/home/alice/train", "C:\\Users\\alice\\train", "/Users/alice/train/x y"]
    metadata = {
        "ss_dataset_dirs": json.dumps({path: {"img_count": 1} for path in paths}),
        "ss_tag_frequency": json.dumps({"1_a": dict.fromkeys(paths, 1)}),
        "ss_sd_model_name": paths[1],
        "modelspec.description": f"trained on {paths[0]} and {paths[2]}",
        "custom": paths[0],
        paths[2]: "key",
    }
    found = inspect_bytes(safetensors_file({"__metadata__": metadata}))
    assert "alice" not in json.dumps(
        [dict(found.facts), {k: v.value for k, v in found.findings.items()}]
    )
    assert "train" in str(found.findings["description"].value)


def test_numbers_that_are_no_counts() -> None:
    digits = "1" + "0" * 400
    folders = '{"1_a": {"img_count": ' + digits + "}}"
    tags = '{"1_a": {"cat": 3, "dog": ' + digits + "}}"
    found = told({"ss_dataset_dirs": folders, "ss_tag_frequency": tags})
    assert found["tag_frequency"].value == {"cat": 3}
    assert found["trigger_words"].value == ["cat"]


def test_hash_in_a_header_is_not_the_one_of_the_file() -> None:
    digest = hashlib.sha256(b"").hexdigest()
    assert told({"sshs_model_hash": digest})["recorded_tensor_sha256"].sure is Confidence.LIKELY


@pytest.mark.parametrize(
    ("said", "family"),
    [
        ("stable-diffusion-v1-5/lora", "SD 1.x"),
        ("stable-diffusion-3-5-large/lora", "SD 3.5"),
        ("stable-diffusion-3.5-large", "SD 3.5"),
        ("stable-diffusion-3-m", "SD 3"),
        ("sd_v2_768_v", "SD 2.x"),
        ("flux-1-dev/lora", "Flux.1"),
        ("Flux.1-dev/lora", "Flux.1"),
        ("Flux.2-klein-4b/lora", "Flux.2"),
        ("flux_2_dev", "Flux.2"),
        ("flux_kontext", "Flux.1"),
        ("chroma/lora", "Chroma"),
        ("hunyuan-video", "HunyuanVideo"),
        ("hunyuan_video_1_5", "HunyuanVideo 1.5"),
        ("hunyuan-video-1.5/lora", "HunyuanVideo 1.5"),
        ("hunyuan-image-2.1", "Hunyuan Image"),
        ("wan2.1", "Wan"),
        ("Qwen-Image-Edit-2511/lora", "Qwen-Image"),
        ("qwen_image", "Qwen-Image"),
        ("Z-Image/lora", "Z-Image"),
        ("z_image", "Z-Image"),
        ("anima-preview/lora", "Anima"),
        ("Kandinsky-5/lora", "Kandinsky 5"),
        ("HiDream-O1-Image/lora", "HiDream-O1"),
        ("something-new", None),
    ],
)
def test_family_in_the_spellings_of_all_trainers(said: str, family: str | None) -> None:
    for key in ("modelspec.architecture", "ss_base_model_version"):
        finding = told({key: said}).get("family")
        assert (finding and finding.value) == family
