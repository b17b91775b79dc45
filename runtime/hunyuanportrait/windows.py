"""Overlapping windows on a ring of frames, and the matrix that stitches them.

A clip is denoised `size` frames at a time. Windows wrap round the clip's end, and each denoising step slides
them all, so no seam keeps its place. Index arithmetic only: no device.

Source: the released sampler (SPEC 8, step 4).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def shift_at(step: int, *, shift: int, size: int) -> int:
    """How far the windows of executed step `step` have slid: nothing at first, then `shift` a step, modulo `size`."""
    return step * shift % size


def window_starts(frames: int, *, size: int, overlap: int, shift: int = 0) -> list[int]:
    """Where each window begins. A start may be negative: it wraps to the clip's end."""
    if not (0 <= overlap < size and frames > 0):
        raise ValueError(
            f"need 0 <= overlap < size and at least one frame, got {overlap=}, {size=}, {frames=}; "
            "lower the overlap or choose a longer window"
        )
    return list(range(-shift, frames - shift, size - overlap))


def windows(frames: int, *, size: int, overlap: int, shift: int = 0) -> list[list[int]]:
    """Each window's frame indices, `size` of them, all in [0, frames).

    Together they hold every frame, and there are as many for every shift. A clip shorter than its
    window meets itself: indices then repeat inside a window.
    """
    starts = window_starts(frames, size=size, overlap=overlap, shift=shift)
    return [[(start + i) % frames for i in range(size)] for start in starts]


def coverage(frames: int, windows: Sequence[Sequence[int]]) -> np.ndarray:
    """How many window slots hold each frame: (frames,) int64. A frame twice in a window counts twice."""
    return np.bincount(np.asarray(windows, np.int64).ravel(), minlength=frames)


def stitch_matrix(frames: int, windows: Sequence[Sequence[int]]) -> np.ndarray:
    """M (frames, windows, size) float32: M[t] averages the window slots that hold frame t.

    1 / coverage at (t, w, i) where slot i of window w holds frame t, else 0; rows sum to 1. The average of stepped
    latents is the step with the averaged velocity, because every window starts from the same latents:
    mean(a x + b v_w) = a x + b (M v).
    """
    slots = np.asarray(windows, np.int64)
    matrix = np.zeros((frames, *slots.shape), np.float32)
    w, i = np.indices(slots.shape)
    matrix[slots, w, i] = (1 / coverage(frames, windows))[slots]
    return matrix
