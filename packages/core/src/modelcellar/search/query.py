"""What a person types, made into an FTS5 query that can never be a syntax error.

Words are joined by AND, the last one is a prefix, ``"exact phrase"`` stands in double quotes,
``-word`` excludes. Every other character, and the words AND, OR, NOT and NEAR, are plain text.
FTS5 syntax: https://www.sqlite.org/fts5.html#full_text_query_syntax
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from modelcellar.search.words import has_cjk, segments, word_tokens

__all__ = [
    "Query",
    "Term",
    "build_fts5_query",
    "exclusion_expression",
    "match_expression",
    "parse_query",
    "quoted",
    "usable",
]

MAX_TERMS = 16
MAX_TERM_CHARACTERS = 256
MAX_TOKENS_PER_TERM = 32

EXTENSIONS = frozenset(
    ("bin", "ckpt", "gguf", "h5", "onnx", "pb", "pkl", "pt", "pth", "safetensors", "sft", "tflite")
)
"""Endings that the index may hold in ``extension`` only, apart from the name before them."""

_QUOTES = {ord(quote): '"' for quote in "\u201c\u201d\u201e\u201f\uff02"}
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TERM = re.compile(r'(?P<minus>-?)(?:"(?P<phrase>[^"]*)(?P<end>"|$)|(?P<word>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class Term:
    """One word or phrase. ``prefix``: its last word may go on."""

    text: str
    is_phrase: bool = False
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query: the terms a model must have, and those it must not have."""

    wanted: tuple[Term, ...] = ()
    unwanted: tuple[Term, ...] = ()


def build_fts5_query(text: str) -> str | None:
    """The FTS5 query for any text at all; None when there is nothing to look for.

    None also when every term is excluded: FTS5's NOT needs a left side. Whoever runs the query
    then takes every model but those of `exclusion_expression`. Never raises.
    """
    query = parse_query(text)
    match, exclusion = match_expression(query), exclusion_expression(query)
    if match is None or exclusion is None:
        return match
    return f"{match} NOT {exclusion}"


def parse_query(text: str) -> Query:
    """Reads at most 16 terms of at most 256 characters; never raises.

    Controls and lone surrogates part words, since SQLite cannot be given them. A phrase whose
    closing quote is missing is still being typed: it ends at the end and its last word is a prefix.
    """
    wanted: list[Term] = []
    unwanted: list[Term] = []
    minus = False
    for minus, term in _terms(usable(text).translate(_QUOTES)):
        (unwanted if minus else wanted).append(term)
        if len(wanted) + len(unwanted) == MAX_TERMS:
            break
    if wanted and not minus and not wanted[-1].is_phrase:
        wanted[-1] = replace(wanted[-1], prefix=True)
    return Query(tuple(wanted), tuple(unwanted))


def match_expression(query: Query) -> str | None:
    """What a model must match, as FTS5 syntax; None when no wanted term holds a word."""
    searchable = [term for term in query.wanted if segments(term.text)]
    if not searchable:
        return None
    together = " AND ".join(_group(term) for term in searchable)
    as_one = _as_one_word(searchable)
    return f"({together})" if as_one is None else f"(({together}) OR {as_one})"


def exclusion_expression(query: Query) -> str | None:
    """What a model must not match, as FTS5 syntax; None when nothing is excluded."""
    groups = [_group(term) for term in query.unwanted if segments(term.text)]
    return f"({' OR '.join(groups)})" if groups else None


def usable(text: str) -> str:
    """``text`` with a space for every character that SQLite cannot be given in a query."""
    return _UNUSABLE.sub(" ", text)


def quoted(text: str, *, prefix: bool = False) -> str:
    """``text`` as an FTS5 string: no character of it has a meaning."""
    doubled = text.replace('"', '""')
    return f'"{doubled}"*' if prefix else f'"{doubled}"'


def _terms(text: str) -> Iterator[tuple[bool, Term]]:
    for found in _TERM.finditer(text):
        if found["word"] is not None:
            term = Term(found["word"][:MAX_TERM_CHARACTERS])
        else:
            unfinished = found["end"] == ""
            term = Term(found["phrase"][:MAX_TERM_CHARACTERS].strip(), True, unfinished)
        if term.text:
            yield bool(found["minus"]), term


def _group(term: Term) -> str:
    """The ways one term can be met: as it is written, or through the ``words`` of the model."""
    as_written = _written(term.text, prefix=term.prefix)
    if term.is_phrase and not has_cjk(term.text):
        return as_written
    tokens = word_tokens(term.text)
    if tokens == [term.text.casefold()]:
        # One plain word: every column may hold it, "words" too.
        return quoted(tokens[0], prefix=term.prefix)
    ways = [as_written, _all_of(tokens, prefix=term.prefix)]
    stem, dot, extension = term.text.rpartition(".")
    if dot and segments(stem) and extension.casefold() in EXTENSIONS:
        name = f"({_written(stem)} OR {_all_of(word_tokens(stem))})"
        ways.append(f"({name} AND {quoted(extension, prefix=term.prefix)})")
    return f"({' OR '.join(ways)})"


def _as_one_word(terms: list[Term]) -> str | None:
    """The words run together ("deep seek" for "deepseek"); None where that says nothing new."""
    if len(terms) < 2 or any(term.is_phrase for term in terms):
        return None
    tokens = word_tokens(" ".join(term.text for term in terms))
    if len(tokens) > MAX_TOKENS_PER_TERM:
        return None
    return _all_of(tokens, prefix=terms[-1].prefix)


def _written(text: str, *, prefix: bool = False) -> str:
    # In "words" neighbours say nothing, so a phrase of several words must not be met there.
    return f"(- words : {quoted(text, prefix=prefix)})"


def _all_of(tokens: list[str], *, prefix: bool = False) -> str:
    used = tokens[:MAX_TOKENS_PER_TERM]
    last = len(tokens) - 1
    parts = (quoted(token, prefix=prefix and i == last) for i, token in enumerate(used))
    return f"({' AND '.join(parts)})"
