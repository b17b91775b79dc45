"""Faces by YuNet, a small network that OpenCV runs itself (`face_detection_yunet_*.onnx`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.errors import InputError
from engines.file_names import utf8_name
from engines.foreign import foreign
from hp_trt.faces.face import Face
from hp_trt.faces.networks import require_network_file, require_numbers

_ADVICE = "give a face_detection_yunet file of 2023 or later from OpenCV's model zoo"
# What OpenCV reads of it, without looking at sizes: numbers for each cell of three grids.
_STRIDES = (8, 16, 32)
_OUTPUTS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
_TRIAL_PX = 64


class YuNetLocator:
    """OpenCV's FaceDetectorYN with the user's network file.

    Raises InputError for a file that is not such a network: its outputs are looked at in a trial.
    """

    name = "YuNet"
    reads_pixels = True
    steadiness = 0.0

    def __init__(self, path: Path, score_threshold: float = 0.7) -> None:
        import cv2

        require_network_file(path, "a YuNet network", _ADVICE)
        not_one = f"{path} is not a YuNet network that OpenCV {cv2.__version__} can open"
        with foreign(not_one, _ADVICE):
            network = cv2.dnn.readNetFromONNX(utf8_name(path))
            names = list(network.getUnconnectedOutLayersNames())
        _require_outputs(path, network, names)
        with foreign(not_one, _ADVICE):
            self._detector = cv2.FaceDetectorYN.create(utf8_name(path), "", (_TRIAL_PX, _TRIAL_PX), score_threshold)
        self._path = path
        self.locate(np.full((_TRIAL_PX, _TRIAL_PX, 3), 128, np.uint8))

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        height, width = image.shape[:2]
        with foreign(f"{self._path} does not run as YuNet on {width} x {height} pixels", _ADVICE):
            self._detector.setInputSize((width, height))
            _, rows = self._detector.detect(np.ascontiguousarray(image[:, :, ::-1]))
        return [] if rows is None else [_face(row) for row in rows]


def _require_outputs(path: Path, network: object, names: list[str]) -> None:
    """Raises InputError unless a trial gives what OpenCV will read."""
    import cv2

    wanted = [f"{kind}_{stride}" for kind in _OUTPUTS for stride in _STRIDES]
    if missing := [name for name in wanted if name not in names]:
        told = ", ".join(name[:40] for name in names[:12]) + (", ..." if len(names) > 12 else "")
        raise InputError(
            f"{path} gives {told or 'nothing'}; a YuNet network gives {len(wanted)} outputs, {wanted[0]} to "
            f"{wanted[-1]}, and here {', '.join(missing[:3])} {'are' if len(missing) > 1 else 'is'} missing: {_ADVICE}"
        )
    blob = cv2.dnn.blobFromImage(np.full((_TRIAL_PX, _TRIAL_PX, 3), 128, np.uint8))
    with foreign(f"{path} does not run as YuNet", _ADVICE):
        network.setInput(blob)  # type: ignore[attr-defined]  # cv2.dnn.Net, which stubs do not name
        results = network.forward(wanted)  # type: ignore[attr-defined]
    for name, result in zip(wanted, results, strict=True):
        kind, stride = name.split("_")
        numbers = (_TRIAL_PX // int(stride)) ** 2 * _OUTPUTS[kind]
        require_numbers(result.ravel(), (numbers,), f"{path}, run as YuNet, for {name}", _ADVICE)


def _face(row: np.ndarray) -> Face:
    """One row of YuNet: box, five points (the eye on the picture's left first), score."""
    x, y, w, h = (float(v) for v in row[:4])
    return Face(box=(x, y, w, h), landmarks=row[4:14].reshape(5, 2).astype(np.float64), score=float(row[14]))
