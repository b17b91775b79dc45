"""What a clip's frames show of a pattern that stands still: their fine structure, evened out and summed.

Of each frame the luma's fine structure is divided by its own size nearby, so that an edge counts no more than a wall;
what moves averages out over frames, what stands still is evened out once more at the end. One picture is kept, however
long the clip is.
"""

from __future__ import annotations

import cv2
import numpy as np

_LONGEST_PX = 1280  # larger frames are shrunk first: their marks are larger too
_NEAR_PX = 9  # of the square that a pixel is compared with
_QUIET = 0.5  # grey levels: less is not raised to full size
_LOUDEST = 2.0
_QUIET_SUM = 0.02


class Evidence:
    """`add` frames of one size, then ask for the `picture`."""

    def __init__(self) -> None:
        self.frames = 0
        self._sum = np.zeros((0, 0), np.float32)
        self.shrunk = 1  # how many times smaller than the frames the picture is

    def add(self, frame: np.ndarray) -> None:
        """One more (H, W, 3) uint8 RGB."""
        structure = self._structure(frame)
        self._sum = structure if not self.frames else self._sum + structure
        self.frames += 1

    def picture(self) -> np.ndarray:
        """(H / shrunk, W / shrunk) float32 around 0, of about 1 where anything is seen."""
        mean = self._sum / np.float32(max(self.frames, 1))
        return mean / (_size_nearby(mean) + np.float32(_QUIET_SUM))

    def _structure(self, frame: np.ndarray) -> np.ndarray:
        luma: np.ndarray = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY).astype(np.float32)
        height, width = luma.shape
        self.shrunk = -(-max(height, width) // _LONGEST_PX)
        if self.shrunk > 1:
            cut = luma[: height // self.shrunk * self.shrunk, : width // self.shrunk * self.shrunk]
            small = (max(cut.shape[1] // self.shrunk, 1), max(cut.shape[0] // self.shrunk, 1))
            luma = cv2.resize(cut if cut.size else luma, small, interpolation=cv2.INTER_AREA)
        fine = luma - _blurred(luma)
        return np.clip(fine / (_size_nearby(fine) + np.float32(_QUIET)), -_LOUDEST, _LOUDEST)


def _blurred(picture: np.ndarray) -> np.ndarray:
    return cv2.blur(picture, (_NEAR_PX, _NEAR_PX), borderType=cv2.BORDER_REFLECT)


def _size_nearby(picture: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(_blurred(picture * picture), 0))
