"""A face that is followed by the flow of points on it, and looked for only now and then: for live sessions.

Corners on the face are followed from picture to picture, there and back (Lucas-Kanade), and those that do not come back
to where they began are left out: a hand, a light, an edge of the background. What most of the others agree on is how
the face moved, turned and grew. That costs a sixth of what a cascade does near the face, and trembles less; but it
knows nothing of faces, and its errors add up. So the locator behind it looks again on a schedule, and at once where the
corners are lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hp_trt.faces.face import Face, FaceFollower

# Pictures. With 13 points are truer still, but what pocket makes of them is 0.1 dB worse: the box that it sees wanders.
_LOOK_AGAIN = 5

_FACE_PX = 96  # the size at which a face is followed: a usual head then moves by a few pixels from picture to picture
_ROOM = 0.3  # of its size around it, for where it may have gone
_CORNERS, _LEAST_CORNERS = 40, 10  # fewer tell nothing
_CORNER_APART_PX, _CORNER_QUALITY = 4, 0.01
_COMES_BACK_PX, _AGREES_PX = 0.7, 1.5
_AGREEING = 0.5  # of the corners
_GROWS = 1.15  # from one picture to the next
_WINDOW_PX, _LEVELS = (13, 13), 2


class FlowLocator:
    """`locator` for the pictures of one stream, in order: a `FaceFollower` that asks it less often.

    The same pictures give the same faces. It keeps the last picture that shows one.
    """

    reads_pixels = True

    def __init__(self, locator: FaceFollower) -> None:
        self.name, self.steadiness = locator.name, locator.steadiness
        self._locator = locator
        self._seen: tuple[np.ndarray, Sequence[Face]] | None = None
        self._since = 0  # pictures since the locator has looked

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        return self._keep(image, self._locator.locate(image, frame))

    def near(self, image: np.ndarray, face: Face) -> list[Face]:
        """`face` of the picture before in this one, or nothing where it cannot be seen near there."""
        self._since += 1
        if self._since < _LOOK_AGAIN and self._seen is not None and any(face is seen for seen in self._seen[1]):
            flowed = _followed(self._seen[0], face, image)
            if flowed is not None:
                self._seen = image, [flowed]
                return [flowed]
        return self._keep(image, self._locator.near(image, face))

    def _keep(self, image: np.ndarray, found: list[Face]) -> list[Face]:
        if found:
            self._seen, self._since = (image, found), 0
        return found


def _followed(before: np.ndarray, face: Face, now: np.ndarray) -> Face | None:
    """`face` of the picture `before` in the picture `now`, both (H, W, 3) uint8 RGB; None where it cannot be told."""
    import cv2

    x, y, w, h = face.box
    height, width = before.shape[:2]
    scale, room = min(1.0, _FACE_PX / max(w, h)), _ROOM * max(w, h)
    left, top = max(int(x - room), 0), max(int(y - room), 0)
    right, bottom = min(int(x + w + room) + 1, width), min(int(y + h + room) + 1, height)
    if now.shape != before.shape or min(right - left, bottom - top) * scale < 2 * _WINDOW_PX[0]:
        return None
    was, there = (_gray(image[top:bottom, left:right], scale) for image in (before, now))
    corners = _corners(was, ((x - left) * scale, (y - top) * scale, w * scale, h * scale))
    if len(corners) < _LEAST_CORNERS:
        return None
    ends, found = _flow(was, there, corners)
    starts, back = _flow(there, was, ends)
    sure = found & back & (np.abs(starts - corners).max(axis=(1, 2)) < _COMES_BACK_PX)
    least = max(_LEAST_CORNERS, _AGREEING * len(corners))
    if sure.sum() < least:
        return None
    turn, agree = cv2.estimateAffinePartial2D(corners[sure], ends[sure], ransacReprojThreshold=_AGREES_PX)
    if turn is None or agree.sum() < least:
        return None
    grown = math.hypot(turn[0, 0], turn[1, 0])
    if not 1 / _GROWS < grown < _GROWS:
        return None
    points = np.vstack([face.landmarks, (x + w / 2, y + h / 2)]) - (left, top)
    points = (points @ turn[:, :2].T + turn[:, 2] / scale) + (left, top)
    (cx, cy), w, h = points[-1].tolist(), w * grown, h * grown
    return Face(box=(cx - w / 2, cy - h / 2, w, h), landmarks=points[:-1], score=face.score)


def _corners(gray: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """(n, 1, 2) float32: what can be followed of a face, n at most `_CORNERS`; inside the oval that its box holds."""
    import cv2

    x, y, w, h = box
    oval = np.zeros(gray.shape, np.uint8)
    cv2.ellipse(oval, (round(x + w / 2), round(y + h / 2)), (round(0.45 * w), round(0.45 * h)), 0, 0, 360, 255, -1)
    found = cv2.goodFeaturesToTrack(gray, _CORNERS, _CORNER_QUALITY, _CORNER_APART_PX, mask=oval)
    return np.empty((0, 1, 2), np.float32) if found is None else found


def _flow(was: np.ndarray, there: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where `points` (n, 1, 2) float32 of one picture are in another, and (n,) bool: which of them were found."""
    import cv2

    ends = np.empty_like(points)
    ends, found, _ = cv2.calcOpticalFlowPyrLK(was, there, points, ends, winSize=_WINDOW_PX, maxLevel=_LEVELS)
    return np.asarray(ends), np.asarray(found)[:, 0] == 1


def _gray(image: np.ndarray, scale: float) -> np.ndarray:
    import cv2

    gray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    size = max(round(gray.shape[1] * scale), 1), max(round(gray.shape[0] * scale), 1)
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA) if scale < 1 else gray
