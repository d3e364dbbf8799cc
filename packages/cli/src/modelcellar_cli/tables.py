"""Plain tables for the terminal: aligned, wide characters counted, cut with an ellipsis.

Of our own because importing rich costs more than the whole of ``cellar list`` may.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import click

__all__ = ["Column", "Marked", "cut", "render", "text_width"]

GAP = "  "
NARROWEST = 12
ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Column:
    """How one column is shown.

    Where room is short the columns with ``cut_order`` 1 are cut first, then those with 2; 0 is
    never cut. ``colours`` maps a cell's first word to a colour.
    """

    title: str
    right: bool = False
    cut_order: int = 0
    colours: Mapping[str, str] = field(default_factory=dict)


class Marked(str):
    """A cell of which ``spans``, [start, end) in characters, are set off where there is colour."""

    __slots__ = ("spans",)

    spans: tuple[tuple[int, int], ...]

    def __new__(cls, text: str, spans: tuple[tuple[int, int], ...]) -> Self:
        """``text`` with those spans."""
        made = super().__new__(cls, text)
        made.spans = spans
        return made


def text_width(text: str) -> int:
    """Cells that the text takes in a terminal (Unicode Standard Annex 11: wide and full are 2)."""
    if text.isascii():
        return len(text)
    return sum(map(_char_width, text))


def _char_width(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def cut(text: str, width: int) -> str:
    """The text in at most ``width`` cells, its end replaced by an ellipsis where needed."""
    if text_width(text) <= width:
        return text
    room = width - 1
    for place, char in enumerate(text):
        room -= _char_width(char)
        if room < 0:
            return text[:place] + ELLIPSIS
    return text


def render(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None = None,
    colour: bool = False,
) -> Iterator[str]:
    """The lines of a table with its heading.

    Args:
        columns: what stands over each column and how it is aligned.
        rows: printable text without line breaks, one cell for each column.
        width: cells that a line may take; columns are cut to keep to it. ``None``: as
            wide as it comes, for files and pipes.
        colour: whether to write ANSI colours.
    """
    titles = [column.title for column in columns]
    widths = [max(map(text_width, cells)) for cells in zip(titles, *rows, strict=True)]
    if width is not None:
        _shrink(widths, columns, width)
    yield _line(columns, widths, titles, heading=True, colour=colour)
    for row in rows:
        yield _line(columns, widths, row, colour=colour)


def _shrink(widths: list[int], columns: Sequence[Column], width: int) -> None:
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width
    for order in sorted({column.cut_order for column in columns} - {0}):
        places = [place for place, column in enumerate(columns) if column.cut_order == order]
        while excess > 0:
            widest = max(places, key=widths.__getitem__)
            if widths[widest] <= NARROWEST:
                break
            widths[widest] -= 1
            excess -= 1


def _line(
    columns: Sequence[Column],
    widths: Sequence[int],
    row: Sequence[str],
    *,
    heading: bool = False,
    colour: bool,
) -> str:
    cells = []
    for column, width, cell in zip(columns, widths, row, strict=True):
        text = cut(cell, width)
        padding = " " * (width - text_width(text))
        if colour and isinstance(cell, Marked):
            text = _with_marks(text, cell.spans)
        elif colour and heading:
            text = click.style(text, bold=True)
        elif colour and (name := column.colours.get(cell.partition(" ")[0])):
            text = click.style(text, fg=name)
        cells.append(padding + text if column.right else text + padding)
    return GAP.join(cells).rstrip()


def _with_marks(text: str, spans: Sequence[tuple[int, int]]) -> str:
    parts, done = [], 0
    for start, end in spans:
        parts += [text[done:start], click.style(text[start:end], fg="yellow", bold=True)]
        done = end
    return "".join([*parts, text[done:]])
