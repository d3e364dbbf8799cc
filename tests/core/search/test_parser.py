"""The query language: what is a condition, what is text, and that every query can be written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelcellar.search.fields import FIELDS, Condition
from modelcellar.search.parser import Item, Term, parse_query
from tests.core.search.conftest import Catalog

ALPHABET = (
    *('"', ":", "<", ">", "=", ",", "-", " ", "or", "OR", "not", "sort", "\0", "\ud800", "“"),
    *(*FIELDS, "lora", "vae", "gguf", "4GB", "8B", "30d", "2026-01-01", "yes", "ab12", "duplicate"),
    *("size", "name", "flux", "模型", "é", "foo", "%", "*", "(", "NEAR", "99999999999999", "y"),
)
ANY_TEXT = st.text(st.characters(codec=None), max_size=40)
LIKE_A_QUERY = st.lists(st.sampled_from(ALPHABET), max_size=40).map("".join)


def conditions(text: str) -> list[str]:
    return [f"{'-' * no}{one}" for c in parse_query(text).alternatives for one, no in c.conditions]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flux type:lora", ["type:lora"]),
        ("-type:lora,vae x", ["-type:lora,vae"]),
        ("not type:lora", ["-type:lora"]),
        ('base:"SD 1.5"', ['base:"SD 1.5"']),
        ("size>4GB SIZE:<=500MB", ["size>4GB", "size<=500MB"]),
        ("params<=8B added:<30d added>2026-01-01", ["params<=8B", "added<30d", "added>2026-01-01"]),
        ("verified:no verified:<30d is:pending", ["verified:no", "verified<30d", "is:pending"]),
    ],
)
def test_conditions(text: str, expected: list[str]) -> None:
    assert conditions(text) == expected
    assert parse_query(text).notes == ()


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("colour:red", "there is no field colour"),
        ("type:banana", "type wants one of"),
        ("type:lora,", "type wants one of"),
        ("size:big", "size wants a bound"),
        ("size:4GB", "size wants a bound"),
        ("hash:xyz", "hash wants 4 or more digits"),
        ("sort:colour", "sort by name, size"),
    ],
)
def test_what_makes_no_sense_is_text_and_said(text: str, note: str) -> None:
    query = parse_query(text)
    assert query.wanted == (Term(text, prefix=True),)
    assert conditions(text) == []
    assert note in query.notes[0]


def test_or_binds_weaker_than_and() -> None:
    first, second = parse_query("flux dev or type:vae -sdxl").alternatives
    assert first.wanted == (Term("flux"), Term("dev"))
    assert second.items == (
        Item(Condition("type", "", ("vae",))),
        Item(Term("sdxl"), excluded=True),
    )
    assert len(parse_query("a OR b Or c").alternatives) == 3


@pytest.mark.parametrize("text", ["or", "or a", "a or", "a or or", "or or", "not or a"])
def test_an_operator_with_nothing_to_join_is_text(text: str) -> None:
    assert any(term.text in ("or", "not") for term in parse_query(text).wanted)


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        ("sort:size", "size"),
        ("sort:size-", "size-"),
        ("sort:-Size", "size-"),
        ("a sort:name b", "name"),
    ],
)
def test_sort(text: str, sort: str) -> None:
    assert parse_query(text).sort == sort
    assert "sort" not in " ".join(term.text for term in parse_query(text).wanted)


def test_a_query_of_many_words_says_which_count() -> None:
    assert parse_query("a " * 16).notes == ()
    assert "first 16" in parse_query("a " * 17).notes[0]


@settings(max_examples=2_000, deadline=None, database=None)
@given(ANY_TEXT | LIKE_A_QUERY)
def test_every_query_can_be_written_down(text: str) -> None:
    query = parse_query(text)
    assert parse_query(str(query)) == query


@pytest.fixture(scope="module")
def few() -> Catalog:
    catalog = Catalog()
    catalog.add("FLUX.1-dev", "模型", "sd_xl_base_1.0", "%", "or")
    return catalog


@pytest.mark.slow
@settings(max_examples=50_000, deadline=None, database=None)
@given(ANY_TEXT | LIKE_A_QUERY)
def test_no_text_is_an_error(few: Catalog, text: str) -> None:
    query = parse_query(text)
    assert parse_query(str(query)) == query
    few.find(text, limit=3)
