"""Faces of grey pictures: the restorer makes colours, which are taken away again. (H, W, 3) uint8 RGB.

Source: SPEC 9, restorer, result.
"""

from __future__ import annotations

import numpy as np

_MOST_VARIANCE = 10
_LUMA = np.array((0.2989, 0.587, 0.114))


def is_grey(picture: np.ndarray) -> bool:
    """Whether the colours of a picture differ by as good as nothing."""
    red, green, blue = (picture[..., channel].astype(np.int16) for channel in range(3))
    return float(np.mean([(red - green).var(), (green - blue).var(), (blue - red).var()])) <= _MOST_VARIANCE


def greyed(face: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """A restored face without colours, as light and as rich in contrast as the crop that it was made of."""
    grey = np.broadcast_to((face @ _LUMA)[..., None], face.shape)
    mean, spread = _moments(grey)
    wanted_mean, wanted_spread = _moments(crop.astype(np.float64))
    made = (grey - mean) / spread * wanted_spread + wanted_mean
    return np.clip(np.rint(made), 0, 255).astype(np.uint8)


def _moments(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation per channel."""
    flat = picture.reshape(-1, 3)
    return flat.mean(axis=0), np.sqrt(flat.var(axis=0) + 1e-5)
