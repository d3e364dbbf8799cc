"""What a file is, from its bytes: formats, refusals, and readers of headers.

Later knowledge has its room here: one module for each format, one for what it sums up.
"""

from modelcellar.formats.bounded_json import parse_json
from modelcellar.formats.classify.words import in_words
from modelcellar.formats.gguf import GgufHeader
from modelcellar.formats.inspection import inspect_file, inspect_model, inspect_stream
from modelcellar.formats.safetensors_types import SafetensorsHeader

__all__ = [
    "GgufHeader",
    "SafetensorsHeader",
    "in_words",
    "inspect_file",
    "inspect_model",
    "inspect_stream",
    "parse_json",
]
