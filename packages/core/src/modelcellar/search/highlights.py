"""Where in a model the words of a query are, so that a person sees why it was found."""

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import accumulate

from modelcellar.index_fields import author_of
from modelcellar.naming import display
from modelcellar.records import ModelRecord
from modelcellar.reports import Highlight
from modelcellar.search.parser import Query, Term
from modelcellar.search.words import segments

__all__ = ["highlights", "spans_of"]

EXCERPT = 60
"""Characters before and after the first hit in a long text."""


def highlights(model: ModelRecord, query: Query) -> tuple[Highlight, ...]:
    """Every field of the model that holds a wanted word, the name first; files only if nothing
    else does."""
    found: list[Highlight] = []
    for name, text in _fields(model):
        if name == "file" and found:
            break
        spans = spans_of(text, _terms_for(query, name))
        if spans:
            found.append(_excerpt(name, text, spans))
    return tuple(found)


def spans_of(text: str, terms: Sequence[Term]) -> tuple[tuple[int, int], ...]:
    """Where ``text`` holds the terms, as [start, end) in characters: in order, none overlapping.

    As the search does, it looks over separators and capitals: "sdxl" is in "sd_xl_base". Inside of
    a word only where no word begins so.
    """
    letters, places = _letters(text)
    starts = {
        start
        for variant in (text, text.lower())
        for start in accumulate(map(len, segments(variant)), initial=0)
    }
    found: list[tuple[int, int]] = []
    for term in terms:
        wanted = "".join(segments(term.text))
        if not wanted:
            continue
        hits = list(_occurrences(letters, wanted))
        words = [
            at
            for at in hits
            if at in starts and (term.prefix or at + len(wanted) in starts | {len(letters)})
        ]
        found += [(places[at], _after(text, places[at + len(wanted) - 1])) for at in words or hits]
    return tuple(_merged(sorted(found)))


def _fields(model: ModelRecord) -> Iterator[tuple[str, str]]:
    yield "name", model.name
    yield from (("tag", tag) for tag in model.tags)
    yield from (("family", text) for text in (model.family, model.base_model) if text)
    yield "author", author_of(model)
    for name in ("title", "trigger_words"):
        value = model.findings[name].value if name in model.findings else None
        texts = value if isinstance(value, list) else [value]
        yield from ((name, text) for text in texts if isinstance(text, str))
    yield from (("note", text) for text in (model.note, model.summary) if text)
    yield from (("file", display(file.path)) for file in model.files)


def _terms_for(query: Query, name: str) -> list[Term]:
    conditions = [found for clause in query.alternatives for found in clause.conditions]
    values = [
        Term(value)
        for condition, excluded in conditions
        if condition.field == name and not excluded
        for value in condition.values
    ]
    return [*query.wanted, *values]


def _letters(text: str) -> tuple[str, list[int]]:
    """The letters and digits of ``text`` as `segments` folds them, each with its place."""
    letters, places = [], []
    for place, character in enumerate(text):
        for folded in "".join(segments(character)):
            letters.append(folded)
            places.append(place)
    return "".join(letters), places


def _after(text: str, place: int) -> int:
    """Where the character at ``place`` ends, its marks with it."""
    end = place + 1
    while end < len(text) and unicodedata.combining(text[end]):
        end += 1
    return end


def _occurrences(letters: str, wanted: str) -> Iterator[int]:
    at = letters.find(wanted)
    while at >= 0:
        yield at
        at = letters.find(wanted, at + 1)


def _merged(spans: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    last: tuple[int, int] | None = None
    for start, end in spans:
        if last is not None and start <= last[1]:
            last = (last[0], max(last[1], end))
            continue
        if last is not None:
            yield last
        last = (start, end)
    if last is not None:
        yield last


def _excerpt(name: str, text: str, spans: Sequence[tuple[int, int]]) -> Highlight:
    """The whole text, or the part around the first hit where it is long."""
    start, end = max(0, spans[0][0] - EXCERPT), spans[0][1] + EXCERPT
    if name != "note" or len(text) <= end - start:
        start, end = 0, len(text)
    inside = ((a - start, b - start) for a, b in spans if a >= start and b <= end)
    return Highlight(name, text[start:end], tuple(inside))
