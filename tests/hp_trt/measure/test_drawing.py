"""A picture that could not be drawn is told before the measurement."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from engines.errors import InputError
from hp_trt.measure.drawing import check_can_draw


def test_a_picture_of_no_kind_is_refused():
    with pytest.raises(InputError, match=r"t\.gif names no kind of picture; end its name in \.png, \.svg, \.pdf"):
        check_can_draw(Path("t.gif"), "--plot")


def test_without_its_library_the_option_is_named_and_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"--picture draws with matplotlib, which is not installed; pip install '\.\[bench\]' "
    ):
        check_can_draw(Path("t.png"), "--picture")
