"""Where in a picture the face and the lips are: the two boxes that every mask of this model is made from.

A box here is x0, y0, x1, y1 in whole pixels, ends exclusive; it grows from the `Edges` of points. The released
arithmetic of `expand_box` is kept with its quirks: a box that grows larger than its picture begins at a negative
number, which an array slice then takes for something else. `inside` is what the product makes of such a box.

Source: SPEC 7, boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import numpy as np

from hp_trt.faces.align import TEMPLATE, similarity
from hp_trt.faces.face import Face, FaceParts

Box = tuple[int, int, int, int]
Edges = tuple[float, float, float, float]  # x0, y0, x1, y1 of points, in pixels

# Of the face mesh's points: those of the face's outline, clockwise from the forehead, and those of the lips' edge.
OUTLINE = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 146, 91, 181, 84, 17, 314, 405, 321, 375)

GUESSED = "the face region is a guess from five points; --locator mesh (hp-trt fetch mesh) or a landmarks file knows it"

# Our own approximation, for locators that know five points alone: two ellipses in ArcFace's 112 pixels, upon which the
# five points are laid. The mean of 34 measurements of the mesh's points: a photographed portrait, six frames of a
# photographic video and ten drawn people, with the mesh's five points and with Haar's (in which nose and mouth are
# themselves guessed). Standard deviations are 2 to 4 pixels for the edges of the outline, 1 to 2 for those of the lips.
# A mouth that is open wide reaches farther down.
_OUTLINE_MIDDLE, _OUTLINE_HALF = (57.5, 65.9), (40.9, 45.2)
_LIPS_MIDDLE, _LIPS_HALF = (56.8, 90.6), (15.5, 4.2)
_ROUND = np.linspace(0, 2 * np.pi, 72, endpoint=False)


@dataclass(frozen=True, kw_only=True)
class Tight:
    """The edges of a face's outline and of its lips, as they lie in the picture."""

    face: Edges
    lips: Edges

    @property
    def longer_side(self) -> float:
        """Of the outline, in pixels."""
        x0, y0, x1, y1 = self.face
        return max(x1 - x0, y1 - y0)


@dataclass(frozen=True, kw_only=True)
class Regions:
    """The two boxes, grown by their ratios."""

    face: Box
    lips: Box


def expand_box(box: Edges, *, height: int, width: int, ratio: float) -> Box:
    """x0, y0, x1, y1 grown to `ratio` times its size about its middle, as released.

    What leaves the picture of `height` x `width` on one side is slid back; what is larger than the picture comes out
    with a negative start.
    """
    x0, y0, x1, y1 = box
    left, right = _expanded(x0, x1, side=width, ratio=ratio)
    top, bottom = _expanded(y0, y1, side=height, ratio=ratio)
    return left, top, right, bottom


def _expanded(low: float, high: float, *, side: int, ratio: float) -> tuple[int, int]:
    middle, half = floor((high + low) / 2), floor((high - low) * ratio / 2)
    low, high = middle - half, middle + half
    if low < 0:
        low, high = 0, high - low
    if high > side:
        low, high = low - (high - side), side
    return round(low), round(high)


def inside(box: Box, *, height: int, width: int) -> Box:
    """The part of `box` that lies in the picture; as the product uses it."""
    x0, y0, x1, y1 = box
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


def face_and_lip_boxes(
    landmarks: np.ndarray, *, height: int, width: int, face_ratio: float = 1.2, lip_ratio: float = 2.0
) -> Regions:
    """The boxes of the face mesh's `landmarks` (468 or 478, 2), float pixels, by the released arithmetic."""
    return grown(tight_of_mesh(landmarks), height=height, width=width, face_ratio=face_ratio, lip_ratio=lip_ratio)


def grown(tight: Tight, *, height: int, width: int, face_ratio: float = 1.2, lip_ratio: float = 2.0) -> Regions:
    """The boxes of `tight` in a picture of `height` x `width`: edges rounded (half to even), then `expand_box`."""
    made = []
    for (x0, y0, x1, y1), ratio in ((tight.face, face_ratio), (tight.lips, lip_ratio)):
        edges = round(x0), round(y0), round(x1), round(y1)
        made.append(expand_box(edges, height=height, width=width, ratio=ratio))
    return Regions(face=made[0], lips=made[1])


def tight_of_mesh(landmarks: np.ndarray) -> Tight:
    """Outline and lips of the face mesh's points (468 or 478, 2)."""
    return Tight(face=_bounding(landmarks[list(OUTLINE)]), lips=_bounding(landmarks[list(LIPS)]))


def tight_of_five_points(landmarks: np.ndarray) -> Tight:
    """About where outline and lips of a face are, of which only five `landmarks` (5, 2) are known: fixed proportions.

    Raises ValueError for points that lie as no face's do.
    """
    turn = similarity(TEMPLATE, np.asarray(landmarks, dtype=np.float64))
    circle = np.stack([np.cos(_ROUND), np.sin(_ROUND)], axis=-1)
    outline, lips = (
        _bounding((np.array(middle) + circle * half) @ turn[:, :2].T + turn[:, 2])
        for middle, half in ((_OUTLINE_MIDDLE, _OUTLINE_HALF), (_LIPS_MIDDLE, _LIPS_HALF))
    )
    return Tight(face=outline, lips=lips)


def tight_of(face: Face) -> tuple[Tight, tuple[str, ...]]:
    """Outline and lips by the best that is known of `face`, and what a user should know about it.

    | what the locator gave                             | outline and lips                          | note      |
    |---------------------------------------------------|-------------------------------------------|-----------|
    | the mesh's points (`mesh`, or a landmarks file)   | the released 36 and 20 of them            |           |
    | boxes of both (a landmarks file, as the sample's) | those                                     |           |
    | five points (`haar`, `yunet`, `yoloface`)         | fixed proportions: `tight_of_five_points` | `GUESSED` |

    Raises ValueError for five points that lie as no face's do.
    """
    if face.mesh is not None:
        return tight_of_mesh(face.mesh), ()
    if face.parts is not None:
        return _of_parts(face.parts), ()
    return tight_of_five_points(face.landmarks), (GUESSED,)


def _of_parts(parts: FaceParts) -> Tight:
    face, lips = ((x, y, x + w, y + h) for x, y, w, h in (parts.face, parts.lips))
    return Tight(face=face, lips=lips)


def _bounding(points: np.ndarray) -> Edges:
    """Of points (n, 2)."""
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x0, y0, x1, y1
