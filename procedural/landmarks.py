"""Where things are in a drawn picture, from the very curves that are drawn."""

from __future__ import annotations

import numpy as np

from procedural import features
from procedural.head import HAIRLINE, Head
from procedural.identity import Identity
from procedural.motion import State

POINTS: tuple[str, ...] = (
    "left eye", "right eye", "nose tip", "left mouth corner", "right mouth corner",
    "left upper lid", "left lower lid", "left eye's left corner", "left eye's right corner", "left iris",
    "right upper lid", "right lower lid", "right eye's left corner", "right eye's right corner", "right iris",
    "left brow's left end", "left brow's middle", "left brow's right end",
    "right brow's left end", "right brow's middle", "right brow's right end",
    "nose bridge", "upper lip", "lower lip", "chin", "left ear", "right ear",
)  # fmt: skip


def landmarks(identity: Identity, state: State, px: int) -> np.ndarray:
    """(len(POINTS), 2) float64: x, y in pixels, 0 in the middle of the first pixel; hidden points too."""
    head = Head(identity, state)
    left, right = features.eye(head, -1), features.eye(head, 1)
    nose, mouth = features.nose(head), features.mouth(head)
    points = [left.middle, right.middle, nose.tip, mouth.left, mouth.right]
    for eye in (left, right):
        middle = len(eye.upper) // 2
        points += [eye.upper[middle], eye.lower[middle], eye.upper[0], eye.upper[-1], eye.iris_middle]
    for side in (-1, 1):
        brow = features.brow(head, side)
        points += [brow[0], brow[len(brow) // 2], brow[-1]]
    points += [nose.bridge, mouth.upper_middle, mouth.lower_middle, features.chin(head)]
    points += [features.ear(head, side).mean(axis=0) for side in (-1, 1)]
    return np.array(points) * px - 0.5


def face_box(identity: Identity, state: State, px: int) -> tuple[float, float, float, float]:
    """x, y, width, height in pixels of the face: brows to chin, temple to temple; blind to the expression."""
    head = Head(identity, state)
    outline = head.place(head.surface(head.rim, jaw=0.0)) * px
    top = float(head.at(0, identity.eye_y - identity.brow_y - 0.03)[0, 1]) * px
    left, right, bottom = (float(edge) for edge in (outline[:, 0].min(), outline[:, 0].max(), outline[:, 1].max()))
    return left, top, right - left, bottom - top


def outline_box(identity: Identity, state: State, px: int) -> tuple[float, float, float, float]:
    """x, y, width, height in pixels of the face's outline: hairline to chin, cheek to cheek; an open jaw is in it."""
    head = Head(identity, state)
    rim = head.place(head.surface(head.rim))
    hairline = head.at(0, HAIRLINE * identity.crown)
    below = rim[rim[:, 1] > hairline[0, 1]]
    return _bounding(np.concatenate([below, hairline]) * px - 0.5)


def lips_box(identity: Identity, state: State, px: int) -> tuple[float, float, float, float]:
    """x, y, width, height in pixels of the lips, as open as they are."""
    return _bounding(features.mouth(Head(identity, state)).lips * px - 0.5)


def _bounding(points: np.ndarray) -> tuple[float, float, float, float]:
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x0, y0, x1 - x0, y1 - y0
