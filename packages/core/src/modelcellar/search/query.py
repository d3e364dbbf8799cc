"""A parsed query, made into an FTS5 query that can never be a syntax error.

Every text stands in quotes, so no character and no word of it (AND, NEAR) has a meaning to FTS5.
FTS5 syntax: https://www.sqlite.org/fts5.html#full_text_query_syntax
"""

from collections.abc import Iterator

from modelcellar.search.fields import KINDS, TEXT_COLUMNS, kind_words
from modelcellar.search.parser import Clause, Query, Term, parse_query
from modelcellar.search.words import has_cjk, segments, word_tokens

__all__ = [
    "build_fts5_query",
    "clause_expression",
    "column_expression",
    "exclusion_expression",
    "match_expression",
    "query_expression",
    "quoted",
]

MAX_TOKENS_PER_TERM = 32

EXTENSIONS = frozenset(
    ("bin", "ckpt", "gguf", "h5", "onnx", "pb", "pkl", "pt", "pth", "safetensors", "sft", "tflite")
)
"""Endings that the index may hold in ``extension`` only, apart from the name before them."""


def build_fts5_query(text: str) -> str | None:
    """The FTS5 query for any text at all; None when there is nothing to look for.

    None also when every term of an alternative is excluded: FTS5's NOT needs a left side. Whoever
    runs the query then takes every model but those of `exclusion_expression`. Conditions that are
    no text (``size>4GB``) are not in it. Never raises.
    """
    return query_expression(parse_query(text))


def query_expression(query: Query) -> str | None:
    """The same of a query that is parsed already."""
    expressions = [clause_expression(clause) for clause in query.alternatives]
    if None in expressions:
        return None
    return " OR ".join(f"({expression})" for expression in expressions)


def clause_expression(clause: Clause) -> str | None:
    """The FTS5 query of one alternative; None when it has no wanted word."""
    match, exclusion = match_expression(clause), exclusion_expression(clause)
    if match is None or exclusion is None:
        return match
    return f"{match} NOT {exclusion}"


def match_expression(clause: Clause) -> str | None:
    """What a model must match, as FTS5 syntax; None when no wanted term holds a word."""
    searchable = [term for term in clause.wanted if segments(term.text)]
    columns = column_expression(clause)
    parts = [] if columns is None else [columns]
    if searchable:
        together = " AND ".join(_group(term) for term in searchable)
        as_one = _as_one_word(searchable)
        parts.append(f"({together})" if as_one is None else f"(({together}) OR {as_one})")
    return " AND ".join(parts) if parts else None


def column_expression(clause: Clause) -> str | None:
    """What the conditions about one column of the index want, as FTS5 syntax; None: nothing."""
    parts = [*_columns(clause, excluded=False)]
    return " AND ".join(parts) if parts else None


def exclusion_expression(clause: Clause) -> str | None:
    """What a model must not match, as FTS5 syntax; None when nothing is excluded."""
    groups = [_group(term) for term in clause.unwanted if segments(term.text)]
    groups += _columns(clause, excluded=True)
    return f"({' OR '.join(groups)})" if groups else None


def _columns(clause: Clause, *, excluded: bool) -> Iterator[str]:
    for condition, is_excluded in clause.conditions:
        if is_excluded != excluded:
            continue
        column, values = TEXT_COLUMNS.get(condition.field), condition.values
        if clause.has_text and condition.field in KINDS:
            # Without words the table of fields is quicker, and has them in the order of names.
            column, values = "kinds", tuple(kind_words(condition))
        if column is not None:
            yield f"({column} : ({' OR '.join(quoted(value) for value in values)}))"


def quoted(text: str, *, prefix: bool = False) -> str:
    """``text`` as an FTS5 string: no character of it has a meaning."""
    doubled = text.replace('"', '""')
    return f'"{doubled}"*' if prefix else f'"{doubled}"'


def _group(term: Term) -> str:
    """The ways one term can be met: as it is written, or through the ``words`` of the model."""
    stem, dot, extension = term.text.rpartition(".")
    is_file = bool(dot and segments(stem)) and extension.casefold() in EXTENSIONS
    # A whole extension is not the beginning of another, and a million names have it.
    prefix = term.prefix and not is_file
    as_written = _written(term.text, prefix=prefix and not _ends_in_one(term.text))
    if term.is_phrase and not has_cjk(term.text):
        return as_written
    tokens = word_tokens(term.text)
    if tokens == [term.text.casefold()]:
        # One plain word: every column may hold it, "words" too.
        return quoted(tokens[0], prefix=prefix)
    ways = [as_written, _all_of(tokens, prefix=prefix)]
    if "/" in term.text:
        # "owner/name": the two stand in different columns.
        parts = [part for part in term.text.split("/") if segments(part)]
        if len(parts) > 1:
            last = len(parts) - 1
            both = (_group(Term(part, prefix=prefix and i == last)) for i, part in enumerate(parts))
            ways.append(f"({' AND '.join(both)})")
    if is_file:
        name = f"({_written(stem)} OR {_all_of(word_tokens(stem))})"
        ways.append(f"({name} AND {quoted(extension)})")
    return f"({' OR '.join(ways)})"


def _ends_in_one(text: str) -> bool:
    """Whether its last segment is one character of several: what begins with it is nearly
    everything, and "words" has the neighbours of it joined ("q4km" of "q4_k_m")."""
    found = segments(text)
    return len(found) > 1 and len(found[-1]) == 1


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
