"""A face in a picture: what every detector returns, and which one is meant.

Four detectors, each in its own module: `haar` (OpenCV's cascades, always there), `yunet` and
`yoloface` (better, with a network file the user brings) and `landmarks_file` (no detector:
the points come from a file). Open one with `open_locator`.

Pictures are (H, W, 3) uint8 RGB. Landmarks are ordered eye, eye, nose, mouth corner, mouth
corner, the eye on the left of the picture first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from engines.errors import FaceNotFound, InputError

LocatorKind = Literal["haar", "yunet", "yoloface", "landmarks"]


@dataclass(frozen=True, kw_only=True)
class Face:
    """One detected face, in pixels of its picture."""

    box: tuple[float, float, float, float]  # x, y, w, h
    landmarks: np.ndarray  # (5, 2) float64: x, y
    score: float

    @property
    def area(self) -> float:
        return self.box[2] * self.box[3]

    def moved(self, x: float, y: float, scale: tuple[float, float]) -> Face:
        """The same face in the picture that is cut at (x, y) and then resized by `scale` in x and y."""
        sx, sy = scale
        left, top, w, h = self.box
        return Face(
            box=((left - x) * sx, (top - y) * sy, w * sx, h * sy),
            landmarks=(self.landmarks - (x, y)) * (sx, sy),
            score=self.score,
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


def open_locator(kind: LocatorKind = "haar", file: Path | str | None = None) -> FaceLocator:
    """The face locator of that kind. All but "haar" need their `file`.

    Raises InputError when the file is missing, unreadable or not what the kind needs.
    """
    if kind == "haar":
        from hp_trt.haar import HaarLocator

        return HaarLocator()
    if kind not in ("yunet", "yoloface", "landmarks"):
        raise InputError(f"unknown face locator {kind!r}; choose haar, yunet, yoloface or landmarks")
    if file is None:
        raise InputError(f"the face locator {kind!r} needs a file and none was given; give its path, or use 'haar'")
    path = Path(file)
    if not path.is_file():
        raise InputError(f"{path}: no such file; the face locator {kind!r} needs it, or use 'haar', which needs none")
    if kind == "yunet":
        from hp_trt.yunet import YuNetLocator

        return YuNetLocator(path)
    if kind == "yoloface":
        from hp_trt.yoloface import YoloFaceLocator, open_network

        return YoloFaceLocator(open_network(path))
    from hp_trt.landmarks_file import LandmarksFile

    return LandmarksFile.read(path)
