"""The frames made up before and after a clip, so that its ends are denoised like its middle.

P frames fade in from nothing to the first frame's motion, P fade out from the last frame's. T = N + 2 P.

Source: SPEC 7.5.
"""

from __future__ import annotations

import numpy as np


def fade_in(first: np.ndarray, pad_frames: int) -> np.ndarray:
    """`first` (m, D) scaled by 0, 1/P, ..., (P-1)/P: (P, m, D) of the same dtype.

    All D features are scaled, the rotation in degrees included.
    """
    return _scaled(first, np.arange(pad_frames) / max(pad_frames, 1))


def fade_out(last: np.ndarray, pad_frames: int) -> np.ndarray:
    """`last` (m, D) scaled by 1, (P-1)/P, ..., 1/P: (P, m, D) of the same dtype."""
    return _scaled(last, 1 - np.arange(pad_frames) / max(pad_frames, 1))


def _scaled(tokens: np.ndarray, scales: np.ndarray) -> np.ndarray:
    # In float32 whatever the tokens are: float16 would round the scale before it rounds the product.
    return (scales.astype(np.float32)[:, None, None] * tokens.astype(np.float32)).astype(tokens.dtype)
