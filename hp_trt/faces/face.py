"""A face in a picture: what every locator returns, and which one is meant.

Pictures are (H, W, 3) uint8 RGB. Landmarks are ordered eye, eye, nose, mouth corner, mouth
corner, the eye on the left of the picture first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from engines.errors import FaceNotFound

MESH_POINTS = (468, 478)  # of the face mesh; the last ten of 478 are the irises


@dataclass(frozen=True, kw_only=True)
class FaceParts:
    """Where in a picture a face's outline (hairline to chin, cheek to cheek) and its lips are: x, y, w, h each."""

    face: tuple[float, float, float, float]
    lips: tuple[float, float, float, float]

    def moved(self, x: float, y: float, scale: tuple[float, float]) -> FaceParts:
        return FaceParts(face=_moved(self.face, x, y, scale), lips=_moved(self.lips, x, y, scale))


@dataclass(frozen=True, kw_only=True)
class Face:
    """One detected face, in pixels of its picture."""

    box: tuple[float, float, float, float]  # x, y, w, h
    landmarks: np.ndarray  # (5, 2) float64: x, y
    score: float
    mesh: np.ndarray | None = None  # (468 or 478, 2) float64: x, y of `hp_trt.faces.mesh_points`, where they are known
    parts: FaceParts | None = None  # where they are known, as of drawn people

    @property
    def area(self) -> float:
        return self.box[2] * self.box[3]

    def moved(self, x: float, y: float, scale: tuple[float, float]) -> Face:
        """The same face in the picture that is cut at (x, y) and then resized by `scale` in x and y."""
        return Face(
            box=_moved(self.box, x, y, scale),
            landmarks=(self.landmarks - (x, y)) * scale,
            score=self.score,
            mesh=None if self.mesh is None else (self.mesh - (x, y)) * scale,
            parts=None if self.parts is None else self.parts.moved(x, y, scale),
        )


class FaceLocator(Protocol):
    """Finds faces in pictures. Not safe to share between threads."""

    name: str  # for people: "OpenCV Haar cascades"
    reads_pixels: bool  # False: knows the faces of one given video or picture only
    steadiness: float  # in [0, 1): how much of the previous frame's face to mix in, against jitter

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        """All faces of `image` (H, W, 3) uint8 RGB, in any order; `frame` is its number in the video."""
        ...


@runtime_checkable
class FaceFollower(FaceLocator, Protocol):
    """A locator that finds a face faster where it was a moment ago: for live sessions."""

    def near(self, image: np.ndarray, face: Face) -> list[Face]:
        """`face` of the frame before in this one, or nothing where it cannot be seen near there."""
        ...


def _moved(
    box: tuple[float, float, float, float], x: float, y: float, scale: tuple[float, float]
) -> tuple[float, float, float, float]:
    left, top, w, h = box
    return (left - x) * scale[0], (top - y) * scale[1], w * scale[0], h * scale[1]


def largest_face(faces: Sequence[Face]) -> Face:
    """The face with the largest w * h; of equals the first, as numpy's argmax."""
    return max(faces, key=lambda face: face.area)


def no_face(what: str, locator: FaceLocator, height: int, width: int) -> FaceNotFound:
    """The error for `what` ("portrait.png", "any of the 50 frames of ..."): found, needed, what to do."""
    return FaceNotFound(
        f"no face in {what} ({width} x {height} pixels), looked for with {locator.name}; needed is one upright, "
        "mostly frontal face of at least a tenth of the picture: crop closer, choose another picture, or give a "
        "detector file or a landmarks file"
    )
