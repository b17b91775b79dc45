"""Faces in a picture, of the detector's three outputs: priors, decoding, and which of overlapping boxes stays.

Source: SPEC 9, detector (RetinaFace).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.backend import Backend, Session
from engines.errors import NonFiniteError

MEANS_BGR = np.array((104, 117, 123), np.float32)
LEVELS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))  # pixels a step, sides of its priors in pixels
_LEAST_SIDE = 32  # that the graph takes
LEAST_SCORE, MOST_OVERLAP = 0.8, 0.4
_MOST_FOUND = 1000  # places of one picture that are looked at further: noise alone has more


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundFace:
    """A face, in pixels of the picture that it was found in."""

    box: np.ndarray  # (4,) float32: left, top, right, bottom
    score: float
    points: np.ndarray  # (5, 2) float32, x and y: eyes, the one on the left first, nose, corners of the mouth


def detect(backend: Backend, session: Session, picture: np.ndarray) -> list[FoundFace]:
    """The faces of (H, W, 3) uint8 RGB, the highest score first.

    `session` takes `picture` (1, 3, H, W), BGR less its means, and gives `loc`, `confidence` and `landmark_offsets`.
    Raises NonFiniteError.
    """
    height, width = picture.shape[:2]
    planes = (picture[..., ::-1].astype(np.float32) - MEANS_BGR).transpose(2, 0, 1)[None]
    missing = [(0, max(_LEAST_SIDE - side, 0)) for side in (height, width)]
    planes = np.pad(planes, ((0, 0), (0, 0), *missing))  # a strip: what is beside it is as good as grey
    height, width = planes.shape[2:]
    kind = session.spec.input("picture").dtype
    made = session.run({"picture": backend.upload(np.ascontiguousarray(planes, dtype=kind))})
    names = ("loc", "confidence", "landmark_offsets")
    loc, confidence, offsets = (backend.download(made[name])[0].astype(np.float32) for name in names)
    if not all(np.isfinite(one).all() for one in (loc, confidence, offsets)):
        raise NonFiniteError("the face detector returned NaN or infinity; build the bundle with --precision fp32")
    return faces_of(loc, confidence, offsets, height=height, width=width)


def faces_of(
    loc: np.ndarray, confidence: np.ndarray, offsets: np.ndarray, *, height: int, width: int
) -> list[FoundFace]:
    """The faces that (N, 4), (N, 2) and (N, 10) mean in a picture of that size, the highest score first."""
    scores = _softmax_of_second(confidence)
    boxes, points = decode(loc, offsets, priors(height, width), height=height, width=width)
    chosen = np.flatnonzero(scores > LEAST_SCORE)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")][:_MOST_FOUND]
    return [
        FoundFace(box=boxes[one], score=float(scores[one]), points=points[one].reshape(5, 2))
        for one in chosen[apart(boxes[chosen])]
    ]


def priors(height: int, width: int) -> np.ndarray:
    """(N, 4) float32: centre x, y, width, height, each over the picture's, by level, row, column and side."""
    levels = []
    for step, sides in LEVELS:
        rows, columns = -(-height // step), -(-width // step)
        places = [(np.arange(count) + 0.5) * step for count in (rows, columns)]
        y, x, side = np.meshgrid(*places, sides, indexing="ij")
        levels.append(np.stack((x / width, y / height, side / width, side / height), axis=-1).reshape(-1, 4))
    return np.concatenate(levels).astype(np.float32)


def decode(
    loc: np.ndarray, offsets: np.ndarray, anchors: np.ndarray, *, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) as left, top, right, bottom, and landmarks (N, 10) as x, y, in pixels."""
    centre, size = anchors[:, :2], anchors[:, 2:]
    middle = centre + np.float32(0.1) * loc[:, :2] * size
    half = size * np.exp(np.float32(0.2) * loc[:, 2:]) / 2
    boxes = np.concatenate((middle - half, middle + half), axis=1)
    points = np.tile(centre, 5) + np.float32(0.1) * offsets * np.tile(size, 5)
    scale = np.array((width, height), np.float32)
    return boxes * np.tile(scale, 2), points * np.tile(scale, 5)


def apart(boxes: np.ndarray, most: float = MOST_OVERLAP) -> list[int]:
    """Which of `boxes` (N, 4), the best first, stay: each that overlaps none before it that stays by more than `most`
    of what both cover."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left, kept = np.arange(len(boxes)), []
    while left.size:
        best, rest = left[0], left[1:]
        kept.append(int(best))
        sides = np.minimum(boxes[best, 2:], boxes[rest, 2:]) - np.maximum(boxes[best, :2], boxes[rest, :2])
        both = np.clip(sides, 0, None).prod(axis=1)
        left = rest[both <= most * (areas[best] + areas[rest] - both)]
    return kept


def _softmax_of_second(confidence: np.ndarray) -> np.ndarray:
    """The second of two classes."""
    return np.asarray(1 / (1 + np.exp(np.clip(confidence[:, 0] - confidence[:, 1], -60, 60))))
