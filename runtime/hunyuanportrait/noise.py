"""The two random draws of a clip, or of a stream, from one seed.

A draw is numpy's PCG64, the same on every machine and for every backend. Upstream draws first the noise that
augments the portrait, then the initial latents; a portrait encoded once and a clip made later must agree on that
order, so each draw here starts from the seed.

Source: SPEC 8, step 1 (the order; upstream's generator lives on its GPU and cannot be repeated elsewhere).
"""

from __future__ import annotations

import numpy as np


def noise_aug(seed: int, height_px: int, width_px: int) -> np.ndarray:
    """Unit normal noise for the portrait: (1, 3, H, W) float32."""
    return _normal(np.random.Generator(np.random.PCG64(seed)), (1, 3, height_px, width_px))


def initial_noise(seed: int, shape: tuple[int, ...], height_px: int, width_px: int) -> np.ndarray:
    """Unit normal noise the latents start from: `shape` = (T, 4, h, w) float32, the second draw of `seed`."""
    generator = np.random.Generator(np.random.PCG64(seed))
    _normal(generator, (1, 3, height_px, width_px))
    return _normal(generator, shape)


class NoiseStream:
    """`initial_noise`, drawn piece by piece for a stream whose length nobody knows: the pieces are that draw's."""

    def __init__(self, seed: int, height_px: int, width_px: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))
        _normal(self._generator, (1, 3, height_px, width_px))

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Unit normal noise of the next frames: `shape` = (n, 4, h, w) float32."""
        return _normal(self._generator, shape)


def _normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.standard_normal(shape, dtype=np.float32)
