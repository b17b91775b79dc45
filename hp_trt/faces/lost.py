"""Whether the portrait's face was lost in the clip that was made of it: a smear where eyes should be.

Networks that have never seen such a picture, a photograph say, make a smear of it and no error. So a few moments of a
clip are laid beside the portrait's own square. Two things are asked of each: how many eyes OpenCV's cascades see in the
face, and how much of the portrait's detail is left about them, whichever eyes the driver shuts. Cascades come with
OpenCV, so that every installation can ask, whoever found the portrait's face. Of a portrait in which they see no eye,
a painting's or one behind dark glasses, detail alone is asked, and less is demanded of it.

The limits are of clips of both small models, of drawn people and of what was lost on purpose: `python -m
tests.quality.lost_faces`, docs/quality.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hp_trt.faces.face import Face, largest_face
from hp_trt.faces.haar import HaarLocator

LOST_NOTE = (
    "the face of the portrait seems lost in the result: in {lost} of {looks} moments that were looked at, the eyes "
    "cannot be made out as in the portrait; look at it before you use it, and take another portrait (one face, "
    "upright, looking ahead, nothing before it), or a bundle whose weights know such pictures"
)
MOMENTS = 8  # of a clip, that are looked at
_SMALLEST_PX = 64  # of a frame: of less nothing is said
_LOOK_PX = 256  # that a square is looked at in
# What a good moment has at least: the part of both eyes that is seen, and the part of the detail that is left.
LEAST, LEAST_WITHOUT_EYES = 1.25, 0.7
_NO_DETAIL = 1.0  # levels: what is flat
_FINE, _COARSE = 0.04, 0.12  # in widths of a face: details are what lies between these two blurs
_EYES = 0.08, 0.24, 0.92, 0.56  # x0, y0, x1, y1 of a face's box: the part that holds the eyes, wherever they look
_UNKNOWN = 0.3, 0.25, 0.4, 0.5  # x, y, w, h of a square in which no face is found: about where one was said to be


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is seen of a face in one square."""

    face: Face | None  # at `_LOOK_PX`; None: none is found
    eyes: float  # the part of two eyes that is seen: 0, 0.5 or 1
    detail: float  # levels: how much changes about the eyes within a small part of a face


class FaceWatch:
    """Looks at the frames of one clip, as they pass, beside the portrait's `square` (h, w, 3) uint8 RGB.

    Frames cost nothing but for the few that are kept, small, until `notes` is asked for: at most twice `MOMENTS`, at
    even distances, however long the clip is. Without a square, or of one too small, nothing is kept or said.
    """

    def __init__(self, square: np.ndarray | None) -> None:
        self._square = square if square is not None and min(square.shape[:2]) >= _SMALLEST_PX else None
        self._kept: list[np.ndarray] = []
        self._seen, self._every = 0, 1

    def see(self, frame: np.ndarray) -> None:
        """The next frame (S, S, 3) uint8 RGB, the square that was made; it is not changed, and not held."""
        number = self._seen
        self._seen += 1
        if self._square is None or number % self._every or min(frame.shape[:2]) < _SMALLEST_PX:
            return
        if len(self._kept) == 2 * MOMENTS:
            self._kept = self._kept[::2]
            self._every *= 2
            if number % self._every:
                return
        self._kept.append(_small(frame))

    def notes(self) -> tuple[str, ...]:
        """What a user should know of the frames seen until now: nothing, or `LOST_NOTE` with its numbers."""
        if self._square is None or not self._kept:
            return ()
        picked = np.unique(np.linspace(0, len(self._kept) - 1, MOMENTS).round().astype(int))
        found = scores(self._square, [self._kept[i] for i in picked])
        lost = sum(score < 0 for score in found)
        return (LOST_NOTE.format(lost=lost, looks=len(found)),) if 2 * lost > len(found) else ()


def scores(square: np.ndarray, frames: Sequence[np.ndarray]) -> list[float]:
    """How much better than lost each of `frames` (S, S, 3) uint8 RGB is, made of `square` (h, w, 3); below 0: lost."""
    haar = HaarLocator()
    still = look(haar, _small(square))
    least = LEAST if still.eyes else LEAST_WITHOUT_EYES
    found = []
    for frame in frames:
        seen = look(haar, _small(frame), still)
        left = max(seen.detail, _NO_DETAIL) / max(still.detail, _NO_DETAIL)
        found.append(seen.eyes + min(left, 1 / left) - least)  # more than there was is as wrong as less
    return found


def look(haar: HaarLocator, square: np.ndarray, still: Look | None = None) -> Look:
    """What is seen in `square`, of `_LOOK_PX`, a moment of a clip, of which `still` was seen in the portrait's own.

    Where no face is found, detail is of the place that the portrait's face has.
    """
    faces: list[Face] = []
    if still is not None and still.face is not None:
        faces = haar.near(square, still.face)
    face = largest_face(found) if (found := faces or haar.locate(square)) else None
    place = face or (still.face if still else None)
    box = tuple(part * _LOOK_PX for part in _UNKNOWN) if place is None else place.box
    width = still.face.box[2] if still and still.face else box[2]
    return Look(
        face=face,
        eyes=0.0 if face is None else 2 * (face.score - HaarLocator.EYELESS),
        detail=_detail(square, box, width),
    )


def _detail(square: np.ndarray, place: Sequence[float], width: float) -> float:
    import cv2

    gray = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY).astype(np.float32)
    between = cv2.GaussianBlur(gray, (0, 0), _FINE * width) - cv2.GaussianBlur(gray, (0, 0), _COARSE * width)
    x, y, w, h = place
    x0, y0, x1, y1 = (
        int(np.clip(edge, 0, _LOOK_PX))
        for edge in (x + _EYES[0] * w, y + _EYES[1] * h, x + _EYES[2] * w, y + _EYES[3] * h)
    )
    part = between[y0:y1, x0:x1]
    return float(np.sqrt(np.square(part).mean())) if part.size else 0.0


def _small(square: np.ndarray) -> np.ndarray:
    import cv2

    way = cv2.INTER_AREA if min(square.shape[:2]) > _LOOK_PX else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(square), (_LOOK_PX, _LOOK_PX), interpolation=way)
