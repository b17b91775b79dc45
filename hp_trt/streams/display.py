"""A window on this machine's display, by OpenCV. Closed with its button, q or Escape; no sound."""

from __future__ import annotations

import os
import sys
from fractions import Fraction

import numpy as np

from engines.errors import OutputError
from hp_trt.media.seal import Seal
from hp_trt.streams.sink import Shape

_TITLE = "hp-trt live"
_CLOSING_KEYS = (ord("q"), 27)
_OTHERWISE = "or show it with another program: ... --out - | ffplay -"


class Display:
    """Raises OutputError when made where no window can be."""

    name, hears = "the window", False

    def __init__(self) -> None:
        import cv2

        gui = next((line for line in cv2.getBuildInformation().splitlines() if line.strip().startswith("GUI:")), "")
        if "NONE" in gui:
            raise OutputError(
                "a window needs an OpenCV that has them, this one is headless; "
                f"pip uninstall opencv-python-headless, then pip install 'opencv-python<5', {_OTHERWISE}"
            )
        # Asked here, because a GUI that finds no display ends the process. macOS needs no variable.
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise OutputError(
                f"a window needs a display, and DISPLAY names none; log in at one (or ssh -X), {_OTHERWISE}"
            )
        self.notes: list[str] = []
        self.seal: Seal | None = None  # what is shown is not written
        self._is_open = self._is_shown = False

    def open(self, shape: Shape) -> None:
        import cv2

        cv2.namedWindow(_TITLE, cv2.WINDOW_AUTOSIZE)
        self._is_open = True

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        import cv2

        self._is_shown = True
        cv2.imshow(_TITLE, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def watched(self) -> bool:
        import cv2

        if not self._is_shown:
            return True
        key = cv2.pollKey()  # also lets the window draw itself
        return key & 0xFF not in _CLOSING_KEYS and cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        import cv2

        if self._is_open:
            cv2.destroyWindow(_TITLE)
            self._is_open = self._is_shown = False
