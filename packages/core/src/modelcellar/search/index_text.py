"""What of a model goes into the search index, column by column."""

from pathlib import PurePosixPath

from modelcellar.index import SearchText
from modelcellar.index_fields import author_of
from modelcellar.naming import display
from modelcellar.records import JsonValue, ModelRecord
from modelcellar.search.vocabulary import vocabulary
from modelcellar.search.words import search_words

__all__ = ["search_text"]

MAX_FILE_NAMES = 50
ALSO_CALLED = {"SD 1.x": ("SD 1.5",), "SD 2.x": ("SD 2.1",)}
"""Families whose name nobody types."""

FIELDS = ("type", "kind", "quantization", "title", "author", "trigger_words")


def search_text(model: ModelRecord) -> SearchText:
    """The indexed text of one model, always valid UTF-8."""
    name = display(model.name)
    paths = [PurePosixPath(display(file.path)) for file in model.files[:MAX_FILE_NAMES]]
    family = [display(word) for word in (model.family, model.base_model) if word]
    told = _told(model)
    tags, family_text = display(" ".join(model.tags)), " ".join(family)
    author = display(author_of(model))
    return SearchText(
        name=name,
        words=search_words(name, *(path.stem for path in paths), *family, *model.tags, *told),
        tags=tags,
        family_text=family_text,
        author=author,
        description=display(f"{model.note} {model.summary}").strip(),
        extension=" ".join(sorted({path.suffix.lstrip(".").lower() for path in paths})),
        known=vocabulary(name, tags, family_text, author),
    )


def _told(model: ModelRecord) -> list[str]:
    """What people call a model besides its name: its type, its own title, what triggers it."""
    values: list[JsonValue] = [*ALSO_CALLED.get(model.family or "", ())]
    values += [model.findings[name].value for name in FIELDS if name in model.findings]
    values.append(f"{model.type.value}s")  # "loras", "checkpoints"
    words = [word for value in values for word in (value if isinstance(value, list) else [value])]
    return [display(word.replace("_", " ")) for word in words if isinstance(word, str)]
