"""The enhancer's graphs as the pipeline calls them: pictures in, pictures out. (H, W, 3) uint8 RGB.

Sessions are for one thread at a time, and so are these: each call takes a turn, of its graph alone where the backend
runs different graphs at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np

from engines.backend import Backend, Session
from engines.errors import InputError
from runtime.enhancer import detector, restorer, tiles
from runtime.enhancer.detector import FoundFace
from runtime.enhancer.presets import SCALE

# Role -> graph. Without the last three a bundle enlarges, and no face is restored.
GRAPHS = {
    "upscaler": "enhance_upscaler",
    "restorer": "enhance_restorer",
    "parser": "enhance_parser",
    "detector": "enhance_detector",
}
FACES = ("restorer", "parser", "detector")
_DETECTOR_PX = 640  # of the shorter side
_LONGEST_PX = 2560  # of the longer side, of what the released program would look at in full


class Networks(Protocol):
    """What the pipeline needs."""

    restores: bool  # whether faces are found and restored

    def detect(self, picture: np.ndarray) -> list[FoundFace]:
        """Its faces, in its own pixels, the highest score first."""

    def restore(self, faces: Sequence[np.ndarray], fidelity: float) -> list[np.ndarray]:
        """Aligned faces of 512 px, of a window, restored."""

    def labels(self, face: np.ndarray) -> np.ndarray:
        """(512, 512) uint8 of an aligned face."""

    def enlarge(self, picture: np.ndarray, scale: int) -> np.ndarray:
        """`scale` times as large; a new array."""


class OpenedNetworks:
    """`Networks` of sessions by role: without an upscaler Lanczos enlarges. `repeat`: further passes by 4 and 8.

    `working`: around the work of each of the upscaler's tiles: a large picture has many.
    """

    def __init__(
        self, backend: Backend, sessions: Mapping[str, Session], locks: Mapping[str, AbstractContextManager[object]],
        *, repeat: bool = False, released: bool = False,
        working: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:  # fmt: skip
        self._backend, self._sessions, self._locks = backend, sessions, locks
        self._repeat, self._released, self._working = repeat, released, working
        self.restores = all(role in sessions for role in FACES)

    def detect(self, picture: np.ndarray) -> list[FoundFace]:
        seen, scale = detector_picture(picture, released=self._released)
        ranges = self._sessions["detector"].spec.ranges
        most = min(ranges[side].max for side in ("height", "width"))
        if max(seen.shape[:2]) > most:
            raise InputError(
                f"the released program looks for faces in all {seen.shape[1]} x {seen.shape[0]} pixels, and this "
                f"bundle's detector in up to {most} a side; leave released out"
            )
        with self._locks["detector"]:
            found = detector.detect(self._backend, self._sessions["detector"], seen)
        return [FoundFace(box=f.box / scale, score=f.score, points=f.points / scale) for f in found]

    def restore(self, faces: Sequence[np.ndarray], fidelity: float) -> list[np.ndarray]:
        with self._locks["restorer"]:
            return restorer.restore(self._backend, self._sessions["restorer"], faces, fidelity)

    def labels(self, face: np.ndarray) -> np.ndarray:
        with self._locks["parser"]:
            return restorer.labels(self._backend, self._sessions["parser"], face)

    def enlarge(self, picture: np.ndarray, scale: int) -> np.ndarray:
        height, width = (side * scale for side in picture.shape[:2])
        enlarged, done = picture, 1
        passes_to = scale if self._repeat else SCALE
        while "upscaler" in self._sessions and done < passes_to:
            with self._locks["upscaler"]:
                enlarged = tiles.enlarge(self._backend, self._sessions["upscaler"], enlarged, working=self._working)
            done *= SCALE
        return lanczos(enlarged, width, height)


def locks_of(backend: Backend, roles: Sequence[str]) -> dict[str, AbstractContextManager[object]]:
    """Whose turn it is at each graph: a turn of its own where the backend runs different ones at once."""
    if backend.concurrent:
        return {role: threading.Lock() for role in roles}
    return dict.fromkeys(roles, threading.Lock())


def lanczos(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture at that size; itself where it has it."""
    import cv2

    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LANCZOS4))


def bicubic(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The same by the bicubic filter: what an upscaler must be better than."""
    import cv2

    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC))


def detector_picture(picture: np.ndarray, *, released: bool) -> tuple[np.ndarray, float]:
    """What the detector looks at, with a shorter side of 640, and how much larger than `picture` that is.

    A larger picture is made smaller, so that looking at it takes no more memory; the released program looks at it as
    it is.
    """
    import cv2

    height, width = picture.shape[:2]
    size = detector_size(width, height, released=released)
    scale = _detector_scale(width, height, released=released)
    if size == (width, height):
        return picture, scale
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)), scale


def detector_size(width: int, height: int, *, released: bool) -> tuple[int, int]:
    """Width and height of what the detector looks at of a picture of that size."""
    scale = _detector_scale(width, height, released=released)
    return max(int(width * scale), 1), max(int(height * scale), 1)


def _detector_scale(width: int, height: int, *, released: bool) -> float:
    scale = _DETECTOR_PX / min(height, width)
    return max(1.0, scale) if released else min(scale, _LONGEST_PX / max(height, width))
