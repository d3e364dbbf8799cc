"""Reads and checks the header of a safetensors file.

The layout, the types and the rule that tensors cover the data exactly, without gaps or overlaps,
are those of the reference implementation (github.com/huggingface/safetensors,
``safetensors/src/tensor.rs``). Stricter than it: a name that occurs twice is refused, because
readers disagree about which of the two counts.
"""

import struct
from collections.abc import Sequence
from operator import itemgetter
from typing import TypeGuard

from modelcellar.formats.cursor import Cursor, damaged, other_format, too_large, truncated
from modelcellar.formats.facts import clean_text, plural
from modelcellar.formats.safetensors_quick import quick_tensors
from modelcellar.formats.safetensors_types import (
    DTYPE_BITS,
    MAX_U64,
    METADATA,
    SafetensorsHeader,
    TensorInfo,
    product,
)
from modelcellar.formats.strict_json import JsonScanner

LENGTH = struct.Struct("<Q")
MAX_HEADER_BYTES = 100_000_000
"""The limit of the format itself."""

# Limits of this reader, so that a hostile header costs neither 64 MiB nor two seconds. Real
# headers stay below 1 MiB and 5,000 tensors; what is larger is recognised but not read.
MAX_READ_BYTES = 12 * 1024 * 1024
MAX_READ_TENSORS = 65_536
MAX_READ_DIMENSIONS = 262_144
MAX_READ_METADATA_KEYS = 16_384
KEPT_METADATA_BYTES = 5 * 1024 * 1024
KEPT_VALUE_BYTES = 2 * 1024 * 1024

_EXTENT = itemgetter(TensorInfo._fields.index("start"), TensorInfo._fields.index("end"))


def read_header_length(cursor: Cursor) -> int:
    """Bytes of the header, known to be within the format's limit and within the file."""
    cursor.seek(0)
    if cursor.left < LENGTH.size:
        raise other_format(f"{cursor.size_bytes} bytes are too few for a safetensors file")
    header_bytes: int = cursor.unpack(LENGTH)[0]
    if header_bytes > MAX_HEADER_BYTES:
        raise damaged(
            f"the header says it has {header_bytes:,} bytes, the format allows {MAX_HEADER_BYTES:,}"
        )
    if header_bytes > cursor.left:
        raise truncated(
            f"the header alone takes {LENGTH.size + header_bytes:,} bytes, "
            f"the file has {cursor.size_bytes:,}"
        )
    return header_bytes


def read_header(cursor: Cursor) -> SafetensorsHeader:
    """The header of the whole file under ``cursor``.

    Raises ``FormatError``: the header is not valid, does not fit the file, or is above the limits
    of this reader.
    """
    header_bytes = read_header_length(cursor)
    if header_bytes > MAX_READ_BYTES:
        raise too_large(f"a header of {header_bytes:,} bytes")
    header = _parse(cursor.take(header_bytes))
    _check_extents(header.tensors, LENGTH.size + header_bytes, cursor.size_bytes)
    return header


def _check_extents(tensors: Sequence[TensorInfo], data_start: int, size_bytes: int) -> None:
    end = 0
    for tensor in sorted(tensors, key=_EXTENT):
        if tensor.start != end:
            fault = "overlaps the one before it" if tensor.start < end else "leaves a gap"
            raise damaged(
                f"tensor {_shown(tensor.name)} {fault}: it starts at data byte "
                f"{tensor.start:,} instead of {end:,}"
            )
        end = tensor.end
    expected = data_start + end
    if expected > size_bytes:
        raise truncated(f"the header says {expected:,} bytes, the file has {size_bytes:,}")
    if expected < size_bytes:
        raise damaged(
            f"the tensors end at byte {expected:,}, the file has {size_bytes:,}: "
            f"{plural(size_bytes - expected, 'byte')} too many"
        )


def _parse(data: bytes) -> SafetensorsHeader:
    """The header, entry by entry.

    A large header is never turned into one tree of Python objects: that takes up to 25 times its
    length, and plain ``json`` keeps the last of two equal names without a word.
    """
    scanner = JsonScanner(data)
    metadata: tuple[dict[str, str], tuple[str, ...]] | None = None
    tensors: list[TensorInfo] = []
    names: set[str] = set()
    dimensions = 0
    for name in scanner.members():
        if name == METADATA:
            if metadata is not None:
                raise damaged("its header has two blocks of metadata")
            metadata = _metadata(scanner)
            continue
        if not tensors and (quick := quick_tensors(scanner.from_member())) is not None:
            kept, left_out = metadata or ({}, ())
            return SafetensorsHeader(len(data), kept, quick, left_out)
        tensor = _tensor_of(name, scanner.value())
        if name in names:
            raise damaged(f"tensor {_shown(name)} occurs twice in its header")
        dimensions += len(tensor.shape)
        if len(tensors) >= MAX_READ_TENSORS or dimensions > MAX_READ_DIMENSIONS:
            raise too_large(f"more than {len(tensors):,} tensors")
        names.add(name)
        tensors.append(tensor)
    scanner.finish()
    kept, left_out = metadata or ({}, ())
    return SafetensorsHeader(len(data), kept, tuple(tensors), left_out)


def _metadata(scanner: JsonScanner) -> tuple[dict[str, str], tuple[str, ...]]:
    """What is kept, and the keys whose values are too long for that."""
    kept: dict[str, str] = {}
    left_out: set[str] = set()
    bytes_left = KEPT_METADATA_BYTES
    if scanner.skip_null():
        return kept, ()
    for key in scanner.members():
        if key in kept or key in left_out:
            raise damaged(f"metadata key {_shown(key)} occurs twice in its header")
        if len(kept) + len(left_out) >= MAX_READ_METADATA_KEYS:
            raise too_large(f"more than {MAX_READ_METADATA_KEYS:,} metadata keys")
        value = scanner.string(min(KEPT_VALUE_BYTES, bytes_left))
        if value is None:
            left_out.add(key)
        else:
            kept[key] = value
            bytes_left -= len(value)
    return kept, tuple(sorted(left_out))


def _tensor_of(name: str, entry: object) -> TensorInfo:
    if not isinstance(entry, dict):
        raise damaged(f"tensor {_shown(name)} is described by no JSON object")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise damaged(f"tensor {_shown(name)} has no valid shape and data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise damaged(
            f"tensor {_shown(name)} has a dtype that the format does not know: {_shown(str(dtype))}"
        )
    start, end = offsets
    bits = product((*shape, DTYPE_BITS[dtype]))
    if bits != (end - start) * 8:
        raise damaged(
            f"tensor {_shown(name)} takes {-(-bits // 8):,} bytes by its shape, "
            f"{end - start:,} by its offsets"
        )
    return TensorInfo(name, dtype, tuple(shape), start, end)


def _naturals(values: object) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value <= MAX_U64 for value in values
    )


def _shown(name: str) -> str:
    return repr(clean_text(name, 128))
