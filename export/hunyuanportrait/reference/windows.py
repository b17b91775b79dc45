"""Windows on a ring of frames, one step's at a time, and how often each frame is covered.

Written here a second time, apart from the runtime's own, so that one can judge the other.

Source: SPEC 8, step 4.
"""

from __future__ import annotations

import torch


def window_starts(frames: int, *, window: int, overlap: int, shift: int) -> list[int]:
    """Where the windows of a step begin; they may begin before frame 0."""
    return [b - shift for b in range(0, frames, window - overlap)]


def window_frames(start: int, *, frames: int, window: int) -> list[int]:
    """A window's frames: it wraps round the end, and meets itself where the clip is shorter."""
    return [(start + k) % frames for k in range(window)]


def shifts(steps: int, *, window: int, shift_offset: int) -> list[int]:
    """By how much the windows of each executed step are moved."""
    return [(i * shift_offset) % window for i in range(steps)]


def coverage(windows: list[list[int]], frames: int) -> torch.Tensor:
    """(frames) int64: how many window slots hold each frame."""
    return torch.bincount(torch.tensor(windows).flatten(), minlength=frames)
