"""A restored face into the enlarged picture, where the parser says that there is a face, softly at its rim.

Only the part of the picture that the face touches is worked on: its memory is that of the face in the result, whatever
the picture's size. Pictures are (H, W, 3) uint8, in one order of colours.

The face is darkened a little along its rim, where the released program multiplies by two masks in the place of one.
Source: SPEC 9, paste.
"""

from __future__ import annotations

from math import ceil, floor, sqrt
from typing import Any

import numpy as np

from hp_trt.enhancer.alignment import back
from runtime.enhancer.restorer import PASTED

_BLUR, _SIGMA, _RIM = 101, 11, 10  # of the parser's mask, in pixels of the aligned face
_SPARE = 8  # pixels around the face, for what warps and erosion take from beside it
_FINE = 24  # pixels of the rim: a wider one, which is as smooth, is blurred in a smaller picture
_STRIP = 256  # rows that are blended at a time


def paste(
    background: np.ndarray, face: np.ndarray, matrix: np.ndarray, labels: np.ndarray, *, scale: int, upsampled: bool
) -> np.ndarray:
    """`background`, the picture enlarged by `scale`, with the face in it: the same array, changed.

    `face`: 512 a side, or, `upsampled`, 512 x scale. `matrix`: of `alignment`, from the picture. `labels`: (512, 512)
    uint8, of the parser.
    """
    import cv2

    height, width = background.shape[:2]
    turn = back(matrix, scale)
    if upsampled:
        turn = turn / scale
        turn[:, 2] *= scale
    elif scale > 1:
        turn[:, 2] += 0.5 * scale
    side = face.shape[0]
    left, top, right, bottom = _touched(turn, side, width, height)
    if left >= right or top >= bottom:  # it lies outside
        return background
    here = turn.copy()
    here[:, 2] -= left, top
    size = right - left, bottom - top
    whole = _inside(here, size, side, scale)
    weight = np.minimum(_softened(whole), _pasted(here, size, side, labels))
    warped = cv2.warpAffine(face, here, size)
    for begin in range(0, bottom - top, _STRIP):
        rows = slice(begin, begin + _STRIP)
        part = background[top:bottom, left:right][rows]
        much = weight[rows, :, None]
        part[...] = (much * (warped[rows] * whole[rows, :, None]) + (1 - much) * part).astype(np.uint8)
    return background


def pasted_mask(labels: np.ndarray) -> np.ndarray:
    """(512, 512) float32 in [0, 1]: where the parser sees what is pasted, softened, and nothing at the border."""
    import cv2

    mask: Any = np.where(np.isin(labels, PASTED), np.float32(255), np.float32(0))
    for _ in range(2):
        mask = cv2.GaussianBlur(mask, (_BLUR, _BLUR), _SIGMA)
    mask[:_RIM], mask[-_RIM:], mask[:, :_RIM], mask[:, -_RIM:] = 0, 0, 0, 0
    return np.asarray(mask / 255, np.float32)


def _softened(whole: np.ndarray) -> np.ndarray:
    """`whole`, shrunk and blurred by as much as the face is large."""
    import cv2

    edge = floor(floor(sqrt(float(whole.sum()))) / 20)
    if not edge:
        return whole
    centre = _eroded(whole, 2 * edge)
    sigma = 0.3 * (edge - 1) + 0.8  # OpenCV's own for such a kernel
    times = max(1, edge // _FINE)
    if times == 1:
        return np.asarray(cv2.GaussianBlur(centre, (2 * edge + 1, 2 * edge + 1), sigma))
    height, width = centre.shape
    small = cv2.resize(centre, (-(-width // times), -(-height // times)), interpolation=cv2.INTER_AREA)
    kernel = 2 * round(edge / times) + 1
    blurred = cv2.GaussianBlur(small, (kernel, kernel), sigma / times)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR))


def _eroded(mask: np.ndarray, side: int) -> np.ndarray:
    """As `cv2.erode` by a square of an even side, whose work grows with the logarithm of the side alone."""
    for axis in (0, 1):
        before, behind = [(0, 0), (0, 0)], mask.shape[axis]
        before[axis] = (side // 2, side - side // 2 - 1)
        least = np.pad(mask, before, constant_values=np.inf)
        seen = 1  # each value is the least of so many, from its own place on
        while seen < side:
            step = min(seen, side - seen)
            least = np.minimum(_from(least, axis, 0, -step), _from(least, axis, step, 0))
            seen += step
        assert least.shape[axis] == behind
        mask = least
    return mask


def _from(array: np.ndarray, axis: int, first: int, last: int) -> np.ndarray:
    part = slice(first, array.shape[axis] + last)
    return array[part] if axis == 0 else array[:, part]


def _pasted(turn: np.ndarray, size: tuple[int, int], side: int, labels: np.ndarray) -> np.ndarray:
    """The parser's mask where the face lies in the result."""
    import cv2

    return np.asarray(cv2.warpAffine(cv2.resize(pasted_mask(labels), (side, side)), turn, size))


def _inside(turn: np.ndarray, size: tuple[int, int], side: int, scale: int) -> np.ndarray:
    """1 where the warped face is whole, without its jagged rim."""
    import cv2

    ones = cv2.warpAffine(np.ones((side, side), np.float32), turn, size)
    return np.asarray(cv2.erode(ones, np.ones((2 * scale, 2 * scale), np.uint8)))


def _touched(turn: np.ndarray, side: int, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what the face touches, and as much around as it is softened by."""
    corners = np.array(((0, 0, 1), (side, 0, 1), (0, side, 1), (side, side, 1)), np.float64) @ turn.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    around = _SPARE + ceil(side * sqrt(abs(np.linalg.det(turn[:, :2]))) / 10)
    left, top = (max(floor(value) - around, 0) for value in low)
    right, bottom = (min(ceil(value) + around, most) for value, most in zip(high, (width, height), strict=True))
    return left, top, right, bottom
