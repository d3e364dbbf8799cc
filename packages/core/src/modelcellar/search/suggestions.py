"""What may have been meant where nothing is found: words of the index that are nearly the same."""

import re
from collections.abc import Mapping

import apsw
from rapidfuzz import process
from rapidfuzz.distance import OSA

from modelcellar.search.parser import Query

__all__ = ["suggestion"]

_WORD = re.compile(r"[^\W\d_]{4,}")
LONG_WORD = 5
"""From so many letters on two of them may be wrong, in shorter words one."""

NEAREST = 20


def suggestion(connection: apsw.Connection, text: str, query: Query) -> str | None:
    """``text`` with each unknown word replaced by the likeliest known one; None if there is none.

    Of the words that differ in the fewest letters (one left out, added, changed, or two swapped),
    those with the same first letter come first, then the more frequent ones.
    """
    words = [
        found.casefold()
        for term in query.wanted
        if not term.is_phrase
        for found in _WORD.findall(term.text)
    ]
    if not words:
        return None
    known = _known(connection)
    ordered = sorted(known)
    meant = text
    for word in dict.fromkeys(words):
        if any(other.startswith(word) for other in ordered):
            continue
        nearest = _nearest(word, known)
        if nearest is None:
            return None
        meant = re.sub(re.escape(word), nearest, meant, count=1, flags=re.IGNORECASE)
    return None if meant == text else meant


def _nearest(word: str, known: Mapping[str, int]) -> str | None:
    found = process.extract(
        word,
        known.keys(),
        scorer=OSA.distance,
        score_cutoff=2 if len(word) >= LONG_WORD else 1,
        limit=NEAREST,
    )
    return min(
        (other for other, _, _ in found),
        key=lambda other: (OSA.distance(word, other), other[0] != word[0], -known[other], other),
        default=None,
    )


def _known(connection: apsw.Connection) -> dict[str, int]:
    """The words of the index, and in how many models each is."""
    connection.execute(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.models_words "
        "USING fts5vocab(main, models_fts, row)"
    )
    return dict(connection.execute("SELECT term, doc FROM temp.models_words"))
