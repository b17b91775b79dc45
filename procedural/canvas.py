"""Painting on a picture in its own sides: smooth-edged shapes, soft glows, shapes seen through a hole.

Points are (N, 2) arrays of x, y in picture sides, 0 .. 1 across the picture. Nothing is rounded to pixels.
"""

from __future__ import annotations

from math import ceil, floor

import cv2
import numpy as np

from procedural.identity import Color

_BITS = 8  # of a pixel, below the point
_GLOW_PX = 64
_SMALL_PX = 160  # pictures up to here get their edges finer

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels


def _soft_disc() -> np.ndarray:
    """(64, 64) float32: 1 in the middle, falling smoothly to 0 at the rim."""
    axis = (np.arange(_GLOW_PX) + 0.5) / (_GLOW_PX / 2) - 1
    squared = axis[:, None] ** 2 + axis[None] ** 2
    return (np.clip(1 - squared, 0, 1) ** 2).astype(np.float32)


_GLOW = _soft_disc()


class Canvas:
    """A square uint8 RGB picture, or a part of one that starts `origin` pixels from its corner."""

    def __init__(self, pixels: np.ndarray, side: int, origin: tuple[int, int] = (0, 0)) -> None:
        self.pixels, self.side, self.origin = pixels, side, origin

    def fill(self, points: np.ndarray, color: Color, alpha: float = 1.0) -> None:
        box = self._box(points)
        if box is not None and alpha > 0:
            self._blend(box, _plain(box, color), self._cover(points, box) * np.float32(alpha / 255))

    def stroke(self, points: np.ndarray, width: float | np.ndarray, color: Color, alpha: float = 1.0) -> None:
        """A line along `points`, `width` thick (one number, or one per point)."""
        along = np.empty_like(points)
        along[1:-1] = points[2:] - points[:-2]
        along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
        across = along[:, ::-1] * (-1, 1)
        across /= np.maximum(np.sqrt((across * across).sum(axis=1, keepdims=True)), 1e-9)
        half = across * (np.reshape(width, (-1, 1)) / 2)
        self.fill(np.concatenate([points + half, (points - half)[::-1]]), color, alpha)

    def glow(
        self, middle: np.ndarray, right: np.ndarray, down: np.ndarray, color: Color, alpha: float, mask: np.ndarray
    ) -> None:
        """A soft ellipse round `middle` whose half axes are the vectors `right` and `down`, inside `mask`."""
        reach = np.hypot(right, down)
        box = self._box(np.stack([middle - reach, middle + reach]))
        if box is None:
            return
        x0, y0, x1, y1 = box
        half = _GLOW_PX / 2
        axes = np.stack([right, down], axis=1) * self.side / half
        offset = middle * self.side - 0.5 - (x0, y0) - axes @ (half - 0.5, half - 0.5)
        disc = cv2.warpAffine(_GLOW, np.column_stack([axes, offset]), (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        self._blend(box, _plain(box, color), disc * mask[y0:y1, x0:x1] * np.float32(alpha / 255))

    def mask(self, points: np.ndarray) -> np.ndarray:
        """uint8 of the picture's height and width: 255 inside the shape."""
        return self._cover(points, (0, 0, self.pixels.shape[1], self.pixels.shape[0]))

    def hole(self, points: np.ndarray) -> Hole | None:
        """A copy of what is under the shape, to paint on; `show` puts it back, inside the shape only."""
        box = self._box(points)
        if box is None:
            return None
        x0, y0, x1, y1 = box
        pixels = self.pixels[y0:y1, x0:x1].copy()
        return Hole(pixels, self.side, (x0, y0), box, self._cover(points, box))

    def show(self, hole: Hole) -> None:
        self._blend(hole.box, hole.pixels, hole.cover * np.float32(1 / 255))

    def _blend(self, box: Box, over: np.ndarray, weight: np.ndarray) -> None:
        x0, y0, x1, y1 = box
        under = np.ascontiguousarray(self.pixels[y0:y1, x0:x1])
        self.pixels[y0:y1, x0:x1] = cv2.blendLinear(under, over, 1 - weight, weight)

    def _cover(self, points: np.ndarray, box: Box) -> np.ndarray:
        """uint8: how much of each pixel in the box the shape covers, 255 all of it.

        OpenCV smooths edges across a row but snaps them to whole rows: many thin rows per pixel make motion smooth.
        """
        x0, y0, x1, y1 = box
        finer = (2, 8) if self.side <= _SMALL_PX else (2, 4)
        drawn = np.zeros(((y1 - y0) * finer[1], (x1 - x0) * finer[0]), np.uint8)
        corner = np.add(self.origin, (x0, y0))
        places = np.rint(((points * self.side - corner) * finer - 0.5) * (1 << _BITS)).astype(np.int32)
        cv2.fillPoly(drawn, [places], 255, cv2.LINE_AA, _BITS)
        return cv2.resize(drawn, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)

    def _box(self, points: np.ndarray) -> Box | None:
        """x0, y0, x1, y1 in this canvas's pixels of what the shape can touch; None if that is nothing."""
        left, top = (points.min(axis=0) * self.side).tolist()
        right, bottom = (points.max(axis=0) * self.side).tolist()
        x, y = self.origin
        height, width = self.pixels.shape[:2]
        x0, y0 = max(0, floor(left) - x - 1), max(0, floor(top) - y - 1)
        x1, y1 = min(width, ceil(right) - x + 1), min(height, ceil(bottom) - y + 1)
        return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


class Hole(Canvas):
    """What is under a shape, and how much of each pixel the shape covers."""

    def __init__(self, pixels: np.ndarray, side: int, origin: tuple[int, int], box: Box, cover: np.ndarray) -> None:
        super().__init__(pixels, side, origin)
        self.box, self.cover = box, cover


def _plain(box: Box, color: Color) -> np.ndarray:
    x0, y0, x1, y1 = box
    plain = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
    cv2.rectangle(plain, (0, 0), (x1 - x0, y1 - y0), color, cv2.FILLED)
    return plain
