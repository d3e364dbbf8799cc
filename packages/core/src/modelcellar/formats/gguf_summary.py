"""Sums up a GGUF file for people and for the catalog."""

from collections import Counter

from modelcellar.formats.cursor import Cursor, Fault, FormatError
from modelcellar.formats.facts import (
    clean_mapping,
    clean_text,
    join,
    kinds_line,
    most_common,
    plural,
)
from modelcellar.formats.gguf import MAGIC, GgufHeader, read_header, read_version
from modelcellar.formats.gguf_types import FILE_TYPES, GUESSED, TENSOR_TYPES
from modelcellar.formats.reading import Reading
from modelcellar.records import NO_PICKLE, FileFormat, JsonValue, Tensor


def looks_like(head: bytes) -> bool:
    """Whether the file begins with GGUF's magic."""
    return head.startswith(MAGIC)


def inspect(cursor: Cursor) -> Reading:
    """Checks the whole header against the file and sums it up."""
    version, big_endian = read_version(cursor)
    base: dict[str, JsonValue] = {
        "version": version,
        "byte_order": "big" if big_endian else "little",
    }
    try:
        header = read_header(cursor)
    except FormatError as error:
        if error.fault is not Fault.TOO_LARGE:
            raise
        return Reading(
            FileFormat.GGUF,
            f"GGUF v{version}, not read further: {error.reason}",
            base | {"header_read": False},
        )
    return Reading(
        FileFormat.GGUF,
        _summary(header),
        base | _facts(header),
        # GGUF writes the innermost dimension first.
        tensors=tuple(
            Tensor(one.name, _type_name(one.type_id), one.shape[::-1]) for one in header.tensors
        ),
        metadata=header.metadata,
        security=NO_PICKLE,
    )


def quantization(header: GgufHeader) -> str | None:
    """The name by ``general.file_type``: the tensors of a Q4_K_M file are mostly of other types."""
    file_type = header.number("general.file_type")
    return None if file_type is None else FILE_TYPES.get(file_type & ~GUESSED)


def _types(header: GgufHeader) -> Counter[str]:
    return Counter(_type_name(tensor.type_id) for tensor in header.tensors)


def _type_name(type_id: int) -> str:
    known = TENSOR_TYPES.get(type_id)
    return known.name if known is not None else f"type {type_id}"


def _is_vocabulary(header: GgufHeader) -> bool:
    return not header.tensors and "tokenizer.ggml.tokens" in header.metadata


def _summary(header: GgufHeader) -> str:
    architecture = clean_text(header.text("general.architecture") or "", 64)
    title = f"GGUF v{header.version} {architecture}".strip()
    if _is_vocabulary(header):
        return join((title, "no tensors"))
    kind = quantization(header) or kinds_line(_types(header))
    return join((title, kind, plural(len(header.tensors), "tensor")))


def _facts(header: GgufHeader) -> dict[str, JsonValue]:
    architecture = header.text("general.architecture")
    facts: dict[str, JsonValue] = {
        "tensor_count": len(header.tensors),
        "parameter_count": sum(tensor.element_count for tensor in header.tensors),
        "dtypes": most_common(_types(header)),
        "metadata_key_count": len(header.metadata),
        "architecture": None if architecture is None else clean_text(architecture),
        "name": None,
        "file_type": header.number("general.file_type"),
        "quantization": quantization(header),
        "context_length": header.number(f"{architecture}.context_length"),
        "vocabulary_only": _is_vocabulary(header),
    }
    if (name := header.text("general.name")) is not None:
        facts["name"] = clean_text(name)
    shown = {
        key: value for key, value in header.metadata.items() if not key.startswith("tokenizer.")
    }
    facts["metadata"] = clean_mapping(shown)
    return {key: value for key, value in facts.items() if value is not None}
