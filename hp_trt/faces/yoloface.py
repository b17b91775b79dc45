"""Faces by YoloFace, the detector the released program uses.

The network is the user's: the published TorchScript file, or its conversion to ONNX. Here is what
surrounds it: the resized picture, the pixel grids it wants beside it, and what becomes of its rows.

Source: SPEC 7.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from engines.errors import InputError
from engines.foreign import foreign
from hp_trt.faces.face import Face
from hp_trt.faces.networks import fits, open_onnx, open_torchscript, require_numbers, signature

STRIDES = (8, 16, 32)
_ADVICE = "give the published yoloface_v5m.pt, or its conversion to ONNX"
_TRIAL_PX, _TRIAL_MOST_PX = 64, 4096

# (picture (1, 3, h, w) float32, grids (1, 1, h/s, w/s, 2) float32 for the three strides) -> rows (1, n, 16)
Network = Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]


def network_input(image: np.ndarray, input_size: int = 416) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (1, 3, h, w) float32 in [0, 1].

    The shorter side becomes about `input_size`, both are rounded up to a multiple of 32: the
    aspect is not exactly kept.
    """
    import cv2

    height, width = image.shape[:2]
    ratio = input_size / min(height, width)
    h, w = (int(side * ratio + 31) // 32 * 32 for side in (height, width))
    small = cv2.resize(image, (w, h), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(small.transpose(2, 0, 1)[None]).astype(np.float32) / np.float32(255)


def grids(height: int, width: int, strides: Sequence[int] = STRIDES) -> list[np.ndarray]:
    """For each stride s the cell coordinates x, y: (1, 1, height/s, width/s, 2) float32."""
    result = []
    for stride in strides:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        result.append(np.stack([columns, rows], axis=-1)[None, None].astype(np.float32))
    return result


def detections(
    rows: np.ndarray,
    *,
    image_size: tuple[int, int],
    network_size: tuple[int, int],
    conf_threshold: float = 0.5,
    iou_threshold: float = 0.45,
) -> list[Face]:
    """The faces in the network's `rows` (1, n, 16), best first; sizes are height, width.

    A row is cx, cy, w, h, objectness, ten landmark numbers, class; objectness, and objectness times
    class, must exceed `conf_threshold`. Of two boxes that overlap by more than `iou_threshold`
    the better one stays.
    """
    found = np.asarray(rows[0], dtype=np.float32)
    found = found[found[:, 4] > conf_threshold]
    scores = found[:, 4] * found[:, 15]
    found, scores = found[scores > conf_threshold], scores[scores > conf_threshold]
    order = np.argsort(-scores, kind="stable")
    found, scores = found[order], scores[order]
    half = found[:, 2:4] / 2
    boxes = np.hstack([found[:, :2] - half, found[:, :2] + half]).astype(np.float64)
    scale = np.array([image_size[1] / network_size[1], image_size[0] / network_size[0]])
    return [
        Face(
            box=tuple(np.concatenate([boxes[i, :2] * scale, (boxes[i, 2:] - boxes[i, :2]) * scale]).tolist()),
            landmarks=found[i, 5:15].reshape(5, 2).astype(np.float64) * scale,
            score=float(scores[i]),
        )
        for i in _kept(boxes, iou_threshold)
    ]


def _kept(boxes: np.ndarray, iou_threshold: float) -> list[int]:
    """Greedy suppression of `boxes` (n, 4) x0, y0, x1, y1, best first: the indices that stay."""
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    kept: list[int] = []
    left = np.arange(len(boxes))
    while left.size:
        best, left = int(left[0]), left[1:]
        kept.append(best)
        shared = np.minimum(boxes[best, 2:], boxes[left, 2:]) - np.maximum(boxes[best, :2], boxes[left, :2])
        overlap = np.prod(np.maximum(shared, 0), axis=1)
        left = left[overlap <= iou_threshold * (areas[best] + areas[left] - overlap)]
    return kept


class YoloFaceLocator:
    """YoloFace as the released program calls it."""

    name = "YoloFace"
    reads_pixels = True
    steadiness = 0.0

    def __init__(self, network: Network) -> None:
        self._network = network

    def locate(self, image: np.ndarray, frame: int = 0) -> list[Face]:
        tensor = network_input(image)
        h, w = tensor.shape[2:]
        rows = self._network(tensor, grids(h, w))
        return detections(rows, image_size=(image.shape[0], image.shape[1]), network_size=(h, w))


def open_network(path: Path) -> Network:
    """`path` as a callable: .onnx runs on ONNX Runtime, .pt (TorchScript) on PyTorch. It is tried once.

    Raises InputError when the file cannot be opened or is another network, or is TorchScript and PyTorch is not
    installed; EngineMismatch when it is ONNX and ONNX Runtime is not installed. The callable raises InputError for
    results that are none of YoloFace's.
    """
    openers = {".onnx": _open_onnx, ".pt": _open_torchscript}
    if path.suffix not in openers:
        raise InputError(f"{path}: a YoloFace network ends in .onnx or .pt (TorchScript), not in {path.suffix!r}")
    network, (height, width) = openers[path.suffix](path)

    def rows(image: np.ndarray, cells: Sequence[np.ndarray]) -> np.ndarray:
        with foreign(f"{path} does not run as YoloFace on {image.shape[3]} x {image.shape[2]} pixels", _ADVICE):
            result = network(image, cells)
        return require_numbers(result, (1, None, 16), f"{path}, run as YoloFace,", _ADVICE)

    rows(np.full((1, 3, height, width), 0.5, np.float32), grids(height, width))
    return rows


def _open_onnx(path: Path) -> tuple[Network, tuple[int, int]]:
    """The network, and the height and width to try it with."""
    session = open_onnx(path, "a YoloFace network", _ADVICE)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    picture_and_grids = ((None, 3, None, None), *[(None, None, None, None, 2)] * len(STRIDES))
    taken = len(inputs) == len(picture_and_grids) and all(map(fits, inputs, picture_and_grids))
    if not taken or not fits(outputs[0], (None, None, 16)):
        raise InputError(
            f"{path} {signature(session)}; a YoloFace network takes a picture [1, 3, h, w] and three grids "
            f"[1, 1, h/s, w/s, 2], and gives rows [1, n, 16], all floats: {_ADVICE}"
        )
    names = [tensor.name for tensor in inputs]
    sides = (inputs[0].shape or [None] * 4)[2:]
    if all(isinstance(side, int) for side in sides) and not all(0 < side <= _TRIAL_MOST_PX for side in sides):
        raise InputError(f"{path} takes pictures of {sides} pixels, YoloFace of about 416; {_ADVICE}")
    height, width = (side if isinstance(side, int) else _TRIAL_PX for side in sides)
    return (
        lambda image, cells: session.run([outputs[0].name], dict(zip(names, [image, *cells], strict=True)))[0],
        (height, width),
    )


def _open_torchscript(path: Path) -> tuple[Network, tuple[int, int]]:
    module = open_torchscript(path, "a YoloFace network", _ADVICE)

    def run(image: np.ndarray, cells: Sequence[np.ndarray]) -> np.ndarray:
        import torch

        with torch.no_grad():
            return module(torch.from_numpy(image), [torch.from_numpy(cell) for cell in cells]).numpy()

    return run, (_TRIAL_PX, _TRIAL_PX)
