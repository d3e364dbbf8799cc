"""Reads and checks the header of a safetensors file.

The layout, the types and the rule that tensors cover the data exactly, without gaps or overlaps,
are those of the reference implementation (github.com/huggingface/safetensors,
``safetensors/src/tensor.rs``). Stricter than it: a name that occurs twice is refused, because
readers disagree about which of the two counts.
"""

import math
import re
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

from modelcellar.formats.cursor import (
    Cursor,
    Fault,
    FormatError,
    damaged,
    other_format,
    too_large,
    truncated,
)
from modelcellar.formats.facts import (
    clean_mapping,
    clean_text,
    join,
    kinds_line,
    most_common,
    plural,
)
from modelcellar.formats.reading import Reading
from modelcellar.formats.strict_json import USUAL_END, USUAL_KEY, JsonScanner
from modelcellar.records import FileFormat

LENGTH_BYTES = 8
METADATA = "__metadata__"
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
MAX_SCALARS = 2

_MAX_U64 = 2**64 - 1
_NATURAL = rb"(?:0|[1-9][0-9]{0,17})"
_USUAL_ENTRY = re.compile(
    USUAL_KEY + rb'\{"dtype": ?"([A-Z0-9_]{1,16})", ?"shape": ?\[(%(n)s(?:, ?%(n)s){0,15})?\]'
    rb', ?"data_offsets": ?\[(%(n)s), ?(%(n)s)\]\}' % {b"n": _NATURAL} + USUAL_END
)
"""An entry as the reference implementation and every known writer spell it. It is read at a quarter
of the cost; all else goes through the strict reader, and both give the same."""
_LENGTH = struct.Struct("<Q")

DTYPE_BITS: Mapping[str, int] = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8,
    "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64,
    "U64": 64,
}  # fmt: skip


_USUAL_BITS = {dtype.encode(): (dtype, bits) for dtype, bits in DTYPE_BITS.items()}


class TensorInfo(NamedTuple):
    """One tensor; ``start`` and ``end`` count bytes from the beginning of the data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def parameter_count(self) -> int:
        """Product of the shape."""
        return _product(self.shape)


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """A header that fits its file. Tensors and metadata are in the order of the header.

    ``metadata_left_out`` are the keys whose values are there but too long to be kept.
    """

    header_bytes: int
    metadata: Mapping[str, str]
    tensors: tuple[TensorInfo, ...]
    metadata_left_out: tuple[str, ...] = ()


def looks_like(head: bytes) -> bool:
    """Whether the first bytes are a plausible header length and the start of an object."""
    if len(head) <= LENGTH_BYTES:
        return False
    start = head[LENGTH_BYTES:].lstrip(b" \t\r\n")
    # Text has a printable character in the top byte, which makes its "length" 2^56 at least.
    return (
        _LENGTH.unpack_from(head)[0] < 2**40
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
    dtypes = Counter(tensor.dtype for tensor in header.tensors)
    # The products are known to fit: they were compared with the offsets.
    parameters = sum(math.prod(tensor.shape) for tensor in header.tensors)
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
        data_start=LENGTH_BYTES + header.header_bytes,
    )


def _scalars(cursor: Cursor, header: SafetensorsHeader) -> dict[str, float]:
    """The values of the first few tensors called ``alpha``, which scale an adapter."""
    found: dict[str, float] = {}
    for tensor in header.tensors:
        if not tensor.name.endswith(".alpha") or tensor.parameter_count != 1:
            continue
        size_bytes = tensor.end - tensor.start
        cursor.seek(LENGTH_BYTES + header.header_bytes + tensor.start)
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


def read_header_length(cursor: Cursor) -> int:
    """Bytes of the header, known to be within the format's limit and within the file."""
    cursor.seek(0)
    if cursor.left < LENGTH_BYTES:
        raise other_format(f"{cursor.size_bytes} bytes are too few for a safetensors file")
    header_bytes: int = cursor.unpack(_LENGTH)[0]
    if header_bytes > MAX_HEADER_BYTES:
        raise damaged(
            f"the header says it has {header_bytes:,} bytes, the format allows {MAX_HEADER_BYTES:,}"
        )
    if header_bytes > cursor.left:
        raise truncated(
            f"the header alone takes {LENGTH_BYTES + header_bytes:,} bytes, "
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
    _check_extents(header.tensors, LENGTH_BYTES + header_bytes, cursor.size_bytes)
    return header


def _not_read(header_bytes: int) -> Reading:
    return Reading(
        FileFormat.SAFETENSORS,
        f"a header of {header_bytes:,} bytes, too large to be read here",
        {"header_bytes": header_bytes, "header_read": False},
    )


def _check_extents(tensors: Sequence[TensorInfo], data_start: int, size_bytes: int) -> None:
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.end)):
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

    The header is never turned into one tree of Python objects: that takes up to 25 times its
    length, and plain ``json`` keeps the last of two equal names without a word.
    """
    scanner = JsonScanner(data, _USUAL_ENTRY)
    metadata: tuple[dict[str, str], tuple[str, ...]] | None = None
    tensors: list[TensorInfo] = []
    names: set[str] = set()
    dimensions = 0
    for member in scanner.members():
        if isinstance(member, str) and member == METADATA:
            if metadata is not None:
                raise damaged("its header has two blocks of metadata")
            metadata = _metadata(scanner)
            continue
        if isinstance(member, str):
            tensor = _tensor_of(member, scanner.value())
        else:
            tensor = _usual_tensor(member)
        if tensor.name in names or tensor.name == METADATA:
            raise damaged(f"tensor {_shown(tensor.name)} occurs twice in its header")
        dimensions += len(tensor.shape)
        if len(tensors) >= MAX_READ_TENSORS or dimensions > MAX_READ_DIMENSIONS:
            raise too_large(f"more than {len(tensors):,} tensors")
        names.add(tensor.name)
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
        if not isinstance(key, str):
            raise damaged("its metadata are those of a tensor")
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
    bits = _product((*shape, DTYPE_BITS[dtype]))
    if bits != (end - start) * 8:
        raise damaged(
            f"tensor {_shown(name)} takes {-(-bits // 8):,} bytes by its shape, "
            f"{end - start:,} by its offsets"
        )
    return TensorInfo(name, dtype, tuple(shape), start, end)


def _usual_tensor(match: re.Match[bytes]) -> TensorInfo:
    """The same for an entry as all writers spell it, which has no other keys to look at."""
    key, dtype, sizes, first, last, _ = match.groups()
    name = key.decode("ascii")
    start, end = int(first), int(last)
    shape = tuple([int(size) for size in sizes.split(b",")]) if sizes else ()
    known = _USUAL_BITS.get(dtype)
    # Numbers of 18 digits keep the product of offsets within 64 bits, and it must equal the other.
    if known is None or math.prod(shape) * known[1] != (end - start) * 8:
        entry = {"dtype": dtype.decode(), "shape": list(shape), "data_offsets": [start, end]}
        return _tensor_of(name, entry)
    return TensorInfo(name, known[0], shape, start, end)


def _naturals(values: object) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value <= _MAX_U64 for value in values
    )


def _product(factors: tuple[int, ...]) -> int:
    product = 1
    for factor in factors:
        product *= factor
        if product > _MAX_U64:
            raise damaged("a tensor has more elements than 64 bits can count")
    return product


def _shown(name: str) -> str:
    return repr(clean_text(name, 128))
