"""Low-rank adapters in the spellings of all trainers: which kind, for what, rank and alpha."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product

from modelcellar.formats.classify.names import TensorNames
from modelcellar.formats.classify.rules import match_rules
from modelcellar.records import Confidence, Finding, ModelType

__all__ = ["judge_adapter"]

Shape = tuple[int, ...]

_ENDING = re.compile(
    r"[._](?P<part>lora_(?:down|up|mid)\.weight|lora_[AB](?:\.\w+)?\.weight|lora_[AB]"
    r"|lora[12]?\.(?:down|up)\.weight|lokr_(?:w[12](?:_[ab])?|t2)|hada_(?:w[12]_[ab]|t[12])"
    r"|alpha|dora_scale|lora_magnitude_vector(?:\.\w+)*|oft_(?:blocks|diag)|boft_\w+"
    r"|diff_b|diff|on_input|(?:[ab][12])\.weight)$"
)
_KINDS = (
    ("lokr_", "LoKr"),
    ("hada_", "LoHa"),
    ("oft_", "OFT"),
    ("boft_", "BOFT"),
    ("on_input", "(IA)3"),
)
_DORA = ("dora_scale", "lora_magnitude_vector")
_DOWN = re.compile(r"lora_down\.weight|lora_A.*|lora[12]?\.down\.weight")
_LAYOUTS = (
    ("lora_unet_", "kohya"),
    ("lora_te", "kohya"),
    ("lora_transformer_", "OneTrainer"),
    ("lycoris_", "LyCORIS"),
    ("base_model.model.", "PEFT"),
    ("diffusion_model.", "ComfyUI"),
    ("unet.", "diffusers"),
    ("transformer.", "diffusers"),
    ("text_encoder", "diffusers"),
)
_PREFIX = re.compile(
    r"^(?:lora_(?:unet|transformer)_|lora_(?=te\d?_)|lycoris_|base_model_model_|diffusion_model_|unet_"
    r"|transformer_(?!blocks_))+"
)
_TEXT_ENCODER = re.compile(r"^text_encoder(?:_(\d))?_")
MAX_ENDING = 96
"""Characters of a name in which what the tensor is must stand."""
LEAST_SHARE = 0.5
"""Of all names; a checkpoint may hold a LoRA or two and is still a checkpoint."""


@dataclass(slots=True)
class _Module:
    """The tensors that change one module, by what they are; layers folded together."""

    parts: dict[str, set[Shape]] = field(default_factory=dict)

    def widths(self) -> set[int]:
        """What the module takes in, as far as the shapes tell."""
        found = {
            shape[1]
            for part, shapes in self.parts.items()
            if _DOWN.fullmatch(part) or part == "hada_w1_b"
            for shape in shapes
            if len(shape) > 1
        }
        one, two = self._inputs("lokr_w1"), self._inputs("lokr_w2")
        return found | {left * right for left, right in product(one, two)}

    def ranks(self) -> Iterator[int]:
        """The inner sizes of its factors."""
        for part, shapes in self.parts.items():
            if _DOWN.fullmatch(part) or part in ("hada_w1_b", "lokr_w1_b", "lokr_w2_b"):
                yield from (shape[0] for shape in shapes if shape)

    def _inputs(self, factor: str) -> set[int]:
        shapes = self.parts.get(factor, set()) | self.parts.get(f"{factor}_b", set())
        return {shape[1] for shape in shapes if len(shape) > 1}


def judge_adapter(names: TensorNames, scalars: Mapping[str, float]) -> dict[str, Finding]:
    """Type, kind, family, layout, rank and alpha of a LoRA; empty if it is none."""
    modules: dict[str, _Module] = {}
    matched = 0
    parts: set[str] = set()
    for name, shapes in names.folded.items():
        # From near its end: from each place of a long name on it could run to the end anew.
        match = _ENDING.search(name, max(0, len(name) - MAX_ENDING))
        if match is None:
            continue
        matched += 1
        parts.add(match["part"])
        module = modules.setdefault(name[: match.start()], _Module())
        module.parts.setdefault(match["part"], set()).update(shapes)
    if matched < LEAST_SHARE * len(names.folded) or not _is_adapter(parts):
        return {}
    kind = _kind(parts)
    evidence = f"pairs of small matrices for {len(modules):,} kinds of modules"
    found = {"type": Finding(ModelType.LORA.value, evidence)}
    found["kind"] = Finding(kind, f"tensors called {', '.join(sorted(parts)[:4])}")
    layout = next(
        (text for start, text in _LAYOUTS for name in modules if name.startswith(start)), ""
    )
    if layout:
        found["layout"] = Finding(layout, "the spelling of the modules' names")
    ranks = Counter(rank for module in modules.values() for rank in module.ranks())
    if ranks:
        rank = max(ranks, key=lambda one: (ranks[one], one))
        found["rank"] = Finding(rank, "the inner size of most pairs of matrices")
    alphas = [value for key, value in scalars.items() if key.endswith(".alpha")]
    if alphas:
        text = "the value of a tensor called alpha"
        found["alpha"] = Finding(_short(alphas[0]), text, Confidence.LIKELY)
    return found | _family(modules)


def _is_adapter(parts: set[str]) -> bool:
    # "diff" and "alpha" alone are names that anything may have.
    return any(
        part.startswith(("lora", "lokr", "hada", "oft", "boft", "on_input")) for part in parts
    )


def _kind(parts: set[str]) -> str:
    kind = next((name for start, name in _KINDS if any(p.startswith(start) for p in parts)), "LoRA")
    is_dora = any(part.startswith(_DORA) for part in parts)
    if not is_dora:
        return kind
    return "DoRA" if kind == "LoRA" else f"{kind} with DoRA"


def _family(modules: Mapping[str, _Module]) -> dict[str, Finding]:
    spelled = TensorNames(())
    for name, module in modules.items():
        spelled.add(_spelling(name), {(width,) for width in module.widths() or {0}})
    match = match_rules(spelled, {}).get("lora")
    return match.findings() if match is not None else {}


def _spelling(module: str) -> str:
    """One spelling for the same module: ``unet.mid_block.x`` and ``lora_unet_mid_block_x``."""
    flat = _PREFIX.sub("", module.replace(".", "_"))
    return _TEXT_ENCODER.sub(lambda match: f"te{match[1] or ''}_", flat)


def _short(value: float) -> float | int:
    return int(value) if value == int(value) else value
