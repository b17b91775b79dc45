"""The face mesh's 468 points: which they are, where a crop for them lies, and what our own kind of face they make.

Arithmetic on points only: no picture, no network. Pixels are counted with 0 in the middle of the first.

Source: the public description of the MediaPipe face mesh: its numbering of points, and of its input that the face is
upright in a square with a quarter of its size around it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from hp_trt.faces.face import Face

POINTS = 468
INPUT_PX = 192
# Eyes first on the picture's left, as everywhere here; corners alone, which stay where they are in a blink.
LEFT_EYE, RIGHT_EYE = (33, 133), (362, 263)
NOSE_TIP = 4
MOUTH_CORNERS = 61, 291

_MARGIN = 1.5  # of the longer side of the points: a quarter of a face on each side
# Haar's box of a face in heights of its points: so high, and so much of that above the uppermost. Measured on drawn
# clips (1.14, 0.09) and on a photographic video (1.22, 0.13).
_HAAR_HEIGHT, _HAAR_ABOVE = 1.18, 0.11


@dataclass(frozen=True, kw_only=True)
class Square:
    """The turned square of a picture that the network sees."""

    middle: tuple[float, float]
    side: float  # pixels of the picture
    turn: float  # radians: the direction of its upper edge, 0 along x, growing clockwise as seen

    @classmethod
    def round(cls, points: np.ndarray) -> Self:
        """The one that shows the face of these `points` (468, 2) upright, with the margin that the network wants."""
        x, y = points[list(RIGHT_EYE)].mean(axis=0) - points[list(LEFT_EYE)].mean(axis=0)
        turn = math.atan2(y, x)
        upright = points @ _rotation(-turn).T
        low, high = upright.min(axis=0), upright.max(axis=0)
        x, y = _rotation(turn) @ ((low + high) / 2)
        return cls(middle=(float(x), float(y)), side=_MARGIN * float((high - low).max()), turn=turn)

    @classmethod
    def round_box(cls, box: tuple[float, float, float, float], turn: float = 0.0) -> Self:
        """About the one for an upright face of which only the box is known, as Haar gives it (x, y, w, h)."""
        x, y, w, h = box
        height = h / _HAAR_HEIGHT
        return cls(middle=(x + w / 2, y + (_HAAR_ABOVE + 0.5) * height), side=_MARGIN * height, turn=turn)

    def to_input(self, px: int = INPUT_PX) -> np.ndarray:
        """(2, 3): the matrix from the picture's pixels to those of the square at `px` x `px`."""
        turned = _rotation(-self.turn) * (px / self.side)
        shift = (px - 1) / 2 - turned @ np.array(self.middle)
        return np.hstack([turned, shift[:, None]])

    def from_input(self, points: np.ndarray) -> np.ndarray:
        """(n, 2) in the network's pixels as (n, 2) in the picture's."""
        turned = _rotation(self.turn) * (self.side / INPUT_PX)
        return (points - (INPUT_PX - 1) / 2) @ turned.T + np.array(self.middle)

    def is_near(self, other: Square) -> bool:
        """Whether the network sees the same in both, but for what it does not mind."""
        away = math.dist(self.middle, other.middle)
        turned = abs((self.turn - other.turn + math.pi) % math.tau - math.pi)
        return away < 0.05 * self.side and turned < math.radians(6) and 0.9 < self.side / other.side < 1.12


def face_of(points: np.ndarray, score: float) -> Face:
    """Our kind of face, from `points` (468, 2) float64 of a picture: five landmarks, and all the points' bounding box.

    It goes from cheek to cheek and from forehead to chin, which is how the faces are annotated that detectors learn
    from (WIDER FACE, Yang et al. 2016). Crops are made from it; docs/quality.md has what other boxes cost.
    """
    (x, y), (w, h) = points.min(axis=0), np.ptp(points, axis=0)
    eyes = [points[list(corners)].mean(axis=0) for corners in (LEFT_EYE, RIGHT_EYE)]
    landmarks = np.stack([*eyes, points[NOSE_TIP], *points[list(MOUTH_CORNERS)]])
    return Face(box=(float(x), float(y), float(w), float(h)), landmarks=landmarks, score=score, mesh=points)


def _rotation(turn: float) -> np.ndarray:
    return np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
