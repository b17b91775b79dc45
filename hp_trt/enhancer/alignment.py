"""A face, turned and scaled to where the restorer expects it.

Five points go to five places of a picture of 512 pixels a side, by a similarity that OpenCV fits to the least median of
squares. Pictures are (H, W, 3) uint8 RGB, points (5, 2) in pixels, x and y: eyes, nose, corners of the mouth.

Source: SPEC 9, alignment.
"""

from __future__ import annotations

import numpy as np

from runtime.enhancer.presets import FACE_PX

TEMPLATE = np.array(
    (
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    )
)
_BORDER_RGB = (132, 133, 135)  # what is outside of the picture


def alignment(points: np.ndarray) -> np.ndarray | None:
    """(2, 3) float64, from the picture to the aligned face; None: the points are no face's, they all but coincide."""
    import cv2

    matrix = cv2.estimateAffinePartial2D(np.asarray(points, np.float64), TEMPLATE, method=cv2.LMEDS)[0]
    if matrix is None or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:, :2])) < 1e-9:
        return None
    return np.asarray(matrix)


def aligned(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The face of a picture, (512, 512, 3) uint8."""
    import cv2

    outside: dict[str, int | tuple[int, int, int]] = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": _BORDER_RGB}
    return np.asarray(cv2.warpAffine(picture, matrix, (FACE_PX, FACE_PX), **outside))  # type: ignore[call-overload]


def back(matrix: np.ndarray, scale: int) -> np.ndarray:
    """(2, 3): from the aligned face to the picture that is enlarged `scale` times, before `paste` shifts it."""
    import cv2

    return np.asarray(cv2.invertAffineTransform(matrix)) * scale
