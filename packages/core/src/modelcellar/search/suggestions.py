"""What may have been meant where nothing is found: words of the index that are nearly the same."""

import re

import apsw
from rapidfuzz import process
from rapidfuzz.distance import OSA

from modelcellar.search.parser import Query
from modelcellar.search.query import quoted
from modelcellar.search.vocabulary import WORD
from modelcellar.search.words import without_diacritics

__all__ = ["suggestion"]

LONG_WORD = 5
"""From so many letters on two of them may be wrong, in shorter words one."""

NEAREST = 20

_ALIKE = """
SELECT word FROM known_words WHERE word >= ?1 AND word < ?1 || char(0x10ffff)
UNION SELECT word FROM known_words WHERE ending = ?2
"""


def suggestion(connection: apsw.Connection, text: str, query: Query) -> str | None:
    """``text`` with each unknown word replaced by the likeliest known one; None if there is none.

    Of the words that differ in the fewest letters (one left out, added, changed, or two swapped),
    those with the same first letter come first, then the more frequent ones. A word that is wrong
    both in its first two letters and in its last two is not found. What is pasted with a slash is
    suggested without what comes before it.
    """
    if "/" in text:
        # "owner/name" pasted from a page, of a model whose owner is not known here.
        without_owner = re.sub(r"\S*/(?=[^\s/])", "", text)
        if without_owner != text:
            return without_owner
    words = [
        found
        for term in query.wanted
        if not term.is_phrase
        for found in WORD.findall(without_diacritics(term.text).casefold())
    ]
    if not words:
        return None
    meant = text
    for word in dict.fromkeys(words):
        if _is_known(connection, word):
            continue
        nearest = _nearest(connection, word)
        if nearest is None:
            return None
        meant = re.sub(re.escape(word), nearest, meant, count=1, flags=re.IGNORECASE)
    return None if meant == text else meant


def _is_known(connection: apsw.Connection, word: str) -> bool:
    found = "SELECT 1 FROM models_fts WHERE models_fts MATCH ? LIMIT 1"
    return connection.execute(found, (quoted(word, prefix=True),)).get is not None


def _nearest(connection: apsw.Connection, word: str) -> str | None:
    found = process.extract(
        word,
        [other for (other,) in connection.execute(_ALIKE, (word[:2], word[-2:]))],
        scorer=OSA.distance,
        score_cutoff=2 if len(word) >= LONG_WORD else 1,
        limit=NEAREST,
    )
    return min(
        (other for other, _, _ in found),
        key=lambda other: (
            OSA.distance(word, other),
            other[0] != word[0],
            -_models(connection, other),
            other,
        ),
        default=None,
    )


def _models(connection: apsw.Connection, word: str) -> int:
    """In how many models it is."""
    statement = "SELECT count(*) FROM models_fts WHERE models_fts MATCH ?"
    found: int = connection.execute(statement, (quoted(word),)).get
    return found
