"""Boxes, face region and soft masks of a portrait as released, in 8-bit pictures with OpenCV and Pillow.

A face box that is larger than the picture gets a negative start and then selects almost nothing: kept as released.

Source: SPEC 7.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

Box = tuple[int, int, int, int]  # x0, y0, x1, y1; the ends are exclusive

SOFT_PX = 64  # side of the soft masks before they are fitted to the net's levels
FACE_BLUR, LIP_BLUR = 51, 31
# fmt: off
OUTLINE = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)
LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 146, 91, 181, 84, 17, 314, 405, 321, 375)
# fmt: on


@dataclass(frozen=True, kw_only=True)
class PortraitMasks:
    """All that is made of the landmarks; the pictures are 64 x 64 uint8."""

    face_box: Box  # the area that is 255
    lip_box: Box
    face_soft: np.ndarray
    lip_soft: np.ndarray
    background: np.ndarray
    face: np.ndarray
    face_region: np.ndarray  # (3, S, S) float32 in [0, 1]
    levels: dict[str, list[np.ndarray]]  # full, face, lip -> (L_i) float32 in [0, 1] of every level


def portrait_masks(
    landmarks: np.ndarray,
    *,
    height: int,
    width: int,
    size: int,
    levels: int,
    face_expand_ratio: float = 1.2,
    lip_expand_ratio: float = 2.0,
) -> PortraitMasks:
    """landmarks (478, 2) in pixels of a picture of `height` x `width`; `size`: side S that the networks see."""
    face_box, lip_box = (
        _area(expand_box(_around(landmarks[list(points)]), height=height, width=width, ratio=ratio), height, width)
        for points, ratio in ((OUTLINE, face_expand_ratio), (LIPS, lip_expand_ratio))
    )
    face_picture, lip_picture = _filled(face_box, height, width), _filled(lip_box, height, width)
    face_soft, lip_soft = _soft(face_picture, FACE_BLUR), _soft(lip_picture, LIP_BLUR)
    background = ((1.0 - face_soft / 255.0) * 255.0).astype(np.uint8)
    face = cv2.subtract(face_soft, lip_soft)
    region = Image.fromarray(face_picture).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return PortraitMasks(
        face_box=face_box,
        lip_box=lip_box,
        face_soft=face_soft,
        lip_soft=lip_soft,
        background=background,
        face=face,
        face_region=np.asarray(region, np.float32).transpose(2, 0, 1) / 255,
        levels={
            name: [_fitted(picture, size // 8 >> level) for level in range(levels)]
            for name, picture in (("full", background), ("face", face), ("lip", lip_soft))
        },
    )


def expand_box(box: np.ndarray, *, height: int, width: int, ratio: float) -> Box:
    """x0, y0, x1, y1 made `ratio` times as large about its centre and pushed into the picture."""
    x0, x1 = _expand(float(box[0]), float(box[2]), width, ratio)
    y0, y1 = _expand(float(box[1]), float(box[3]), height, ratio)
    return x0, y0, x1, y1


def portrait(picture: np.ndarray, size: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (3, S, S) float32 in [-1, 1]; the aspect ratio is not kept."""
    resized = Image.fromarray(picture).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32).transpose(2, 0, 1) / 127.5 - 1


def _around(points: np.ndarray) -> np.ndarray:
    return np.concatenate([np.rint(points.min(axis=0)), np.rint(points.max(axis=0))])


def _expand(low: float, high: float, side: int, ratio: float) -> tuple[int, int]:
    middle, length = (high + low) // 2, (high - low) * ratio
    new_low, new_high = middle - length // 2, middle + length // 2
    if new_low < 0:
        new_low, new_high = 0.0, new_high - new_low
    if new_high > side:
        new_low, new_high = new_low - (new_high - side), float(side)
    return round(new_low), round(new_high)


def _area(box: Box, height: int, width: int) -> Box:
    """What a slice makes of a box: a negative start counts from the other end."""
    (x0, x1, _), (y0, y1, _) = slice(box[0], box[2]).indices(width), slice(box[1], box[3]).indices(height)
    return x0, y0, x1, y1


def _filled(box: Box, height: int, width: int) -> np.ndarray:
    x0, y0, x1, y1 = box
    picture = np.zeros((height, width), np.uint8)
    picture[y0:y1, x0:x1] = 255
    return picture


def _soft(picture: np.ndarray, kernel: int) -> np.ndarray:
    small = cv2.resize(picture, (SOFT_PX, SOFT_PX))
    blurred = cv2.GaussianBlur(small, (kernel, kernel), 0)
    return cv2.normalize(blurred, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)  # type: ignore[call-overload]


def _fitted(picture: np.ndarray, side: int) -> np.ndarray:
    resized = Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32).reshape(-1) / 255
