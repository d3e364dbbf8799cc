"""The words that "did you mean" chooses from: those of names, tags, families and authors.

Apart from the index, because to list its words takes as long as to read all of it.
"""

import re

import apsw

from modelcellar.index_schema import INSERT_WORD
from modelcellar.search.words import without_diacritics

__all__ = ["WORD", "refill", "vocabulary"]

WORD = re.compile(r"[^\W\d_]{4,32}")
"""Letters only; what is shorter has too many neighbours to say which one was meant."""

_CASED = re.compile(r"[A-Z][a-z]{3,31}|[a-z]{4,32}")


def vocabulary(*texts: str) -> frozenset[str]:
    """The words of ``texts``, in lower case and without accents; parts of CamelCase too."""
    found: set[str] = set()
    for text in texts:
        plain = text if text.isascii() else without_diacritics(text)
        found.update(WORD.findall(plain.casefold()))
        found.update(word.lower() for word in _CASED.findall(plain))
    return frozenset(found)


def refill(connection: apsw.Connection) -> None:
    """Makes the table ``known_words`` anew from ``models``. Raises apsw.Error."""
    connection.execute("DELETE FROM known_words")
    words: set[str] = set()
    for texts in connection.execute("SELECT name, tags, family_text, author FROM models"):
        words |= vocabulary(*texts)
    connection.executemany(INSERT_WORD, ((word,) for word in sorted(words)))
