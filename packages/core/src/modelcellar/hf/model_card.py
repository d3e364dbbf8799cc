"""The first words of a model card, without its markup."""

import re

__all__ = ["summary_of"]

MAX_SUMMARY = 400
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_FENCE = re.compile(r"^(?:```|~~~).*?(?:^(?:```|~~~)[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_IMAGE = re.compile(r"!\[[^\]]{0,300}\]\([^)]{0,2000}\)")
_LINK = re.compile(r"\[([^\]]{1,300})\]\([^)]{0,2000}\)")
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,2000}>")
_MARKS = re.compile(r"[*_`]{1,3}")
_SKIPPED = ("#", "|", ">", "-", "*", "+", "=")


def summary_of(card: bytes) -> str | None:
    """The first paragraph of prose, at most 400 characters; ``None`` if there is none."""
    text = card.decode("utf-8-sig", "replace").replace("\r\n", "\n")
    text = _FENCE.sub("", _COMMENT.sub("", _FRONT_MATTER.sub("", text, count=1)))
    for paragraph in re.split(r"\n[ \t]*\n", text):
        lines = [line.strip() for line in paragraph.splitlines()]
        prose = " ".join(line for line in lines if line and not line.startswith(_SKIPPED))
        words = _plain(prose)
        # A line of links or badges leaves a word or two.
        if len(words.split()) >= 4:
            return (
                words
                if len(words) <= MAX_SUMMARY
                else words[:MAX_SUMMARY].rsplit(" ", 1)[0] + "..."
            )
    return None


def _plain(text: str) -> str:
    text = _LINK.sub(r"\1", _IMAGE.sub("", text))
    return " ".join(_MARKS.sub("", _TAG.sub("", text)).split())
