"""Sums up an ONNX file for people and for the catalog."""

from modelcellar.formats.cursor import Cursor
from modelcellar.formats.facts import clean_mapping, clean_name, join, most_common, plural
from modelcellar.formats.onnx import Outline, looks_like, read_outline
from modelcellar.formats.reading import Reading
from modelcellar.records import NO_PICKLE, FileFormat, JsonValue

__all__ = ["inspect", "looks_like"]


def inspect(cursor: Cursor) -> Reading:
    """Walks the whole model and sums it up."""
    outline = read_outline(cursor)
    return Reading(
        FileFormat.ONNX,
        _summary(outline),
        _facts(outline),
        # Some of them would be a wrong answer.
        tensors=tuple(outline.tensors) if len(outline.tensors) == outline.initializers else (),
        metadata=outline.props,
        security=NO_PICKLE,
    )


def _summary(outline: Outline) -> str:
    opsets = " + ".join(
        f"opset {version}" if domain == "ai.onnx" else f"{domain} {version}"
        for domain, version in list(outline.opsets.items())[:4]
    )
    return join(
        (
            f"ONNX IR {outline.ir_version}",
            opsets,
            " ".join(outline.producer).strip(),
            *_counts(outline),
        )
    )


def _counts(outline: Outline) -> tuple[str, ...]:
    if not outline.is_counted:
        return ("too large to be counted here",)
    nodes = plural(outline.nodes, "node")
    if not outline.initializers:  # Weights may be constants or lie in sub-graphs.
        return (nodes,)
    return (
        nodes,
        plural(outline.initializers, "tensor"),
        plural(outline.parameters, "parameter"),
    )


def _facts(outline: Outline) -> dict[str, JsonValue]:
    facts: dict[str, JsonValue] = {
        "ir_version": outline.ir_version,
        "producer_name": outline.producer[0],
        "producer_version": outline.producer[1],
        "graph_name": outline.graph_name,
        "opsets": outline.opsets,
        "metadata_key_count": outline.prop_count,
        "metadata": clean_mapping(outline.props),
    }
    if not outline.is_counted:
        return facts | {"counted": False}
    facts["node_count"] = outline.nodes
    names = {tensor.name for tensor in outline.tensors}
    # Until version 4 every initializer was an input as well.
    facts["inputs"] = [clean_name(name, 128) for name in outline.inputs if name not in names]
    if not outline.initializers:
        return facts
    return facts | {
        "tensor_count": outline.initializers,
        "parameter_count": outline.parameters,
        "dtypes": most_common(outline.dtypes),
        "external_tensor_count": outline.external,
        "external_data": [name for name, inside in outline.locations.items() if inside],
        "external_data_outside": [name for name, inside in outline.locations.items() if not inside],
    }
