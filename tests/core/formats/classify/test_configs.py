"""What configuration beside the weights says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcellar.formats.classify import classify
from modelcellar.formats.classify.configs import _entries
from modelcellar.formats.documents import MAX_CARD_BYTES, read_documents, read_front_matter
from modelcellar.records import ModelType

CLASSES: Mapping[str, tuple[str, ...]] = {
    "CLIPTextModelWithProjection": ("text_encoder", "CLIP"),
    "T5EncoderModel": ("text_encoder", "T5"),
    "CLIPVisionModelWithProjection": ("clip_vision",),
    "CLIPModel": ("other", "CLIP, texts and images"),
    "Siglip2Model": ("other", "SigLIP, texts and images"),
    "ClapModel": ("audio", "CLAP, texts and sounds"),
    "Qwen2AudioForConditionalGeneration": ("llm", "sound and language"),
    "WhisperForConditionalGeneration": ("audio", "speech recognition"),
    "Wav2Vec2ForCTC": ("audio",),
    "MusicgenForConditionalGeneration": ("audio",),
    "ViTForImageClassification": ("vision",),
    "DepthAnythingForDepthEstimation": ("vision",),
    "SamModel": ("vision",),
    "Qwen2_5_VLForConditionalGeneration": ("llm", "vision and language"),
    "LlavaForConditionalGeneration": ("llm", "vision and language"),
    "T5ForConditionalGeneration": ("llm", "encoder and decoder"),
    "LlamaForCausalLM": ("llm",),
    "GPT2LMHeadModel": ("llm",),
    "BertForSequenceClassification": ("other", "text classifier"),
    "BertForMaskedLM": ("other", "text model of one task"),
}
PIPELINES: Mapping[str, tuple[str, ...]] = {
    "StableDiffusionXLPipeline": ("checkpoint", "SDXL"),
    "StableDiffusion3Pipeline": ("checkpoint", "SD 3"),
    "StableVideoDiffusionPipeline": ("checkpoint", "Stable Video Diffusion"),
    "StableDiffusionUpscalePipeline": ("checkpoint",),
    "StableDiffusionPipeline": ("checkpoint",),
    "Flux2Pipeline": ("checkpoint", "Flux.2"),
    "FluxPipeline": ("checkpoint", "Flux.1"),
    "ChromaPipeline": ("checkpoint", "Chroma"),
    "WanImageToVideoPipeline": ("checkpoint", "Wan"),
    "HunyuanVideoPipeline": ("checkpoint", "HunyuanVideo"),
    "HunyuanSkyreelsImageToVideoPipeline": ("checkpoint", "HunyuanVideo"),
    "HunyuanVideo15Pipeline": ("checkpoint", "HunyuanVideo 1.5"),
    "HunyuanDiTPipeline": ("checkpoint", "Hunyuan-DiT"),
    "HunyuanImagePipeline": ("checkpoint", "Hunyuan Image"),
    "QwenImageEditPipeline": ("checkpoint", "Qwen-Image"),
    "ZImagePipeline": ("checkpoint", "Z-Image"),
    "Lumina2Pipeline": ("checkpoint", "Lumina 2"),
    "LTXPipeline": ("checkpoint", "LTX-Video"),
    "LTX2Pipeline": ("checkpoint", "LTX-2"),
    "CogVideoXPipeline": ("checkpoint", "CogVideoX"),
    "MochiPipeline": ("checkpoint", "Mochi"),
    "AuraFlowPipeline": ("checkpoint", "AuraFlow"),
    "PixArtSigmaPipeline": ("checkpoint", "PixArt"),
    "KolorsPipeline": ("checkpoint", "Kolors"),
    "HiDreamImagePipeline": ("checkpoint", "HiDream"),
    "StableCascadeCombinedPipeline": ("checkpoint", "Stable Cascade"),
    "Kandinsky5T2VPipeline": ("checkpoint", "Kandinsky 5"),
    "SanaSprintPipeline": ("checkpoint", "Sana"),
    "Cosmos2TextToImagePipeline": ("checkpoint", "Cosmos"),
    "CogView4Pipeline": ("checkpoint", "CogView4"),
    "OmniGen2Pipeline": ("checkpoint", "OmniGen2"),
    "AceStepPipeline": ("audio", "ACE-Step 1.5"),
    "StableAudioPipeline": ("audio", "Stable Audio"),
    "MusicLDMPipeline": ("audio",),
    "SomethingNewPipeline": ("checkpoint",),
}
COMPONENTS: Mapping[str, str] = {
    "AutoencoderTiny": "vae",
    "AutoencoderKLWan": "vae",
    "AutoencoderDC": "vae",
    "AutoencoderOobleck": "vae",
    "AsymmetricAutoencoderKL": "vae",
    "FluxControlNetModel": "controlnet",
    "T2IAdapter": "controlnet",
    "MotionAdapter": "other",
    "UNet2DConditionModel": "diffusion_model",
    "FluxTransformer2DModel": "diffusion_model",
    "HunyuanDiT2DModel": "diffusion_model",
    "StableCascadeUNet": "diffusion_model",
    "StableAudioDiTModel": "audio",
}


def told(documents: Mapping[str, Any]) -> dict[str, Any]:
    return {name: finding.value for name, finding in classify([], documents).items()}


@pytest.mark.parametrize("name", CLASSES)
def test_classes_of_transformers(name: str) -> None:
    found = told({"config.json": {"architectures": [name], "model_type": "x"}})
    assert (found["type"], *([found["kind"]] if "kind" in found else [])) == CLASSES[name]


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_of_diffusers(name: str) -> None:
    found = told({"model_index.json": {"_class_name": name}})
    assert (found["type"], *([found["family"]] if "family" in found else [])) == PIPELINES[name]
    assert "kind" in found


@pytest.mark.parametrize("name", COMPONENTS)
def test_components_of_diffusers(name: str) -> None:
    assert told({"config.json": {"_class_name": name}})["type"] == COMPONENTS[name]


def test_every_entry_is_hit() -> None:
    names = {"transformers": CLASSES, "diffusers": PIPELINES, "components": COMPONENTS}
    for section, known in names.items():
        entries = _entries(section)
        hit = {
            next(at for at, entry in enumerate(entries) if entry.pattern.fullmatch(name))
            for name in known
        }
        assert hit == set(range(len(entries))), section
        for entry in entries:
            ModelType(entry.gives["type"])


@pytest.mark.parametrize("name", ["", "BertModel", "x" * 5000, "Llama ForCausalLM"])
def test_other_classes_say_nothing(name: str) -> None:
    assert "type" not in told({"config.json": {"architectures": [name]}})


@pytest.mark.parametrize(("width", "family"), [(768, "SD 1.x"), (1024, "SD 2.x"), (2048, "SDXL")])
def test_width_of_a_unet(width: int, family: str) -> None:
    document = {"_class_name": "UNet2DConditionModel", "cross_attention_dim": width}
    assert told({"config.json": document})["family"] == family


@pytest.mark.parametrize(
    "other", [{"_class_name": "UNet3DConditionModel"}, {"in_channels": 8, "out_channels": 8}]
)
def test_width_of_a_unet_for_videos_or_sound_says_nothing(other: dict[str, Any]) -> None:
    document = {"_class_name": "UNet2DConditionModel", "cross_attention_dim": 1024} | other
    found = told({"config.json": document})
    assert found["type"] == "diffusion_model"
    assert "family" not in found


def test_adapter_of_peft() -> None:
    document = {
        "peft_type": "LORA",
        "r": 16,
        "lora_alpha": 32,
        "base_model_name_or_path": "/home/alice/models/t5-large",
    }
    found = told({"adapter_config.json": document})
    assert (found["type"], found["kind"], found["rank"], found["alpha"]) == ("lora", "LoRA", 16, 32)
    assert found["base_model"] == "t5-large"
    assert told({"adapter_config.json": document | {"use_dora": True}})["kind"] == "DoRA"
    for rank in (float("inf"), float("nan"), 2**80, True, "4", 0):
        assert "rank" not in told({"adapter_config.json": document | {"r": rank}})


def test_context_quantization_and_precision() -> None:
    document = {
        "architectures": ["LlamaForCausalLM"],
        "text_config": {"max_position_embeddings": 131072},
        "quantization_config": {"quant_method": "gptq", "bits": 4},
        "torch_dtype": "bfloat16",
    }
    found = told({"config.json": document})
    assert found["context_length"] == 131072
    assert found["quantization"] == "gptq 4 bit"
    assert found["precision"] == "bfloat16"


def test_sentence_transformers() -> None:
    found = told({"modules.json": [], "config.json": {"architectures": ["BertModel"]}})
    assert found["type"] == "embedding_model"


def test_reranker_by_its_card() -> None:
    documents = {
        "modules.json": [],
        "config.json": {"architectures": ["BertForSequenceClassification"]},
        "README.md": {"pipeline_tag": "text-ranking", "license": "mit"},
    }
    found = told(documents)
    assert (found["type"], found["kind"], found["licence"]) == ("other", "reranker", "mit")


def test_code_of_its_own_is_said() -> None:
    assert told({"config.json": {"auto_map": {"AutoModel": "x.Y"}}})["runs_own_code"] is True


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("aL/:\n", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "architectures",
                    "_class_name",
                    "r",
                    "peft_type",
                    "tags",
                    "base_model",
                    "license",
                    "quantization_config",
                    "text_config",
                    "torch_dtype",
                    "auto_map",
                    "lora_alpha",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
NAMES = ("config.json", "adapter_config.json", "model_index.json", "modules.json", "README.md")


@given(st.dictionaries(st.sampled_from(NAMES), json_values))
def test_no_document_makes_it_fail(documents: dict[str, Any]) -> None:
    for finding in classify([], documents).values():
        assert finding.evidence


def test_configuration_of_empty_lists_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type":"llama","x":[' + "[]," * 10**6 + "[]]}")
    assert read_documents({"config.json": tmp_path / "config.json"}) == {}


class TestFrontMatter:
    def test_is_read(self) -> None:
        data = b"---\r\nlicense: mit\r\ntags:\r\n- a\r\n---\r\n# Model\r\n"
        assert read_front_matter(data) == {"license": "mit", "tags": ["a"]}

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"# Model\n",
            b"---\nlicense: mit\n",
            b"---\na: &x [1]\nb: *x\n---\n",
            b"---\n!!python/object/apply:os.system [x]\n---\n",
            b"---\n: : :\n---\n",
            *(
                b"---\na: " + value + b"\n---\n"
                for value in (b"!!bool x", b'!!int ""', b'!!float ""', b"!!timestamp x", b"!x y")
            ),
            b"---\n" + b"[" * 5000 + b"\n---\n",
            b"---\n\xff\xfe: \0\n---\n",
        ],
    )
    def test_is_left_out_where_it_is_broken_or_hostile(self, data: bytes) -> None:
        assert read_front_matter(data) is None

    def test_every_value_is_a_text(self) -> None:
        data = b"---\na: 2020-99-99\nb: 0x\nc: yes\nd: 1__\ne: ~\n---\n"
        expected = {"a": "2020-99-99", "b": "0x", "c": "yes", "d": "1__", "e": "~"}
        assert read_front_matter(data) == expected

    def test_only_its_beginning_is_read(self, tmp_path: Path) -> None:
        card = tmp_path / "README.md"
        card.write_bytes(b"---\nlicense: mit\n---\n" + b"x" * (2 * MAX_CARD_BYTES))
        (tmp_path / "config.json").write_text("{")
        files = {path.name: path for path in (card, tmp_path / "config.json")}
        assert read_documents(files) == {"README.md": {"license": "mit"}}
