"""What the networks see: resized crops of the portrait and of the driving frames.

Pictures are (H, W, 3) uint8 RGB; network inputs are planar float32, (3, H, W).

Source: SPEC 7.2 steps 2 to 4, SPEC 7.3.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from hp_trt.media.pixels import Box, center_crop, crop_resized, cut, quickly_resized, resized, unit_planes

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)


def face_image(frame: np.ndarray, box: Box, size: int, *, quick: bool = False) -> np.ndarray:
    """The expression network's input (3, size, size) in [0, 1]: the square round `box` of one frame.

    `quick`: resized about as released, for live sessions.
    """
    square = center_crop(box, height=frame.shape[0], width=frame.shape[1]).cut(frame)
    if square.size == 0:  # a face smaller than 2 px: nothing to see
        return np.zeros((3, size, size), dtype=np.float32)
    return unit_planes(quickly_resized(square, size) if quick else resized(square, size, "bilinear"))


def pose_image(frame: np.ndarray, box: Box, *, crop_px: int, size: int, quick: bool = False) -> np.ndarray:
    """The head pose network's input (3, size, size) in [0, 1]: the clip's fixed `box` of one frame.

    Resized twice, bicubically to `crop_px` and then bilinearly to `size`, as released. `quick`: at once, for live
    sessions.
    """
    if quick:
        return unit_planes(quickly_resized(cut(frame, box), size))
    return unit_planes(resized(crop_resized(frame, box, crop_px), size, "bilinear"))


def reference_image(crop: np.ndarray) -> np.ndarray:
    """The VAE's input (3, S, S) in [-1, 1] from the portrait's square crop (S, S, 3) uint8."""
    return (unit_planes(crop) - np.float32(0.5)) / np.float32(0.5)


def transformed_image(crop: np.ndarray, size: int = 224) -> np.ndarray:
    """The appearance network's input (3, size, size), ImageNet-normalised, from the same crop."""
    height, width = crop.shape[:2]
    planes = _triangle_weights(height, size) @ unit_planes(crop) @ _triangle_weights(width, size).T
    return (planes - IMAGENET_MEAN[:, None, None]) / IMAGENET_STD[:, None, None]


@cache
def _triangle_weights(source: int, target: int) -> np.ndarray:
    """(target, source) float32: bilinear resizing of one axis, widened when it shrinks.

    Half-pixel centres; the triangle spans one source pixel to each side, or one target
    pixel where that is wider (antialiasing). Rows sum to 1, also at the picture's edge.
    """
    scale = source / target
    reach = max(scale, 1.0)
    centers = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source) + 0.5 - centers[:, None]) / reach
    weights = np.maximum(1.0 - distance, 0.0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
