"""Faces by YuNet, a small network that OpenCV runs itself (`face_detection_yunet_*.onnx`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.errors import InputError
from hp_trt.faces.face import Face


class YuNetLocator:
    """OpenCV's FaceDetectorYN with the user's network file."""

    name = "YuNet"
    reads_pixels = True
    steadiness = 0.0

    def __init__(self, path: Path, score_threshold: float = 0.7) -> None:
        import cv2

        try:
            self._detector = cv2.FaceDetectorYN.create(str(path), "", (320, 320), score_threshold)
        except (cv2.error, SystemError) as error:
            raise InputError(
                f"{path} is not a YuNet network that OpenCV {cv2.__version__} can open; "
                "give a face_detection_yunet file from OpenCV's model zoo"
            ) from error
        self._path = path

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        import cv2

        height, width = image.shape[:2]
        self._detector.setInputSize((width, height))
        try:
            _, rows = self._detector.detect(np.ascontiguousarray(image[:, :, ::-1]))
        except cv2.error as error:  # some other network opens, and only fails when it is run
            raise InputError(f"{self._path} does not run as YuNet; give a face_detection_yunet file") from error
        return [] if rows is None else [_face(row) for row in rows]


def _face(row: np.ndarray) -> Face:
    """One row of YuNet: box, five points (the eye on the picture's left first), score."""
    x, y, w, h = (float(v) for v in row[:4])
    return Face(box=(x, y, w, h), landmarks=row[4:14].reshape(5, 2).astype(np.float64), score=float(row[14]))
