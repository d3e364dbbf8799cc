"""Recognises the ``model.json`` of TensorFlow.js, which lists the files that hold the weights.

Layout: github.com/tensorflow/tfjs, ``tfjs-core/src/io/types.ts``, ``ModelJSON``.
"""

import re

from modelcellar.formats.bounded_json import parse_json
from modelcellar.formats.cursor import Cursor
from modelcellar.formats.facts import clean_text, join, plural
from modelcellar.formats.reading import Reading, is_shape
from modelcellar.records import NO_PICKLE, FileFormat, JsonValue, Tensor

MAX_BYTES = 8 * 1024 * 1024
MAX_FILES = 1024
_FORMAT = re.compile(rb'"format"\s*:\s*"(?:graph|layers)-model"')
_DTYPES = {"float32": "F32", "int32": "I32", "float16": "F16", "uint8": "U8", "bool": "BOOL"}


def looks_like(head: bytes) -> bool:
    """Whether a JSON object begins here that says one of the two formats early on."""
    return head.lstrip()[:1] == b"{" and _FORMAT.search(head) is not None


def read(cursor: Cursor) -> Reading | None:
    """The listed files and tensors; ``None`` if it is other JSON, or too long to be read here."""
    if cursor.size_bytes > MAX_BYTES:
        return None
    cursor.seek(0)
    try:
        document = parse_json(cursor.take(cursor.size_bytes))
        groups = document["weightsManifest"]
        files = [path for group in groups for path in group["paths"] if isinstance(path, str)]
        weights = [weight for group in groups for weight in group["weights"]]
        tensors = tuple(_tensor(weight) for weight in weights)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    facts: dict[str, JsonValue] = {
        "format": clean_text(str(document.get("format")), 64),
        "tensor_count": len(tensors),
        "external_data": [clean_text(name, 256) for name in files[:MAX_FILES]],
    }
    parts = ("TensorFlow.js", plural(len(tensors), "tensor"), plural(len(files), "file"))
    return Reading(FileFormat.TFJS, join(parts), facts, tensors, security=NO_PICKLE)


def _tensor(weight: JsonValue) -> Tensor:
    shape = tuple(weight["shape"])
    if not is_shape(shape):
        raise ValueError("a tensor has no valid shape")
    dtype = weight["dtype"]
    return Tensor(str(weight["name"]), _DTYPES.get(dtype, clean_text(str(dtype), 32)), shape)
