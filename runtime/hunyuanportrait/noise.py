"""The two random draws of a clip, or of a stream, from one seed.

A draw is numpy's PCG64, the same on every machine and for every backend. Upstream draws first the noise that
augments the portrait, then the initial latents; a portrait encoded once and a clip made later must agree on that
order, so each draw here starts from the seed.

Source: SPEC 8, step 1 (the order; upstream's generator lives on its GPU and cannot be repeated elsewhere).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_BLOCK = 32  # frames that are drawn at once


def noise_aug(seed: int, height_px: int, width_px: int) -> np.ndarray:
    """Unit normal noise for the portrait: (1, 3, H, W) float32."""
    return _normal(np.random.Generator(np.random.PCG64(seed)), (1, 3, height_px, width_px))


def initial_noise(seed: int, shape: tuple[int, ...], height_px: int, width_px: int) -> np.ndarray:
    """Unit normal noise the latents start from: `shape` = (T, 4, h, w) float32, the second draw of `seed`."""
    generator = np.random.Generator(np.random.PCG64(seed))
    _normal(generator, (1, 3, height_px, width_px))
    return _normal(generator, shape)


class ClipNoise:
    """`initial_noise`, asked for frame by frame: a block is held at a time, and the generator's state before each.

    The generator can only be walked forwards, so what lies between is drawn once more when it is asked for.
    """

    def __init__(self, seed: int, cell: Sequence[int], height_px: int, width_px: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._cell = tuple(cell)
        _normal(self._generator, (1, 3, height_px, width_px))
        self._before: list[Any] = []  # each block
        self._number, self._block = -1, np.empty(0, np.float32)

    def __call__(self, frames: Sequence[int]) -> np.ndarray:
        """Unit normal noise of these frames: (n, 4, h, w) float32."""
        return np.stack([self._of_block(frame // _BLOCK)[frame % _BLOCK] for frame in frames])

    def _of_block(self, number: int) -> np.ndarray:
        if number < len(self._before) and number != self._number:
            self._generator.bit_generator.state = self._before[number]
            self._draw(number)
        while number >= len(self._before):
            if self._number != len(self._before) - 1:  # walk on from the furthest block
                self._of_block(len(self._before) - 1)
            self._before.append(self._generator.bit_generator.state)
            self._draw(len(self._before) - 1)
        return self._block

    def _draw(self, number: int) -> None:
        self._number, self._block = number, _normal(self._generator, (_BLOCK, *self._cell))


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
