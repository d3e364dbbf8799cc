"""The user's own word about a model, laid over what programs found out."""

from dataclasses import replace

from modelcellar import naming
from modelcellar.errors import UsageError
from modelcellar.manifest import Fact, Manifest, to_record
from modelcellar.records import EditChanges, JsonValue

__all__ = ["apply_edits", "user_text"]


def apply_edits(manifest: Manifest, changes: EditChanges, *, at: str) -> Manifest:
    """The manifest with the user's changes. An empty text takes an edit back; times are ``at``.

    Raises:
        UsageError: a text that UTF-8 cannot spell.
    """
    edits = dict(manifest.edits)

    def put(name: str, value: JsonValue) -> None:
        if value == "" or (value == [] and name not in manifest.facts):
            edits.pop(name, None)
        elif name not in edits or edits[name].value != value:
            edits[name] = Fact(value, "user", at)

    texts = {"name": changes.name, "base_model": changes.base_model, "note": changes.note}
    for name, value in texts.items():
        if value is not None:
            put(name, user_text(value))
    if changes.model_type is not None:
        put("type", changes.model_type.value)
    if changes.add_tags or changes.remove_tags:
        kept = [tag for tag in to_record(manifest).tags if tag not in changes.remove_tags]
        added = [tag for tag in map(user_text, changes.add_tags) if tag]
        put("tags", list(dict.fromkeys(kept + added)))
    return replace(manifest, edits=edits)


def user_text(text: str) -> str:
    """A text as the user means it, without the space around it.

    Raises:
        UsageError: UTF-8 cannot spell it.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{naming.display(text)!r} is not UTF-8 text", "Type it anew, or set a UTF-8 locale."
        ) from None
    return text.strip()
