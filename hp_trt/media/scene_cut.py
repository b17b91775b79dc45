"""Whether two pictures of one size are of one shot, told by their thumbnails.

A flash, a fade and a change of exposure scale and shift all of a picture's levels alike, so levels are compared after
their mean and spread are taken out. Somebody who moves changes the cells where they are and where they were: who wants
to know of a cut asks for more than that.
"""

from __future__ import annotations

import numpy as np

_SIDE = 32  # cells
_FLAT = 2.0  # levels: a picture whose cells differ by less, such as a black one, is of no shot
_CHANGED = 0.6  # of the spread of a picture's cells


def thumbnail(image: np.ndarray) -> np.ndarray | None:
    """(32, 32, 3) float32 cells of mean 0 and spread 1 of (H, W, 3) uint8 RGB; None of a picture of one colour."""
    import cv2

    step = max(min(image.shape[:2]) // (4 * _SIDE), 1)  # so many pixels are enough, and reading all takes longer
    small = np.ascontiguousarray(image[::step, ::step])
    cells = cv2.resize(small, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    spread = float(cells.std())
    return None if spread < _FLAT else (cells - cells.mean()) / spread


def changed(cells: np.ndarray | None, others: np.ndarray | None) -> float:
    """Which part, in [0, 1], of two thumbnails' cells differs; 0 where a picture has none."""
    if cells is None or others is None:
        return 0.0
    return float((np.abs(cells - others).max(axis=2) > _CHANGED).mean())
