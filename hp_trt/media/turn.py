"""Quarter turns and mirrors, as every kind of file writes them: EXIF, display matrices, HEIF's own.

Any of the eight is a transposition or none, then a mirror (left for right) or none, then a flip (top for bottom) or
none.

Sources: EXIF 2.3 (tag 0x0112); ISO/IEC 14496-12 (the matrix of tkhd).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_LARGEST_SLANT = math.sin(math.radians(1))  # an angle that nobody sees


@dataclass(frozen=True)
class Turn:
    """What is done to a stored picture so that it is shown as it was meant."""

    transposed: bool = False  # first
    mirrored: bool = False  # then left for right
    flipped: bool = False  # then top for bottom

    def apply(self, image: np.ndarray) -> np.ndarray:
        """(H, W, C) -> (H, W, C) or (W, H, C), contiguous; the same array where nothing is to do."""
        if self == NONE:
            return image
        if self.transposed:
            image = image.swapaxes(0, 1)
        return np.ascontiguousarray(image[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1])

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of what is shown."""
        return (height, width) if self.transposed else (width, height)


NONE = Turn()
CLOCKWISE = Turn(transposed=True, mirrored=True)
COUNTERCLOCKWISE = Turn(transposed=True, flipped=True)
UPSIDE_DOWN = Turn(mirrored=True, flipped=True)

_EXIF = {
    2: Turn(mirrored=True),
    3: UPSIDE_DOWN,
    4: Turn(flipped=True),
    5: Turn(transposed=True),
    6: CLOCKWISE,
    7: Turn(transposed=True, mirrored=True, flipped=True),
    8: COUNTERCLOCKWISE,
}


def from_exif(orientation: object) -> Turn:
    """By EXIF's number; what is none of 2 to 8 turns nothing."""
    return _EXIF.get(orientation, NONE) if isinstance(orientation, int) else NONE


def from_matrix(matrix: Sequence[int]) -> Turn | None:
    """By a display matrix of nine numbers, row by row: x' = a x + c y, y' = b x + d y, with y downwards.

    None for what is neither a quarter turn nor a mirror. Zeros, as careless writers leave them, turn nothing.
    """
    a, b, c, d = (float(matrix[place]) for place in (0, 1, 3, 4))
    straight, crossed = min(abs(a), abs(d)), min(abs(b), abs(c))
    largest = max(abs(a), abs(b), abs(c), abs(d))
    if not largest:
        return NONE
    if straight and max(abs(b), abs(c)) <= _LARGEST_SLANT * largest:
        return Turn(mirrored=a < 0, flipped=d < 0)
    if crossed and max(abs(a), abs(d)) <= _LARGEST_SLANT * largest:
        return Turn(transposed=True, mirrored=c < 0, flipped=b < 0)
    return None
