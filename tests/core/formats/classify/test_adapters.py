"""Rank, alpha, kind and layout of adapters in the spellings of all trainers."""

import pytest

from modelcellar.formats.classify import classify
from modelcellar.formats.reading import Reading
from modelcellar.records import FileFormat
from tests.core.formats.classify.fixtures import kohya, pairs, tensors_of

BLOCK = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


def told(text: str, scalars: dict[str, float] | None = None) -> dict[str, object]:
    reading = Reading(
        FileFormat.SAFETENSORS, tensors=tuple(tensors_of(text)), scalars=scalars or {}
    )
    return {name: finding.value for name, finding in classify([reading]).items()}


@pytest.mark.parametrize("rank", [1, 4, 128])
def test_rank_is_the_inner_size(rank: int) -> None:
    assert told(kohya([(BLOCK, 768, 320)], rank=rank))["rank"] == rank
    assert told(pairs([("unet.mid_block.x.attn2.to_k", 768, 320)], rank=rank))["rank"] == rank


def test_rank_is_that_of_most_modules() -> None:
    blocks = [(f"{BLOCK}{at}", 768, 320) for at in "abc"]
    text = kohya(blocks, rank=8) + "\n" + kohya([("lora_unet_conv_in", 4, 320)], rank=4)
    assert told(text)["rank"] == 8


@pytest.mark.parametrize(("value", "shown"), [(16.0, 16), (0.5, 0.5)])
def test_alpha_is_the_value_of_its_tensor(value: float, shown: float) -> None:
    assert told(kohya([(BLOCK, 768, 320)]), {f"{BLOCK}.alpha": value})["alpha"] == shown


@pytest.mark.parametrize(
    ("module", "layout"),
    [
        (BLOCK, "kohya"),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1", "kohya"),
        ("lora_transformer_transformer_blocks_0_attn_to_q", "OneTrainer"),
        ("lycoris_blocks_0_attn", "LyCORIS"),
        ("base_model.model.model.layers.0.self_attn.q_proj", "PEFT"),
        ("diffusion_model.double_blocks.0.img_attn.qkv", "ComfyUI"),
        ("transformer.transformer_blocks.0.attn.to_q", "diffusers"),
    ],
)
def test_layout_is_the_spelling(module: str, layout: str) -> None:
    assert told(pairs([(module, 64, 64)]))["layout"] == layout


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ("{0}.lokr_w1 4x4\n{0}.lokr_w2 80x192", "LoKr"),
        ("{0}.hada_w1_a 320x4\n{0}.hada_w1_b 4x768", "LoHa"),
        ("{0}.oft_blocks 4x80x80", "OFT"),
        ("{0}.on_input 768", "(IA)3"),
        ("{0}.lora_down.weight 4x768\n{0}.lora_up.weight 320x4\n{0}.dora_scale 320x1", "DoRA"),
        ("{0}.lora_A.weight 4x768\n{0}.lora_B.weight 320x4\n{0}.lora_magnitude_vector 320", "DoRA"),
        ("{0}.lokr_w1 4x4\n{0}.lokr_w2 80x192\n{0}.dora_scale 320x1", "LoKr with DoRA"),
    ],
)
def test_kind_is_told_by_the_names_of_the_factors(parts: str, kind: str) -> None:
    assert told(parts.format(BLOCK))["kind"] == kind


@pytest.mark.parametrize(
    "text",
    [
        "a.alpha -\nb.alpha -",
        "a.diff 4x4\nb.diff 4x4",
        "a.weight 4x4\nb.weight 4x4\nc.lora_down.weight 2x4",
    ],
)
def test_a_few_such_names_make_no_adapter(text: str) -> None:
    assert told(text).get("type") != "lora"


def test_a_long_name_is_searched_from_near_its_end() -> None:
    names = ("a" * 200 + ".lora_down.weight 4x320", "a" * 200 + ".lora_up.weight 320x4")
    assert told("\n".join(names))["rank"] == 4


def test_lokr_width_is_the_product_of_both_factors() -> None:
    wide = f"{BLOCK}.lokr_w1 8x8\n{BLOCK}.lokr_w2 80x96"
    assert told(wide)["family"] == "SD 1.x"
    assert "family" not in told(wide.replace("80x96", "80x97"))


@pytest.mark.parametrize("order", [1, -1])
def test_all_widths_of_layers_folded_together_count(order: int) -> None:
    """A network's two halves are ``img_mlp_0`` and ``img_mlp_2``, of which one is wider."""
    halves = [("lora_unet_double_blocks_0_img_mlp_0", 3072, 18432)]
    halves += [("lora_unet_double_blocks_0_img_mlp_2", 9216, 3072)]
    assert told(kohya(halves[::order]))["family"] == "Flux.2"


@pytest.mark.parametrize(
    ("module", "width"),
    [
        ("lora_unet_down_blocks_0_temp_attentions_0_transformer_blocks_0_attn1_to_q", 320),
        ("lora_unet_down_blocks_0_attentions_0_temporal_transformer_blocks_0_attn1_to_q", 320),
    ],
)
def test_lora_of_a_video_unet_is_not_one_of_images(module: str, width: int) -> None:
    found = told(kohya([(BLOCK, 1024, 320), (module, width, width)]))
    assert found["type"] == "lora"
    assert "family" not in found
