"""Reads the configuration that lies beside weights: bounded, parsed, never run."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from modelcellar.formats.bounded_json import parse_json
from modelcellar.records import JsonValue

__all__ = ["read_documents", "read_front_matter"]

MAX_DOCUMENT_BYTES = 4 << 20
MAX_DOCUMENTS = 64
MAX_CARD_BYTES = 64 << 10
JSON_NAMES = frozenset(
    {"config.json", "adapter_config.json", "model_index.json", "modules.json"}
    | {"config_sentence_transformers.json"}
)
CARD = "README.md"


def read_documents(files: Mapping[str, Path]) -> dict[str, JsonValue]:
    """Parsed files whose names are known, by relative path; what is broken is left out.

    Raises ``OSError``: a file cannot be read.
    """
    documents: dict[str, JsonValue] = {}
    for relative, path in files.items():
        name = PurePosixPath(relative).name
        if len(documents) >= MAX_DOCUMENTS or (name not in JSON_NAMES and relative != CARD):
            continue
        limit = MAX_CARD_BYTES if relative == CARD else MAX_DOCUMENT_BYTES
        with path.open("rb") as file:
            data = file.read(limit)
        document = read_front_matter(data) if relative == CARD else _json(data)
        if document is not None:
            documents[relative] = document
    return documents


def read_front_matter(data: bytes) -> JsonValue:
    """The YAML between the first two ``---`` lines of a model card; ``None`` if there is none.

    An alias could make a small document huge, a tag names a class, and no card needs either: such
    a card is not read. Every value is a text, a list or a dict.
    """
    text = data.decode(errors="replace").replace("\r\n", "\n")
    start, _, rest = text.partition("\n")
    head, end, _ = rest.partition("\n---")
    if start.strip() != "---" or not end:
        return None
    import yaml  # a tenth of the start of an import, and few folders have a card

    # The other loaders make dates and numbers too, and raise whatever comes up where none is there.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        tokens = yaml.scan(head, Loader=loader)
        if any(isinstance(token, yaml.AliasToken | yaml.TagToken) for token in tokens):
            return None
        return yaml.load(head, Loader=loader)
    except (yaml.YAMLError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError):
        return None


def _json(data: bytes) -> JsonValue:
    try:
        return parse_json(data)
    except ValueError:
        return None
