"""Networks that published metrics need and that we may not ship: the user brings each as an .onnx file.

| option | network | takes | gives |
|---|---|---|---|
| --lpips | LPIPS | two pictures (1, 3, H, W) in [-1, 1] | their distance, one number |
| --fid-features | Inception, for FID | a picture (1, 3, H, W) in [0, 1] | its features (1, D) |
| --fvd-features | I3D or another, for FVD | a clip (1, 3, T, H, W) in [0, 1] | its features (1, D) |
| --expression | of a 3D face model, for AED | a picture (1, 3, H, W) in [0, 1] | expression coefficients (1, D) |
| --pose | of a 3D face model, for APD | a picture (1, 3, H, W) in [0, 1] | the head's pose (1, D) |

All are float32 RGB; whatever else a network wants of its input (mean, scale) belongs into the file. Where H, W are
fixed in the file, pictures are resized to it bilinearly; where T is fixed, a clip is cut into as many pieces of T
frames as it has. `hp_trt.faces.arcface` opens the one of the identity score, `published_sync` those of Sync-C and
Sync-D.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engines import families
from engines.errors import InputError
from engines.file_names import utf8_name
from engines.foreign import foreign
from hp_trt.media.pixels import unit_planes

_MOST_NUMBERS = 4096  # of a picture or a piece: their covariance is the square of it; Inception gives 2048, I3D 400
_LARGEST = 4096  # pixels along a side, or frames, that a file may ask for: more would fill the memory

PictureDistance = Callable[[np.ndarray, np.ndarray], float]
Features = Callable[[Sequence[np.ndarray]], np.ndarray]


def open_picture_distance(path: Path) -> PictureDistance:
    """LPIPS: two (H, W, 3) uint8 -> a number. Raises InputError for what is no such network."""
    network = OnnxNetwork(path, "two pictures (1, 3, H, W)", ranks=(4, 4))

    def distance(one: np.ndarray, other: np.ndarray) -> float:
        result = network(*(network.planes(image)[None] * np.float32(2) - np.float32(1) for image in (one, other)))
        if result.size != 1:
            raise InputError(f"{path} gives {result.shape} for two pictures; needed is one number, their distance")
        return float(result.reshape(()))

    return distance


def open_picture_features(path: Path) -> Features:
    """n pictures (H, W, 3) uint8 -> (n, D) float64. Raises InputError for what is no such network."""
    network = OnnxNetwork(path, "a picture (1, 3, H, W)", ranks=(4,))
    return lambda pictures: np.stack([network.vector(network.planes(picture)[None]) for picture in pictures])


def open_clip_features(path: Path) -> Features:
    """A clip (N frames of (H, W, 3) uint8) -> (pieces, D) float64, one piece where the file leaves T open.

    Raises InputError for what is no such network, or takes more frames than the clip has.
    """
    network = OnnxNetwork(path, "a clip (1, 3, T, H, W)", ranks=(5,))

    def features(clip: Sequence[np.ndarray]) -> np.ndarray:
        length = network.fixed(2) or len(clip)
        if len(clip) < length:
            raise InputError(f"{path} takes {length} frames at a time and the clips have {len(clip)}; use longer clips")
        planes = np.stack([network.planes(frame) for frame in clip], axis=1)
        starts = range(0, len(clip) - length + 1, length)
        return np.stack([network.vector(planes[None, :, start : start + length]) for start in starts])

    return features


class OnnxNetwork:
    """An .onnx file with float32 inputs of known ranks and one output that counts, the first.

    `channels`: the size of its first input's second dimension, where the file fixes it.

    Raises InputError for what is no such file, EngineMismatch where ONNX Runtime is missing.
    """

    def __init__(self, path: Path, takes: str, *, ranks: tuple[int, ...], channels: int = 3) -> None:
        if not path.is_file():
            raise InputError(f"{path}: no such file; give an .onnx network that takes {takes}, or leave it out")
        onnxruntime = families.load(families.ONNXRUNTIME)
        with foreign(f"{path} is not an ONNX network that onnxruntime can open", "convert it again"):
            self._session = onnxruntime.InferenceSession(utf8_name(path), providers=["CPUExecutionProvider"])
        self._length = 0  # of `vector`, once there was one
        self.path, self._inputs = path, self._session.get_inputs()
        found = [(tensor.type, len(tensor.shape)) for tensor in self._inputs]
        if found != [("tensor(float)", rank) for rank in ranks] or self.fixed(1) not in (None, channels):
            raise InputError(
                f"{path} takes {', '.join(f'{t.type} {t.shape}' for t in self._inputs)}; needed is a network "
                f"that takes {takes} of float32: see hp_trt/measure/metrics/networks.py"
            )
        if large := [size for axis in range(ranks[0]) if (size := self.fixed(axis) or 0) > _LARGEST]:
            raise InputError(
                f"{path} takes {large[0]} pixels or frames at once, at most {_LARGEST} are tried; convert it"
            )

    def fixed(self, axis: int) -> int | None:
        """The size of its first input along `axis`; None where the file leaves it open."""
        size = self._inputs[0].shape[axis]
        return size if isinstance(size, int) else None

    def planes(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 -> (3, h, w) float32 in [0, 1] of the size that the file asks for."""
        from PIL import Image

        height, width = picture.shape[:2]
        rank = len(self._inputs[0].shape)
        size = self.fixed(rank - 1) or width, self.fixed(rank - 2) or height
        if size != (width, height):
            picture = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
        return unit_planes(picture)

    def vector(self, tensor: np.ndarray) -> np.ndarray:
        """(D,) float64 of one picture or piece; of every one of as many numbers."""
        found = self(tensor).reshape(-1).astype(np.float64)
        if len(found) > _MOST_NUMBERS:
            raise InputError(
                f"{self.path} gives {len(found)} numbers for a picture or a piece, at most {_MOST_NUMBERS} are "
                "compared; give a network that ends in features"
            )
        self._length = self._length or len(found)
        if len(found) != self._length:
            raise InputError(f"{self.path} gave {self._length} numbers, then {len(found)}; give another file")
        return found

    def __call__(self, *tensors: np.ndarray) -> np.ndarray:
        feeds = {tensor.name: value for tensor, value in zip(self._inputs, tensors, strict=True)}
        shapes = ", ".join(str(tensor.shape) for tensor in tensors)
        with foreign(f"{self.path} does not run on {shapes}", "give another file"):
            result: Any = self._session.run([self._session.get_outputs()[0].name], feeds)[0]
        if not isinstance(result, np.ndarray) or result.dtype.kind not in "fiu" or not result.size:
            kind = f"{result.dtype} {result.shape}" if isinstance(result, np.ndarray) else type(result).__name__
            raise InputError(f"{self.path} gives {kind}, needed are numbers; give another file")
        if not np.isfinite(result).all():
            raise InputError(f"{self.path} gave a number that is not finite; give another file")
        return result
