"""The parts of a safetensors header, and how many bits each type of number takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from modelcellar.formats.cursor import damaged

METADATA = "__metadata__"
MAX_U64 = 2**64 - 1

DTYPE_BITS: Mapping[str, int] = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8,
    "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64,
    "U64": 64,
}  # fmt: skip


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
        return product(self.shape)


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """A header that fits its file. Tensors and metadata are in the order of the header.

    ``metadata_left_out`` are the keys whose values are there but too long to be kept.
    """

    header_bytes: int
    metadata: Mapping[str, str]
    tensors: tuple[TensorInfo, ...]
    metadata_left_out: tuple[str, ...] = ()


def product(factors: tuple[int, ...]) -> int:
    """Raises ``FormatError`` where 64 bits are not enough."""
    result = 1
    for factor in factors:
        result *= factor
        if result > MAX_U64:
            raise damaged("a tensor has more elements than 64 bits can count")
    return result
