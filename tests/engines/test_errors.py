"""Messages are for people: short, and harmless to a terminal."""

from __future__ import annotations

import pytest

from engines.errors import HpTrtError, InputError, bounded


def test_a_short_message_stays_as_it_is():
    assert str(InputError("a.png: no such file; give the path of a picture")) == (
        "a.png: no such file; give the path of a picture"
    )


def test_of_a_long_message_the_beginning_and_the_advice_stay():
    text = str(HpTrtError(f"found {'x' * 100_000}; do this instead"))
    assert len(text) <= 600
    assert text.startswith("found xxx") and text.endswith("xxx; do this instead")


def test_a_message_has_three_lines_at_most():
    lines = bounded("\n".join(f"line {n}" for n in range(1000))).splitlines()
    assert lines == ["line 0", "line 1", "... line 999"]


@pytest.mark.parametrize(
    ("told", "shown"),
    [("\x1b[2Jgone", "\\x1b[2Jgone"), ("a\u202eb", "a\\u202eb"), ("caf\udce9", "caf\\udce9"), ("\x9bA", "\\x9bA")],
)
def test_what_a_terminal_would_obey_is_escaped(told, shown):
    assert str(InputError(told)) == shown
