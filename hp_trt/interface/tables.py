"""Tables for people that keep every word, however narrow the terminal is.

Columns that do not fit beside each other are printed below each other, each time with the first column, which names
the row. A column that alone is wider than the terminal is printed as it is: a word that is cut off is of no use.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console

_GAP = 2


def print_table(
    console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: Collection[str] = ()
) -> None:
    """Print `rows` below `headings`. The first column and those of `left` begin at the left, all others end right."""
    for number, columns in enumerate(_blocks(console.width, headings, rows)):
        if number:
            console.print()
        for line, style in ((headings, "bold"), *((row, "") for row in rows)):
            cells = [
                _placed(line[column], _width(column, headings, rows), column == 0 or headings[column] in left)
                for column in columns
            ]
            text = (" " * _GAP).join(cells).rstrip()
            console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _blocks(most: int, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """The columns of each block, by number: the first, and as many of the others as fit."""
    first = _width(0, headings, rows)
    block, used = [0], first
    for column in range(1, len(headings)):
        width = _GAP + _width(column, headings, rows)
        if used + width > most and len(block) > 1:
            yield block
            block, used = [0], first
        block.append(column)
        used += width
    yield block


def _width(column: int, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    return max(cell_len(line[column]) for line in (headings, *rows))


def _placed(text: str, width: int, left: bool) -> str:
    space = " " * (width - cell_len(text))
    return text + space if left else space + text
