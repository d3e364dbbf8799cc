"""Sums up a safetensors file for people and for the catalog."""

import math
import struct
from collections import Counter
from operator import attrgetter

from modelcellar.formats.cursor import Cursor, Fault, FormatError
from modelcellar.formats.facts import clean_mapping, join, kinds_line, most_common, plural
from modelcellar.formats.reading import Reading
from modelcellar.formats.safetensors import (
    LENGTH,
    MAX_READ_BYTES,
    read_header,
    read_header_length,
)
from modelcellar.formats.safetensors_types import SafetensorsHeader
from modelcellar.records import NO_PICKLE, FileFormat

MAX_SCALARS = 2


def looks_like(head: bytes) -> bool:
    """Whether the first bytes are a plausible header length and the start of an object."""
    if len(head) <= LENGTH.size:
        return False
    start = head[LENGTH.size :].lstrip(b" \t\r\n")
    # Text has a printable character in the top byte, which makes its "length" 2^56 at least.
    return (
        LENGTH.unpack_from(head)[0] < 2**40
        and start[:1] == b"{"
        and (start[1:].lstrip(b" \t\r\n")[:1] in (b"", b'"', b"}"))
    )


def inspect(cursor: Cursor) -> Reading:
    """Checks the whole header against the file and sums it up."""
    header_bytes = read_header_length(cursor)
    if header_bytes > MAX_READ_BYTES:
        return _not_read(header_bytes)
    try:
        header = read_header(cursor)
    except FormatError as error:
        if error.fault is not Fault.TOO_LARGE:
            raise
        return _not_read(header_bytes)
    dtypes = Counter(map(attrgetter("dtype"), header.tensors))
    # Of thousands of tensors few differ in shape. The products are known to fit: they were
    # compared with the offsets.
    shapes = Counter(map(attrgetter("shape"), header.tensors))
    parameters = sum(math.prod(shape) * number for shape, number in shapes.items())
    return Reading(
        FileFormat.SAFETENSORS,
        join(
            (
                plural(len(header.tensors), "tensor"),
                kinds_line(dtypes),
                plural(parameters, "parameter"),
            )
        ),
        {
            "tensor_count": len(header.tensors),
            "parameter_count": parameters,
            "dtypes": most_common(dtypes),
            "header_bytes": header.header_bytes,
            "metadata_key_count": len(header.metadata) + len(header.metadata_left_out),
            "metadata": clean_mapping(header.metadata),
        },
        tensors=header.tensors,
        metadata=header.metadata,
        scalars=_scalars(cursor, header),
        security=NO_PICKLE,
        data_start=LENGTH.size + header.header_bytes,
    )


def _scalars(cursor: Cursor, header: SafetensorsHeader) -> dict[str, float]:
    """The values of the first few tensors called ``alpha``, which scale an adapter."""
    found: dict[str, float] = {}
    for tensor in header.tensors:
        if not tensor.name.endswith(".alpha") or tensor.parameter_count != 1:
            continue
        size_bytes = tensor.end - tensor.start
        cursor.seek(LENGTH.size + header.header_bytes + tensor.start)
        data = cursor.take(size_bytes)
        if tensor.dtype == "BF16":
            data, layout = bytes(2) + data, "<f"
        else:
            layout = {"F16": "<e", "F32": "<f", "F64": "<d"}.get(tensor.dtype, "")
        if layout and math.isfinite(value := struct.unpack(layout, data)[0]):
            found[tensor.name] = value
        if len(found) == MAX_SCALARS:
            break
    return found


def _not_read(header_bytes: int) -> Reading:
    return Reading(
        FileFormat.SAFETENSORS,
        f"a header of {header_bytes:,} bytes, too large to be read here",
        {"header_bytes": header_bytes, "header_read": False},
    )
