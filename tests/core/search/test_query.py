"""Any text becomes a valid FTS5 query, and says what was meant."""

import random

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelcellar.search.fts5 import COLUMNS
from modelcellar.search.parser import Term, parse_query
from modelcellar.search.query import (
    build_fts5_query,
    exclusion_expression,
    match_expression,
    quoted,
)


@pytest.fixture(scope="module")
def index() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute(
        f"CREATE VIRTUAL TABLE f USING fts5({', '.join(COLUMNS)},"
        " tokenize='unicode61 remove_diacritics 2')"
    )
    connection.execute(
        "INSERT INTO f(name, words) VALUES ('FLUX.1-dev', 'flux 1 dev flux1 1dev flux1dev')"
    )
    return connection


def run(index: apsw.Connection, expression: str | None) -> list[int]:
    if expression is None:
        return []
    return [row for (row,) in index.execute("SELECT rowid FROM f WHERE f MATCH ?", (expression,))]


@pytest.mark.parametrize(
    ("text", "wanted", "unwanted"),
    [
        ("", [], []),
        ("flux", [Term("flux", prefix=True)], []),
        ("flux dev", [Term("flux"), Term("dev", prefix=True)], []),
        ("flux -dev", [Term("flux")], [Term("dev")]),
        ("-dev flux", [Term("flux", prefix=True)], [Term("dev")]),
        ("flux - dev", [Term("flux"), Term("-"), Term("dev", prefix=True)], []),
        ('"flux dev"', [Term("flux dev", is_phrase=True)], []),
        ('"flux d', [Term("flux d", is_phrase=True, prefix=True)], []),
        ('-"flux dev" x', [Term("x", prefix=True)], [Term("flux dev", is_phrase=True)]),
        ("“flux dev”", [Term("flux dev", is_phrase=True)], []),
        ('a"b c"d', [Term("a"), Term("b c", is_phrase=True), Term("d", prefix=True)], []),
        ('"" "  "', [], []),
        ("NOT a", [], [Term("a")]),
        ("not", [Term("not", is_phrase=True, prefix=True)], []),
        ("a\0b\ud800c", [Term("a"), Term("b"), Term("c", prefix=True)], []),
        ("a\u3000b", [Term("a"), Term("b", prefix=True)], []),
    ],
)
def test_parse(text: str, wanted: list[Term], unwanted: list[Term]) -> None:
    query = parse_query(text)
    assert list(query.wanted) == wanted
    assert list(query.alternatives[0].unwanted) == unwanted


def test_caps() -> None:
    query = parse_query("x" * 1000 + " y" * 1000)
    assert len(query.wanted) == 16
    assert len(query.wanted[0].text) == 256
    query = parse_query("-y " * 1000 + "x")
    assert (len(query.wanted), len(query.alternatives[0].unwanted)) == (0, 16)


def test_a_query_is_of_bounded_length() -> None:
    for text in (" ".join(["a1" * 128] * 16), " ".join(["日" * 256] * 16), "x.gguf " * 99):
        assert len(build_fts5_query(text) or "") < 100_000 / 4
        assert (build_fts5_query(text) or "").count('"') <= 2 * 16 * (1 + 32)


@pytest.mark.parametrize("text", ["", " ", "-", "-x", '-"a b"', "***", "🔥", '""', "\0", "\udcff"])
def test_nothing_wanted_is_none(text: str) -> None:
    assert build_fts5_query(text) is None


def test_only_exclusions_have_an_expression(index: apsw.Connection) -> None:
    [query] = parse_query("-flux").alternatives
    assert match_expression(query) is None
    assert run(index, exclusion_expression(query)) == [1]


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("flux dev", True),
        ("flux1", True),
        ("flux1 dev", True),
        ("FLUX.1", True),
        ("fl", True),
        ("fl dev", False),
        ("flux de", True),
        ('"flux 1"', True),
        ('"1 flux"', False),
        ('"flux dev"', False),
        ('"dev flux1"', False),
        ("flux -dev", False),
        ("flux -schnell", True),
        ("flux AND dev", False),
        ('flux "', True),
        ("flux*", True),
        ("flux:dev", False),
        ("(flux)", True),
        ("flux-dev", False),
        ("flux1-dev.gguf", False),
    ],
)
def test_meaning(index: apsw.Connection, text: str, is_found: bool) -> None:
    assert run(index, build_fts5_query(text)) == [1] * is_found


def test_quoted_text_has_no_syntax(index: apsw.Connection) -> None:
    assert quoted('a"b') == '"a""b"'
    assert quoted("a", prefix=True) == '"a"*'
    for text in ('"', '"" OR "', "*", "name:x", 'a" OR "flux'):
        assert run(index, quoted(text)) == []


@settings(max_examples=5_000, deadline=None, database=None)
@given(st.text(st.characters(codec=None), max_size=60))
@example("0 TYPE:LORA")
@example("-format:gguf a")
def test_any_text_is_a_valid_query(index: apsw.Connection, text: str) -> None:
    run(index, build_fts5_query(text))
    for clause in parse_query(text).alternatives:
        run(index, match_expression(clause))
        run(index, exclusion_expression(clause))


@settings(max_examples=5_000, deadline=None, database=None)
@given(st.text(st.sampled_from("\"*-^:(){}+., aAé1日NOTRD\0_%\\'"), max_size=60))
def test_syntax_characters_are_a_valid_query(index: apsw.Connection, text: str) -> None:
    run(index, build_fts5_query(text))


def test_long_texts_are_valid_queries(index: apsw.Connection) -> None:
    rng = random.Random(7)
    for _ in range(30):
        text = "".join(chr(rng.randrange(0x110000)) for _ in range(100_000))
        run(index, build_fts5_query(text))
    for text in ("a1" * 50_000, "日" * 100_000, "a1" * 128 + " " + "日" * 256 + " b2" * 20):
        run(index, build_fts5_query(text))
