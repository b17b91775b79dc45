"""A line costs itself alone, whatever happens in it, and ends with the time that there is."""

from __future__ import annotations

import time

import pytest

from tests.gpu.examples import told
from tests.gpu.lines import Found, Lines, NotRun, first_line


def test_an_error_costs_its_line_alone(lines):
    def fail() -> Found:
        raise RuntimeError("first\nsecond")

    assert lines.run("s", "broken", fail) is None
    assert lines.run("s", "fine", lambda: Found(text="yes", facts={"a": float("inf")})) is not None
    broken, fine = told(lines)
    assert (broken.status, broken.text) == ("failed", "RuntimeError: first")
    assert (fine.status, fine.text, fine.facts) == ("ok", "yes", {"a": "inf"})


def test_a_limit_that_is_missed_and_a_thing_that_is_missing_are_no_failures(lines):
    def missing() -> Found:
        raise NotRun("nothing to run")

    lines.run("s", "a", lambda: Found(text="1.0", missed="needs less"))
    lines.run("s", "b", missing)
    assert [(one.status, one.text) for one in told(lines)] == [
        ("missed", "1.0; needs less"),
        ("not run", "nothing to run"),
    ]


def test_a_line_that_does_not_fit_into_the_time_is_not_begun(tmp_path):
    lines = Lines(tmp_path / "lines.jsonl", time.time() + 5)
    begun = []
    lines.run("s", "long", lambda: begun.append(1) or Found(text=""), needs_s=60)
    assert not begun and told(lines)[0].text == "no time left"


def test_a_line_that_takes_too_long_is_stopped_and_the_next_says_so(tmp_path):
    lines = Lines(tmp_path / "lines.jsonl", time.time() + 1.2)

    def slow() -> Found:
        try:
            time.sleep(30)
        except Exception:  # a library that catches everything
            pytest.fail("the alarm is not one of these")
        return Found(text="")

    lines.run("s", "slow", slow)
    lines.run("s", "next", lambda: Found(text=""))
    assert [one.text for one in told(lines)] == ["no time left: stopped before its end", "no time left"]


def test_an_error_without_words_still_has_its_type():
    assert first_line(MemoryError()) == "MemoryError"
