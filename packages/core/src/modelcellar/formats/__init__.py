"""What a file is, from its bytes: formats, refusals, and readers of headers.

Later knowledge has its room here: one module for each format, one for what it sums up.
"""

from modelcellar.formats.detect import inspect_file, inspect_stream
from modelcellar.formats.gguf import GgufHeader
from modelcellar.formats.safetensors import SafetensorsHeader

__all__ = ["GgufHeader", "SafetensorsHeader", "inspect_file", "inspect_stream"]
