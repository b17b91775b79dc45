"""A face turned upright and scaled to ArcFace's 112 pixels.

Five landmarks are laid on five template points by the similarity (rotation, one scale, shift) of
least squared error; the picture is then sampled bilinearly, zeros outside.

Source: SPEC 7.2 step 5; the fit is Umeyama, "Least-squares estimation of transformation parameters
between two point patterns", 1991.
"""

from __future__ import annotations

import numpy as np

TEMPLATE = np.array(  # x, y; the classic points, 8 px to the right
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(2, 3): the matrix that takes `source` (n, 2) closest to `target` (n, 2).

    Raises ValueError when all source points are one, or lie as no face's do, so that nothing turns them upright.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    centered = source - source_mean
    variance = float((centered**2).sum()) / len(source)
    if variance == 0:
        raise ValueError("five landmarks at one place cannot be aligned; detect the face again")
    u, sizes, vt = np.linalg.svd((target - target_mean).T @ centered / len(source))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])  # a rotation, never a mirror
    if not (sizes * sign).sum() > 0:
        raise ValueError("five landmarks that lie as no face's do cannot be aligned; detect the face again")
    turn = (u * sign) @ vt * (float((sizes * sign).sum()) / variance)
    return np.hstack([turn, (target_mean - turn @ source_mean)[:, None]])


def aligned_face(image: np.ndarray, landmarks: np.ndarray, size: int = 112) -> np.ndarray:
    """(size, size, 3) float64 RGB in [0, 1] from a picture (H, W, 3) uint8 and landmarks (5, 2).

    ArcFace takes it as it is, planes first: no mean, no scale (an upstream habit we keep).
    """
    matrix = similarity(np.asarray(landmarks, dtype=np.float64), TEMPLATE * (size / 112))
    inverse = np.linalg.inv(matrix[:, :2])
    rows, columns = np.mgrid[:size, :size].astype(np.float64)
    x, y = np.tensordot(inverse, np.stack([columns, rows]) - matrix[:, 2, None, None], axes=1)
    return _bilinear(image.astype(np.float64) / 255, x, y)


def arcface_input(aligned: np.ndarray) -> np.ndarray:
    """(112, 112, 3) -> (3, 112, 112) float32."""
    return np.ascontiguousarray(aligned.transpose(2, 0, 1)).astype(np.float32)


def _bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`image` (H, W, C) at the points (`x`, `y`) (h, w); pixels outside it are zero."""
    height, width = image.shape[:2]
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    result = np.zeros((*x.shape, image.shape[2]))
    for column, across in ((left, 1 - (x - left)), (left + 1, x - left)):
        for row, down in ((top, 1 - (y - top)), (top + 1, y - top)):
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            weight = (across * down * inside)[..., None]
            result += weight * image[row.clip(0, height - 1), column.clip(0, width - 1)]
    return result
