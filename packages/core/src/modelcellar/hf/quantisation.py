"""Labels in file names that say how the numbers of a model are stored: quantisation, precision.

Sources: llama.cpp's ``include/llama.h`` (``enum llama_ftype``) and its forks, Unsloth's ``UD-`` and
``_XL`` names, the Hub's rule that the last known label counts (huggingface.js,
``packages/gguf/src/quant-descriptions.ts``), transformers.js for ONNX, exllama for ``bpw``.
"""

import re

__all__ = [
    "LABEL",
    "PRECISION",
    "last_label",
    "last_precision",
    "spelled_label",
    "spelled_precision",
]

# Each alternative is bounded, so that looking for a label at one place takes bounded time.
_GGML = r"""
    (?:ud[-_.])?(?:
        iq[1-6]_(?:xxs|xs|xxl|xl|kss|kl|ks|kt|nl|k|s|m|l)(?:_(?:r4|r8|xl|l|s))?
      | q[1-8][-_]k(?:[-_](?:xxs|xxl|xs|xl|s|m|l|p))?(?:_r[48])?
      | q[1-8]_[01](?:_(?:4_4|4_8|8_8|r4|r8|xl|l|s|m))?
      | tq[12]_0 | i2_s | mxfp4(?:_moe)? | nvfp4
    )
"""
_BITS = r"(?:[-_.]?(?:int[2-8]|[2-8][-_]?bits?))?(?:[-_.](?:32|64|128|256)g)?"
_OTHERS = rf"""
    q[2-8](?:f(?:16|32)(?:_[01])?)?
  | (?:fp8|float8)(?:[-_.]?(?:e4m3fnuz|e4m3fn|e4m3|e5m2fnuz|e5m2|scaled|mixed|fast)){{0,3}}
  | (?:e4m3fnuz|e4m3fn|e5m2)(?:[-_.]scaled)?
  | (?:bnb[-_.]?)?(?:nf4|fp4) | bnb[-_.]?[48](?:[-_.]?bit)? | bnb
  | u?int[248] | w[48]a(?:16|8|4)
  | (?:awq|gptq){_BITS}
  | (?:exl[23][-_.]?)?[1-9](?:[._][0-9]{{1,2}})?[-_]?bpw(?:[-_.]?h[68])?(?:[-_.]exl[23])?
  | exl[23] | hqq | svdq | quantized
  | [1-8](?:\.[0-9]{{1,2}})?[-_]?bits?(?:[-_.](?:32|64|128|256)g)?
"""
LABEL = rf"(?:{_GGML}|{_OTHERS})"
"""A quantisation, for a pattern with ``re.VERBOSE | re.IGNORECASE | re.ASCII``."""
PRECISION = r"(?:bf16|bfloat16|fp?16|float16|fp?32|float32|fp?64|float64)"
"""A precision, where nothing was made smaller than the 16 bits that models are trained with."""

_FLAGS = re.VERBOSE | re.IGNORECASE | re.ASCII
_ALONE = r"(?<![A-Za-z0-9])(?:{})(?![A-Za-z0-9])"
_ANY_LABEL = re.compile(_ALONE.format(LABEL), _FLAGS)
_ANY_PRECISION = re.compile(_ALONE.format(PRECISION), _FLAGS)
_IS_GGML = re.compile(_GGML, _FLAGS)
_UNSLOTH = re.compile(r"UD[-_.]")
_PRECISIONS = {"b": "bf16", "1": "fp16", "3": "fp32", "6": "fp64"}


def last_label(text: str) -> str | None:
    """The last quantisation that stands anywhere in ``text``, as `spelled_label` writes it."""
    found = None
    for match in _ANY_LABEL.finditer(text):
        found = match[0]
    return None if found is None else spelled_label(found)


def last_precision(text: str) -> str | None:
    """The last precision in ``text``: ``bf16``, ``fp16``, ``fp32`` or ``fp64``."""
    found = None
    for match in _ANY_PRECISION.finditer(text):
        found = match[0]
    return None if found is None else spelled_precision(found)


def spelled_label(label: str) -> str:
    """One spelling for all: ``Q4_K_M``, ``UD-Q4_K_XL`` as in llama.cpp, ``fp8_e4m3fn`` else."""
    if _IS_GGML.fullmatch(label):
        upper = label.upper()
        prefix = "UD-" if _UNSLOTH.match(upper) else ""
        return prefix + upper[len(prefix) :].replace("-", "_")
    return re.sub(r"[-_]+", "_", label.lower())


def spelled_precision(precision: str) -> str:
    """``F16``, ``float16`` and ``FP16`` are ``fp16``."""
    lowered = precision.lower()
    digits = lowered.lstrip("bfloatp")
    return _PRECISIONS["b" if lowered.startswith("b") else digits[0]]
