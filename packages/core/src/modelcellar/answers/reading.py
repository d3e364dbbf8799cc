"""Reads values out of answers of hosts, of which any may be missing, wrong, huge or hostile."""

from collections.abc import Mapping

from modelcellar.errors import AnswerRefusedError
from modelcellar.network.http import Response, display_url, origin_of
from modelcellar.records import JsonValue

__all__ = ["dict_in", "dicts_in", "document_of", "text_in", "texts_in"]

MAX_TEXT = 2_000
MAX_TEXTS = 64
_NOT_SHOWN = dict.fromkeys((*range(9), 11, 12, *range(14, 32), *range(127, 160)), " ")


def document_of(response: Response) -> JsonValue:
    """The JSON of an answer; ``None`` where the host says that there is nothing to be seen.

    Raises:
        AnswerRefusedError: it is something else, as from a captive portal or a host that refuses.
    """
    if response.status in (401, 404):
        return None
    try:
        if response.status == 200:
            return response.json()
    except (ValueError, RecursionError):
        pass
    raise AnswerRefusedError(
        f"{display_url(response.url)} gave no answer that makes sense (status {response.status})",
        "Something between you and the host may have answered. Try again later.",
        origin=origin_of(response.url),
    )


def text_in(value: JsonValue) -> str | None:
    """A text that any file and any terminal can hold, cut to a bearable length."""
    if not isinstance(value, str):
        return None
    text = value[:MAX_TEXT].translate(_NOT_SHOWN)
    # Half a surrogate pair is no character, and UTF-8 cannot spell it.
    return text.encode(errors="replace").decode().strip() or None


def texts_in(value: JsonValue) -> list[str]:
    """One text or a list of them, as cards have both."""
    values = value[:MAX_TEXTS] if isinstance(value, list) else [value]
    return [text for text in map(text_in, values) if text is not None]


def dict_in(value: JsonValue) -> Mapping[str, JsonValue]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def dicts_in(value: JsonValue) -> list[Mapping[str, JsonValue]]:
    """The objects in a list, or none."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
