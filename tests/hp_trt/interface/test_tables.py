"""Tables keep their words, however narrow the terminal is."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from hp_trt.interface.tables import print_table

HEADINGS = ("profile", *(f"heading{n} unit" for n in range(12)))
ROWS = [("one-step-tiny-decoder", *(f"{n}.25" for n in range(12))), ("[bold]x[/]", *("-" for _ in range(12)))]


def printed(width: int) -> list[str]:
    out = io.StringIO()
    print_table(Console(file=out, width=width), HEADINGS, ROWS, left=("heading3 unit",))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [20, 40, 80, 120, 400])
def test_every_word_is_there_once_and_no_line_is_wider_than_need_be(width):
    lines = printed(width)
    text = "\n".join(lines)
    for number in range(12):
        assert len(re.findall(rf"\bheading{number} unit\b", text)) == 1
        assert len(re.findall(rf"(?<!\d){number}\.25\b", text)) == 1
    assert max(map(len, lines)) <= max(width, len(ROWS[0][0]) + 2 + len("heading10 unit"))
    assert "…" not in text and "[bold]x[/]" in text


def test_what_fits_is_one_block_and_else_each_block_names_its_rows():
    assert len(printed(400)) == 3
    lines = printed(80)
    assert (
        sum(line.startswith("one-step-tiny-decoder") for line in lines)
        == sum(line.startswith("profile") for line in lines)
        == lines.count("") + 1
        > 1
    )


def test_numbers_end_below_each_other_and_words_begin_so():
    lines = printed(400)
    assert lines[0].index("heading3") == lines[1].index("3.25") and lines[1].endswith("11.25")
    assert lines[0].index("heading5 unit") + len("heading5 unit") == lines[1].index("5.25") + 4
