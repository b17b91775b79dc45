"""The square that a mark repeats over a frame: 384 waves, of which each of the code's 128 signs turns three.

A tile is 128 px wide in frames whose shorter side is below 768 px, and two or four times as wide in larger ones, which
are more often shown small. Its waves have 4 to 16 periods a tile, so a wave is 8 to 32 px long: short enough to be told
from faces, and long enough to outlive half the size and an encoder's coarse steps.

Phases and places are drawn once, by SHAKE-256 of a name rather than by numpy, whose streams may change with its
version: they are the secret of nobody, and must never change.
"""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np

from hp_trt.provenance.code import SIGNS, encode

PX = 128
_WAVES_PER_SIGN = 3
WAVES = SIGNS * _WAVES_PER_SIGN
_LOWEST = 4  # periods a tile
_NAME = b"hp-trt invisible mark, form 1"


def magnification(height: int, width: int) -> int:
    """How many times as wide as 128 px the tiles of a frame are: 1, 2 or 4."""
    shorter = min(height, width)
    return 1 if shorter < 768 else 2 if shorter < 1536 else 4


@cache
def frequencies() -> np.ndarray:
    """(384, 2) int64: periods a tile down and across of each wave, the longest waves first, one of k and -k."""
    side = np.arange(-20, 21)
    pairs = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    down, across = pairs.T
    squared = down**2 + across**2
    upper = ((across > 0) | ((across == 0) & (down > 0))) & (squared >= _LOWEST**2)
    pairs, squared = pairs[upper], squared[upper]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0], squared))[:WAVES]]


@cache
def phases() -> np.ndarray:
    """(384,) complex128 of size 1: what the waves are turned by where every sign is 1."""
    drawn = np.frombuffer(hashlib.shake_256(_NAME + b": phases").digest(4 * WAVES), "<u4")
    return np.exp(2j * np.pi * drawn / 2**32)


@cache
def owners() -> np.ndarray:
    """(384,) int64: the sign that turns each wave. Every sign has one of each third of the waves, long and short."""
    drawn = np.frombuffer(hashlib.shake_256(_NAME + b": owners").digest(8 * WAVES), "<u8").reshape(-1, SIGNS)
    return np.argsort(drawn, axis=1, kind="stable").reshape(-1)


def tile(payload: int, *, magnified: int = 1) -> np.ndarray:
    """(side, side) float32 of mean 0 and deviation 1, `side` 128 times `magnified`: what frames are marked with."""
    side = PX * magnified
    spectrum = np.zeros((side, side), np.complex128)
    down, across = frequencies().T
    waves = phases() * encode(payload)[owners()]
    spectrum[down, across] = waves
    spectrum[-down, -across] = waves.conj()
    square = np.fft.ifft2(spectrum).real
    return (square / square.std()).astype(np.float32)
