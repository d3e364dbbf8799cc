"""Reads what a person types into a value; total: any text has a meaning, and nothing is raised.

Words are joined by AND, ``or`` binds weaker, ``-word`` and ``not word`` exclude, the last word is
unfinished, ``"exact phrase"`` stands in double quotes. ``field:value``, ``field:one,another`` and
``field>value`` are conditions (:mod:`modelcellar.search.fields`). What is no such thing is text.
``parse_query(str(query)) == query`` for every query.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from modelcellar.search.fields import SORTS, TEXT_COLUMNS, Condition, problem_of
from modelcellar.search.words import segments

__all__ = ["Clause", "Item", "Query", "Term", "parse_query", "usable"]

MAX_ITEMS = 16
MAX_ITEM_CHARACTERS = 256
MAX_TOKENS = 3 * MAX_ITEMS
"""Between two items there are an ``or`` and a ``not`` at most."""

MAX_NOTES = 5

_QUOTES = {ord(quote): '"' for quote in "\u201c\u201d\u201e\u201f\uff02"}
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_VALUE = r'(?:"[^"]*(?:"|$)|[^\s",]+)'
_FIELD = re.compile(
    r"(?P<minus>-?)(?P<name>[A-Za-z]+)(?P<operator>:(?:<=|>=|<|>)?|<=|>=|<|>)"
    rf"(?P<values>{_VALUE}?(?:,{_VALUE}?)*)"
)
_TERM = re.compile(r'(?P<minus>-?)(?:"(?P<phrase>[^"]*)(?P<end>"|$)|(?P<word>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class Term:
    """One word or phrase. ``prefix``: its last word may go on."""

    text: str
    is_phrase: bool = False
    prefix: bool = False

    def __str__(self) -> str:
        if not self.is_phrase:
            return self.text
        return f'"{self.text}' if self.prefix else f'"{self.text}"'


@dataclass(frozen=True, slots=True)
class Item:
    """A term or a condition that a model must meet, or must not where it is ``excluded``."""

    what: Term | Condition
    excluded: bool = False

    def __str__(self) -> str:
        return f"-{self.what}" if self.excluded else str(self.what)


@dataclass(frozen=True, slots=True)
class Clause:
    """What must all be true of one model, in the order it was typed."""

    items: tuple[Item, ...] = ()

    @property
    def wanted(self) -> tuple[Term, ...]:
        """The words and phrases a model must have."""
        return tuple(_terms_of(self, excluded=False))

    @property
    def unwanted(self) -> tuple[Term, ...]:
        """The words and phrases it must not have."""
        return tuple(_terms_of(self, excluded=True))

    @property
    def conditions(self) -> tuple[tuple[Condition, bool], ...]:
        """The conditions, each with whether it is excluded."""
        return tuple((i.what, i.excluded) for i in self.items if isinstance(i.what, Condition))

    @property
    def has_text(self) -> bool:
        """Whether the full-text index has something to look for, not only to leave out."""
        return any(segments(term.text) for term in self.wanted) or any(
            condition.field in TEXT_COLUMNS
            for condition, excluded in self.conditions
            if not excluded
        )

    def __str__(self) -> str:
        return " ".join(map(str, self.items))


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query: one of the ``alternatives`` must be true; no text is one without items.

    ``sort`` is a key of `fields.SORTS`, with ``-`` after it where the order is turned round.
    ``notes`` say in words what was not understood as it may have been meant.
    """

    alternatives: tuple[Clause, ...] = (Clause(),)
    sort: str | None = None
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def wanted(self) -> tuple[Term, ...]:
        """The words and phrases of all alternatives."""
        return tuple(term for clause in self.alternatives for term in clause.wanted)

    def with_whole_words(self) -> "Query":
        """The same, its last word as it stands."""
        clauses = (replace(c, items=tuple(map(_as_it_stands, c.items))) for c in self.alternatives)
        return replace(self, alternatives=tuple(clauses))

    def __str__(self) -> str:
        # First, because a phrase that is not closed yet takes everything up to the end.
        sort = f"sort:{self.sort} " if self.sort else ""
        return f"{sort}{' or '.join(map(str, self.alternatives))}".rstrip()


def parse_query(text: str) -> Query:
    """Reads at most 16 terms and conditions of at most 256 characters; never raises.

    Controls and lone surrogates part words, since SQLite cannot be given them. A phrase whose
    closing quote is missing is still being typed: its last word is a prefix.
    """
    reader = _Reader(usable(text).translate(_QUOTES))
    clauses, is_cut = _clauses(reader.items)
    notes = list(dict.fromkeys(reader.notes))[:MAX_NOTES]
    if is_cut:
        notes.append(f"only the first {MAX_ITEMS} words and conditions count")
    return Query(clauses, reader.sort, tuple(notes))


def usable(text: str) -> str:
    """``text`` with a space for every character that SQLite cannot be given in a query."""
    return _UNUSABLE.sub(" ", text)


class _Reader:
    """One pass over the text: its items and operators, what to sort by, and what to tell."""

    def __init__(self, text: str) -> None:
        self.sort: str | None = None
        self.notes: list[str] = []
        self.items: list[Item] = []
        for item in self._read(text):
            self.items.append(item)
            if len(self.items) > MAX_TOKENS:
                break

    def _read(self, text: str) -> Iterator[Item]:
        at = 0
        while at < len(text):
            found = _FIELD.match(text, at)
            if found is not None and found["values"]:
                yield from self._field(found.group()[:MAX_ITEM_CHARACTERS])
            elif (found := _TERM.match(text, at)) is not None:
                yield from _term(found)
            at = at + 1 if found is None else found.end()

    def _field(self, text: str) -> Iterator[Item]:
        found = _FIELD.fullmatch(text)
        if found is not None:
            name, operator = found["name"].lower(), found["operator"].removeprefix(":")
            values = _values(found["values"])
            if name == "sort" and not operator and not found["minus"]:
                if (sort := _sort(values)) is not None:
                    self.sort = sort
                    return
                self.notes.append(
                    f"sort:{','.join(values)} is looked for as text; sort by {', '.join(SORTS)}, "
                    "with - after it for the other way round"
                )
            else:
                condition = Condition(name, operator, values)
                problem = problem_of(condition)
                if problem is None:
                    yield Item(condition, bool(found["minus"]))
                    return
                if problem:
                    self.notes.append(f"{text} is looked for as text: {problem}")
        for term in _TERM.finditer(text):
            yield from _term(term)


def _term(found: re.Match[str]) -> Iterator[Item]:
    if found["word"] is not None:
        term = Term(found["word"][:MAX_ITEM_CHARACTERS])
    else:
        term = Term(found["phrase"][:MAX_ITEM_CHARACTERS].strip(), True, found["end"] == "")
    if term.text:
        yield Item(term, bool(found["minus"]))


def _values(text: str) -> tuple[str, ...]:
    values = [found.group().strip('"').strip() for found in re.finditer(_VALUE, text)]
    # An empty one between two commas means that somebody is still typing.
    is_whole = len(values) == 1 + len(re.sub(r'"[^"]*(?:"|$)|[^,]', "", text))
    return tuple(values) if is_whole and all(values) else ()


def _sort(values: tuple[str, ...]) -> str | None:
    if len(values) != 1:
        return None
    key = values[0].lower().strip("-")
    turned = values[0].lower() in (f"{key}-", f"-{key}")
    return (f"{key}-" if turned else key) if key in SORTS else None


def _clauses(items: list[Item]) -> tuple[tuple[Clause, ...], bool]:
    """The alternatives, and whether there was more than may be used."""
    clauses: list[list[Item]] = [[]]
    exclude = is_cut = False
    room = MAX_ITEMS
    for place, item in enumerate(items):
        if not room:
            is_cut = True
            break
        following = items[place + 1] if place + 1 < len(items) else None
        operator = _operator(item)
        if operator == "or" and clauses[-1] and following is not None:
            clauses.append([])
            continue
        if operator == "not" and following is not None and _operator(following) is None:
            exclude = True
            continue
        if operator is not None:
            # Nothing to join or to exclude: the word itself is meant.
            item = Item(Term(operator, is_phrase=True, prefix=following is None))
        elif exclude:
            item = Item(item.what, excluded=True)
        clauses[-1].append(item)
        exclude = False
        room -= 1
    last = clauses[-1][-1] if clauses[-1] else None
    word = last.what if last is not None and not last.excluded else None
    if isinstance(word, Term) and not word.is_phrase:
        # A number is whole as it stands: "v1" is not the beginning of "v10".
        clauses[-1][-1] = Item(Term(word.text, prefix=not word.text[-1].isdigit()))
    return tuple(Clause(tuple(clause)) for clause in clauses), is_cut


def _as_it_stands(item: Item) -> Item:
    if not isinstance(item.what, Term):
        return item
    return replace(item, what=replace(item.what, prefix=False))


def _operator(item: Item) -> str | None:
    if item.excluded or not isinstance(item.what, Term) or item.what.is_phrase:
        return None
    word = item.what.text.lower()
    return word if word in ("or", "not") else None


def _terms_of(clause: Clause, *, excluded: bool) -> Iterator[Term]:
    for item in clause.items:
        if item.excluded == excluded and isinstance(item.what, Term):
            yield item.what
