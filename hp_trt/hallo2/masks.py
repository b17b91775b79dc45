"""The face region and the soft masks: what says to the networks which cells are face, lips, or neither.

Made once a video from two boxes. Everything is 8 bits on the way, as released: rounding is part of the result.

Source: SPEC 7, masks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hp_trt.hallo2.regions import Box, Regions
from hp_trt.media.pixels import resized, unit_planes

SOFT_PX = 64  # along a side of the pictures that are blurred
FACE_BLUR, LIP_BLUR = 51, 31  # the Gaussian's size in them
CELL_PX = 8  # of the picture, along a side of a cell of the finest level


@dataclass(frozen=True, kw_only=True)
class TalkMasks:
    """Constants of a video, for a picture of S x S pixels."""

    face_region: np.ndarray  # (3, S, S) float32 in [0, 1]: the face box
    levels: tuple[np.ndarray, ...]  # (3, L_i) float32 in [0, 1]: full, face, lip; L_i = (S / 8 / 2^i)^2


@dataclass(frozen=True, kw_only=True)
class SoftPictures:
    """The 8-bit pictures in between, (64, 64) uint8 each."""

    face_soft: np.ndarray
    lip_soft: np.ndarray
    full: np.ndarray  # all but the face
    face: np.ndarray  # the face but for the lips


def box_picture(box: Box, *, height: int, width: int) -> np.ndarray:
    """(height, width) uint8: 255 in the box, by an array's slice, so that a negative start counts from the end."""
    x0, y0, x1, y1 = box
    picture = np.zeros((height, width), np.uint8)
    picture[y0:y1, x0:x1] = 255
    return picture


def soft_picture(picture: np.ndarray, blur: int) -> np.ndarray:
    """(64, 64) uint8 from (H, W) uint8: made smaller, blurred, and stretched to 0 .. 255.

    A picture of one value is stretched to zeros, as released: a box that fills its picture is lost.
    """
    import cv2

    small = cv2.resize(picture, (SOFT_PX, SOFT_PX), interpolation=cv2.INTER_LINEAR)
    blurred = cv2.GaussianBlur(small, (blur, blur), 0)
    stretched = np.zeros_like(blurred)
    return cv2.normalize(blurred, stretched, 0, 255, cv2.NORM_MINMAX)


def soft_pictures(regions: Regions, *, height: int, width: int, whole_face: bool = False) -> SoftPictures:
    """Of the boxes in a picture of `height` x `width` pixels.

    `whole_face`: a face box that fills the picture stays 255 everywhere. The released program loses it.
    """
    face_picture = box_picture(regions.face, height=height, width=width)
    lip = soft_picture(box_picture(regions.lips, height=height, width=width), LIP_BLUR)
    if whole_face and face_picture.all():
        soft = np.full((SOFT_PX, SOFT_PX), 255, np.uint8)
    else:
        soft = soft_picture(face_picture, FACE_BLUR)
    return SoftPictures(
        face_soft=soft,
        lip_soft=lip,
        full=((1.0 - soft / 255.0) * 255.0).astype(np.uint8),  # truncated floats: not always 255 - soft
        face=np.maximum(soft.astype(np.int16) - lip, 0).astype(np.uint8),
    )


def masks(
    regions: Regions, *, height: int, width: int, side_px: int, levels: int, whole_face: bool = False
) -> TalkMasks:
    """Of the boxes in a picture of `height` x `width`, for networks of S = `side_px` and so many levels.

    S is a multiple of 8 * 2^(levels - 1).
    """
    soft = soft_pictures(regions, height=height, width=width, whole_face=whole_face)
    face_picture = box_picture(regions.face, height=height, width=width)
    return TalkMasks(
        face_region=unit_planes(resized(np.repeat(face_picture[:, :, None], 3, axis=2), side_px, "bilinear")),
        levels=tuple(
            np.stack(
                [_cells(picture, side_px // CELL_PX >> level) for picture in (soft.full, soft.face, soft.lip_soft)]
            )
            for level in range(levels)
        ),
    )


def _cells(picture: np.ndarray, side: int) -> np.ndarray:
    """(side * side,) float32 in [0, 1] of (64, 64) uint8, row by row."""
    return resized(picture, side, "bilinear").reshape(-1).astype(np.float32) / np.float32(255)
