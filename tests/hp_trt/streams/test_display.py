from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from engines.errors import OutputError
from hp_trt.streams.display import Display
from hp_trt.streams.sink import Shape


@pytest.fixture
def gui(monkeypatch):
    """An OpenCV with windows, and a display, as far as anyone can tell."""
    shown = []
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "\n  GUI:                           GTK3\n")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(cv2, "namedWindow", lambda *a: None)
    monkeypatch.setattr(cv2, "destroyWindow", lambda *a: shown.append("gone"))
    monkeypatch.setattr(cv2, "imshow", lambda title, image: shown.append(image))
    monkeypatch.setattr(cv2, "pollKey", lambda: -1)
    monkeypatch.setattr(cv2, "getWindowProperty", lambda *a: 1.0)
    return shown


def test_an_opencv_without_windows_says_what_to_install():
    with pytest.raises(OutputError, match=r"this one is headless; .*pip install 'opencv-python<5', .* \| ffplay -"):
        Display()


def test_no_display_is_told_before_it_could_end_the_process(gui, monkeypatch):
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(OutputError, match="a window needs a display, and DISPLAY names none"):
        Display()


def test_pictures_are_shown_in_their_colours(gui):
    display = Display()
    display.open(Shape(width=2, height=2, rate=Fraction(25)))
    display.write(np.full((2, 2, 3), (1, 2, 3), np.uint8), Fraction(0))
    assert gui[0][0, 0].tolist() == [3, 2, 1]  # OpenCV's order
    display.close()
    display.close()
    assert gui[1:] == ["gone"]


@pytest.mark.parametrize("how", ["q", "button"])
def test_a_window_that_is_closed_ends_the_run_as_it_should(gui, monkeypatch, live, tmp_path, how):
    from tests.hp_trt.clips import make_clip

    if how == "q":
        monkeypatch.setattr(cv2, "pollKey", lambda: ord("q") if len(gui) >= 5 else -1)
    else:
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *a: 0.0 if len(gui) >= 5 else 1.0)
    ran = live(make_clip(tmp_path / "d.mp4", 30), "window")
    assert ran.error is None and ran.outcome.ended == "the window was closed" and ran.outcome.frames == 5
