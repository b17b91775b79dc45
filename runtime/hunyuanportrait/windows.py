"""Overlapping windows on a ring of frames, and which of them a frame is in.

A clip is denoised `size` frames at a time. Windows wrap round the clip's end, and each denoising step slides
them all, so no seam keeps its place. Index arithmetic only: no device, and nothing that grows with the clip.

Source: the released sampler (SPEC 8, step 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np


def shift_at(step: int, *, shift: int, size: int) -> int:
    """How far the windows of executed step `step` have slid: nothing at first, then `shift` a step, modulo `size`."""
    return step * shift % size


@dataclass(frozen=True)
class Windows(Sequence[list[int]]):
    """The windows of one step, in their order: each one's frame indices, `size` of them, all in [0, frames).

    Together they hold every frame, and there are as many for every shift. A clip shorter than its window meets itself:
    indices then repeat inside a window. Raises ValueError for an overlap that is as long as its window.
    """

    frames: int
    size: int
    overlap: int
    shift: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.overlap < self.size and self.frames > 0):
            raise ValueError(
                f"need 0 <= overlap < size and at least one frame, got overlap={self.overlap}, size={self.size}, "
                f"frames={self.frames}; lower the overlap or choose a longer window"
            )

    @property
    def starts(self) -> range:
        """Where each window begins. A start may be negative: it wraps to the clip's end."""
        return range(-self.shift, self.frames - self.shift, self.size - self.overlap)

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, window: int) -> list[int]: ...
    @overload
    def __getitem__(self, window: slice) -> list[list[int]]: ...
    def __getitem__(self, window: int | slice) -> list[int] | list[list[int]]:
        if isinstance(window, slice):
            return [self[w] for w in range(len(self))[window]]
        start = self.starts[window]
        return [(start + i) % self.frames for i in range(self.size)]

    def holding(self, frame: int) -> list[tuple[int, int]]:
        """Each (window, place in it) that is `frame`, in their order. At least one."""
        starts, found = self.starts, []
        # The frame itself and where it comes round again, as far as any window reaches.
        for turn in range(starts[0] - (starts[0] - frame) % self.frames, starts[-1] + self.size, self.frames):
            first = max(-(-(turn - self.size + 1 - starts.start) // starts.step), 0)
            last = min((turn - starts.start) // starts.step, len(starts) - 1)
            found += [(w, turn - starts[w]) for w in range(first, last + 1)]
        return sorted(found)


def coverage(frames: int, windows: Sequence[Sequence[int]]) -> np.ndarray:
    """How many window slots hold each frame: (frames,) int64. A frame twice in a window counts twice."""
    return np.bincount(np.asarray(windows, np.int64).ravel(), minlength=frames)
