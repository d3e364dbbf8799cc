"""What the reader of one format hands on: everything a classifier needs, before it is summed up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeGuard

from modelcellar.records import NOT_CHECKED, FileFormat, JsonValue, Security

__all__ = ["AnyTensor", "Reading", "is_shape"]

MAX_ELEMENTS = 2**63 - 1
MAX_DIMENSIONS = 64


class AnyTensor(Protocol):
    """What every format's tensors have; ``shape`` outermost dimension first, as in torch."""

    @property
    def name(self) -> str:
        """As the file spells it."""

    @property
    def dtype(self) -> str:
        """As the format calls it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the dimensions."""


def is_shape(sizes: tuple[object, ...]) -> TypeGuard[tuple[int, ...]]:
    """Whether these are the sizes of a tensor whose elements 63 bits can count.

    What is beyond that no program makes, and its product may be too large to be written down.
    """
    elements = 1
    if len(sizes) > MAX_DIMENSIONS:
        return False
    for size in sizes:
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_ELEMENTS:
            return False
        elements *= size or 1
        if elements > MAX_ELEMENTS:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Reading:
    """One file as its reader understood it.

    Args:
        format: what the file is.
        summary: one short line of technical words ("15 tensors, F32, 309,633 parameters").
        facts: the same and more for machines; JSON values only, clean and bounded.
        tensors: all of them, in the file's order; empty where the format does not show them.
        metadata: what the file says of itself, uncut: texts of a safetensors header or an ONNX
            file, values of a GGUF file (:data:`modelcellar.formats.gguf.GgufValue`).
        scalars: values of a few tensors of one element (``*.alpha``), which tell scales.
        security: what a pickle in it would import. A reader whose format holds none says so.
        data_start: where the tensor data of a safetensors file begin, in bytes.
    """

    format: FileFormat
    summary: str = ""
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    tensors: tuple[AnyTensor, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)
    scalars: Mapping[str, float] = field(default_factory=dict)
    security: Security = NOT_CHECKED
    data_start: int | None = None
