"""How the numbers of a model are stored, and how many there are."""

import math
from collections import Counter
from collections.abc import Collection, Sequence

from modelcellar.formats.reading import AnyTensor
from modelcellar.records import Confidence, Finding

__all__ = ["judge_precision"]

_PACKED = (
    (".quant_state.bitsandbytes__nf4", "NF4 (bitsandbytes)"),
    (".quant_state.bitsandbytes__fp4", "FP4 (bitsandbytes)"),
    (".g_idx", "GPTQ"),
    (".qzeros", "AWQ"),
    (".wscales", "SVDQuant"),
    ("_blocks", "MXFP4"),
)
"""Ends of names that only a packed format has, and what it is called."""
_MXFP4_SCALES = "_scales"
_BITS = {"F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32}
_SCALED = (".scale_weight", ".weight_scale", "scaled_fp8")
MIXED_SHARE = 0.9
"""From this share of the bytes on one type stands for the whole."""


def judge_precision(tensors: Sequence[AnyTensor], names: Collection[str]) -> dict[str, Finding]:
    """``precision``, ``quantization`` where packed numbers show it, ``parameter_count``.

    ``names`` are those of the tensors with their numbers folded, of which there are few.
    """
    packed = _packed(tensors, names)
    sizes: Counter[str] = Counter()
    count = 0
    # Of thousands of tensors few differ in both.
    alike = Counter((tensor.dtype, tensor.shape) for tensor in tensors)
    for (dtype, shape), number in alike.items():
        elements = math.prod(shape) * number
        count += elements
        sizes[dtype] += elements * _BITS.get(dtype, 8 if "8" in dtype else 16)
    if packed is not None:
        evidence = "tensors whose names only this format has"
        return {"quantization": Finding(packed, evidence, Confidence.CERTAIN)}
    found = {"parameter_count": Finding(count, "the shapes of all tensors")}
    if not sizes.total():
        return found
    ((main, most),) = sizes.most_common(1)
    if most < MIXED_SHARE * sizes.total():
        main = " + ".join(name for name, _ in sizes.most_common(3))
    if any(name.endswith(_SCALED) for name in names):
        main += " (scaled)"
    found["precision"] = Finding(main, f"{most / sizes.total():.0%} of the bytes")
    return found


def _packed(tensors: Sequence[AnyTensor], names: Collection[str]) -> str | None:
    ends = {end for name in names for end, _ in _PACKED if name.endswith(end)}
    if "_blocks" in ends and not any(
        tensor.name.endswith(_MXFP4_SCALES) and tensor.dtype == "U8" for tensor in tensors
    ):
        ends.discard("_blocks")
    return next((name for end, name in _PACKED if end in ends), None)
