"""Headers of the sizes that real models have, in sparse files: names and shapes, no weights."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def sdxl_checkpoint() -> Shapes:
    """About 2,500 tensors: UNet, two text encoders, VAE (Stable Diffusion XL 1.0)."""
    unet = "model.diffusion_model"
    yield f"{unet}.label_emb.0.0.weight", (1280, 2816)
    for place, (width, depth) in enumerate([(640, 2)] * 2 + [(1280, 10)] * 3 + [(640, 2)] * 3):
        for block in range(depth * 2):
            base = f"{unet}.input_blocks.{place + 4}.1.transformer_blocks.{block}"
            for attention, context in (("attn1", width), ("attn2", 2048)):
                yield f"{base}.{attention}.to_q.weight", (width, width)
                yield f"{base}.{attention}.to_k.weight", (width, context)
                yield f"{base}.{attention}.to_v.weight", (width, context)
                yield f"{base}.{attention}.to_out.0.weight", (width, width)
                yield f"{base}.{attention}.to_out.0.bias", (width,)
            yield f"{base}.ff.net.0.proj.weight", (width * 8, width)
            yield f"{base}.ff.net.2.weight", (width, width * 4)
            for norm in (1, 2, 3):
                yield f"{base}.norm{norm}.weight", (width,)
    for layer in range(32):
        base = f"conditioner.embedders.1.model.transformer.resblocks.{layer}"
        yield f"{base}.attn.in_proj_weight", (3840, 1280)
        yield f"{base}.mlp.c_fc.weight", (5120, 1280)
        for norm in (1, 2):
            yield f"{base}.ln_{norm}.weight", (1280,)
    for name, shape in clip_l():
        yield f"conditioner.embedders.0.transformer.{name}", shape
    for name, shape in vae():
        yield f"first_stage_model.{name}", shape


def clip_l() -> Shapes:
    """196 tensors: the text encoder CLIP ViT-L/14."""
    yield "text_model.embeddings.token_embedding.weight", (49408, 768)
    yield "text_model.embeddings.position_embedding.weight", (77, 768)
    for layer in range(12):
        base = f"text_model.encoder.layers.{layer}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield f"{base}.self_attn.{part}.weight", (768, 768)
            yield f"{base}.self_attn.{part}.bias", (768,)
        yield f"{base}.mlp.fc1.weight", (3072, 768)
        yield f"{base}.mlp.fc2.weight", (768, 3072)
        for norm in (1, 2):
            yield f"{base}.layer_norm{norm}.weight", (768,)
    yield "text_model.final_layer_norm.weight", (768,)


def vae() -> Shapes:
    """About 250 tensors: the autoencoder of Stable Diffusion."""
    yield "encoder.conv_in.weight", (128, 3, 3, 3)
    yield "encoder.conv_out.weight", (8, 512, 3, 3)
    yield "decoder.conv_in.weight", (512, 4, 3, 3)
    yield "decoder.mid.attn_1.q.weight", (512, 512, 1, 1)
    yield "decoder.conv_out.weight", (3, 128, 3, 3)
    yield "quant_conv.weight", (8, 8, 1, 1)
    yield "post_quant_conv.weight", (4, 4, 1, 1)
    for side, way, blocks in (("encoder", "down", 2), ("decoder", "up", 3)):
        for level in range(4):
            for block in range(blocks):
                base = f"{side}.{way}.{level}.block.{block}"
                for part in ("conv1", "conv2"):
                    yield f"{base}.{part}.weight", (128, 128, 3, 3)
                    yield f"{base}.{part}.bias", (128,)
                for part in ("norm1", "norm2"):
                    yield f"{base}.{part}.weight", (128,)
                    yield f"{base}.{part}.bias", (128,)


def kohya_lora(blocks: int, width: int, context: int) -> Shapes:
    """Three tensors a module, as kohya's sd-scripts write them."""
    for block in range(blocks):
        base = f"lora_unet_input_blocks_{4 + block // 10}_1_transformer_blocks_{block % 10}"
        for attention in ("attn1", "attn2"):
            for part in ("to_q", "to_k", "to_v", "to_out_0"):
                wide = context if attention == "attn2" and part in ("to_k", "to_v") else width
                yield f"{base}_{attention}_{part}.alpha", ()
                yield f"{base}_{attention}_{part}.lora_down.weight", (32, wide)
                yield f"{base}_{attention}_{part}.lora_up.weight", (width, 32)


def llama(layers: int) -> Shapes:
    """Nine tensors a layer: the language models of most makers."""
    yield "model.embed_tokens.weight", (128256, 4096)
    for layer in range(layers):
        base = f"model.layers.{layer}"
        for part, rows in (("q", 4096), ("k", 1024), ("v", 1024), ("o", 4096)):
            yield f"{base}.self_attn.{part}_proj.weight", (rows, 4096)
        for part in ("gate", "up"):
            yield f"{base}.mlp.{part}_proj.weight", (14336, 4096)
        yield f"{base}.mlp.down_proj.weight", (4096, 14336)
        yield f"{base}.input_layernorm.weight", (4096,)
        yield f"{base}.post_attention_layernorm.weight", (4096,)
    yield "model.norm.weight", (4096,)
    yield "lm_head.weight", (128256, 4096)


def flux() -> Shapes:
    """780 tensors: the transformer of Flux.1."""
    yield "img_in.weight", (3072, 64)
    yield "txt_in.weight", (3072, 4096)
    yield "guidance_in.in_layer.weight", (3072, 256)
    for block in range(19):
        for side in ("img", "txt"):
            base = f"double_blocks.{block}.{side}"
            for part, shape in {
                **{"attn.qkv": (9216, 3072), "attn.proj": (3072, 3072)},
                **{"mlp.0": (12288, 3072), "mlp.2": (3072, 12288), "mod.lin": (18432, 3072)},
            }.items():
                yield f"{base}_{part}.weight", shape
                yield f"{base}_{part}.bias", shape[:1]
            for norm in ("query", "key"):
                yield f"{base}_attn.norm.{norm}_norm.scale", (128,)
    for block in range(38):
        base = f"single_blocks.{block}"
        for part, shape in {
            **{"linear1": (21504, 3072), "linear2": (3072, 15360)},
            **{"modulation.lin": (9216, 3072)},
        }.items():
            yield f"{base}.{part}.weight", shape
            yield f"{base}.{part}.bias", shape[:1]


def write_safetensors_header(path: Path, tensors: Shapes, metadata: dict[str, str]) -> None:
    """A safetensors file whose data is one hole."""
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    end = 0
    for name, shape in tensors:
        start, end = end, end + 2 * _product(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def write_gguf_header(path: Path, *, layers: int, tokens: int) -> None:
    """A GGUF file with a vocabulary, its data one hole."""
    pairs = [
        _pair("general.architecture", 8, _text("llama")),
        _pair("general.file_type", 4, struct.pack("<I", 15)),
        _pair("llama.context_length", 4, struct.pack("<I", 8192)),
        _strings("tokenizer.ggml.tokens", [f"token{n}" for n in range(tokens)]),
        _pair("tokenizer.ggml.token_type", 9, struct.pack("<IQ", 5, tokens) + bytes(4 * tokens)),
        _strings("tokenizer.ggml.merges", [f"t{n} k{n}" for n in range(tokens * 2)]),
    ]
    infos, end = [], 0
    for layer in range(layers):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_gate", "ffn_down"):
            name = _text(f"blk.{layer}.{part}.weight")
            infos.append(name + struct.pack("<IQQIQ", 2, 4096, 4096, 1, end))
            end += 4096 * 4096 * 2
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(pairs)) + b"".join(pairs + infos)
    head += bytes(-len(head) % 32)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + end)


def _pair(key: str, kind: int, value: bytes) -> bytes:
    return _text(key) + struct.pack("<I", kind) + value


def _strings(key: str, values: list[str]) -> bytes:
    packed = b"".join(map(_text, values))
    return _pair(key, 9, struct.pack("<IQ", 8, len(values)) + packed)


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product
