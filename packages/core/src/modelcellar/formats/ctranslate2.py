"""Reads and checks the variables of a CTranslate2 ``model.bin``.

Layout: github.com/OpenNMT/CTranslate2, ``python/ctranslate2/specs/model_spec.py``, ``_serialize``.
"""

import re
import struct
from collections import Counter
from collections.abc import Mapping

from modelcellar.formats.cursor import Cursor, damaged, too_large
from modelcellar.formats.facts import clean_bytes, clean_name, join, kinds_line, most_common, plural
from modelcellar.formats.reading import Reading
from modelcellar.records import NO_PICKLE, FileFormat, JsonValue, Tensor

VERSIONS = range(1, 7)
FIRST_TYPED_VERSION = 4
"""From this version on each variable says its type and its length in bytes."""
MAX_VARIABLES = 65_536
MAX_DIMENSIONS = 8
DTYPES: Mapping[int, tuple[str, int]] = {
    0: ("F32", 4),
    1: ("I8", 1),
    2: ("I16", 2),
    3: ("I32", 4),
    4: ("F16", 2),
    5: ("BF16", 2),
}
_HEAD = re.compile(rb"[\x01-\x06]\0\0\0(?P<length>[\x02-\x40]\0)(?P<name>\w+)\0", re.ASCII)
_U32 = struct.Struct("<I")


def looks_like(head: bytes) -> bool:
    """Whether a version and the name of a specification with its right length stand there."""
    match = _HEAD.match(head)
    return match is not None and match["length"][0] == len(match["name"]) + 1


def inspect(cursor: Cursor) -> Reading:
    """Reads every variable's head and checks that its bytes are there."""
    cursor.seek(0)
    (version,) = cursor.unpack(_U32)
    spec = clean_bytes(_text(cursor))
    (revision,) = cursor.unpack(_U32)
    (count,) = cursor.unpack(_U32)
    facts: dict[str, JsonValue] = {"version": version, "spec": spec, "revision": revision}
    if version < FIRST_TYPED_VERSION:
        summary = join(("CTranslate2", spec))
        return Reading(FileFormat.CTRANSLATE2, summary, facts, security=NO_PICKLE)
    if count > MAX_VARIABLES:
        raise too_large(f"{count:,} variables")
    tensors = tuple(_variable(cursor) for _ in range(count))
    dtypes = Counter(tensor.dtype for tensor in tensors)
    facts |= {"tensor_count": count, "dtypes": most_common(dtypes)}
    summary = join(("CTranslate2", spec, plural(count, "tensor"), kinds_line(dtypes)))
    return Reading(FileFormat.CTRANSLATE2, summary, facts, tensors, security=NO_PICKLE)


def _variable(cursor: Cursor) -> Tensor:
    name = _text(cursor).decode(errors="replace")
    shown = repr(clean_name(name, 128))
    dimensions = cursor.take(1)[0]
    if dimensions > MAX_DIMENSIONS:
        raise damaged(f"variable {shown} says it has {dimensions} dimensions")
    shape = struct.unpack(f"<{dimensions}I", cursor.take(4 * dimensions))
    type_id = cursor.take(1)[0]
    (size_bytes,) = cursor.unpack(_U32)
    dtype, width = DTYPES.get(type_id, (f"type {type_id}", 0))
    elements = 1
    for size in shape:
        elements *= size
    if width and elements * width != size_bytes:
        raise damaged(
            f"variable {shown} takes {elements * width:,} bytes by its shape, and says "
            f"{size_bytes:,}"
        )
    cursor.skip(size_bytes)
    return Tensor(name, dtype, shape)


def _text(cursor: Cursor) -> bytes:
    (length,) = cursor.unpack(struct.Struct("<H"))
    return cursor.take(length).removesuffix(b"\0")
