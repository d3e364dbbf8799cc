"""The width of text and the cutting of columns."""

import pytest

from modelcellar_cli.output import human_size, json_text
from modelcellar_cli.tables import Column, cut, render, text_width


@pytest.mark.parametrize(
    ("text", "width"),
    [("", 0), ("abc", 3), ("ünï", 3), ("u\u0308", 1), ("日本", 4), ("한", 2), ("🦙", 2), ("…", 1)],
)
def test_text_width(text: str, width: int) -> None:
    assert text_width(text) == width


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("u\u0308bermut", 3, "u\u0308b…"),
    ],
)
def test_cut(text: str, width: int, expected: str) -> None:
    assert cut(text, width) == expected
    assert text_width(cut(text, width)) <= width


COLUMNS = (
    Column("NAME", cut_order=1),
    Column("SIZE", right=True),
    Column("ID", cut_order=2, colours={"bad": "red"}),
)


def test_a_table_is_aligned() -> None:
    rows = [["a", "10 B", "x"], ["日本", "5 B", "bad one"]]
    assert list(render(COLUMNS, rows)) == [
        "NAME  SIZE  ID",
        "a     10 B  x",
        "日本   5 B  bad one",
    ]


def test_the_first_in_the_cut_order_goes_first_and_lines_fit() -> None:
    rows = [["n" * 40, "10 B", "i" * 30]]
    for width in (90, 70, 60, 50):
        lines = list(render(COLUMNS, rows, width=width))
        assert max(map(text_width, lines)) <= width
    wide, narrow = (list(render(COLUMNS, rows, width=width))[1] for width in (60, 45))
    assert "i" * 30 in wide
    assert "n" * 11 + "…" in narrow
    assert "…" in narrow.split()[-1]
    tiny = list(render(COLUMNS, rows, width=5))[1]
    assert tiny.startswith("n" * 11 + "…"), "a column keeps a width in which it can be read"


def test_colour() -> None:
    heading, first, second = render(
        COLUMNS, [["a", "1 B", "good"], ["b", "1 B", "bad"]], colour=True
    )
    assert heading.startswith("\x1b[1mNAME\x1b[0m")
    assert "\x1b" not in first
    assert second.endswith("\x1b[31mbad\x1b[0m")


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (6_938_040_682, "6.94 GB"),
        (10**15, "1 PB"),
        (10**18, "1e+03 PB"),
    ],
)
def test_human_size(size_bytes: int, text: str) -> None:
    assert human_size(size_bytes) == text


def test_json_holds_no_nan_no_surrogates_and_no_control_characters() -> None:
    document = {"a": [float("nan"), float("inf"), 1.5], "b\udce9": ("\udce9", "\x9b", "é", "日")}
    text = json_text(document)
    assert text.isascii()
    assert text.isprintable()
    assert text == (
        '{"a": [null, null, 1.5], "b\\\\xe9": ["\\\\xe9", "\\u009b", "\\u00e9", "\\u65e5"]}'
    )
