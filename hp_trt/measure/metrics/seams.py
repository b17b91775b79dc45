"""Whether the joints of denoising windows can be seen: the frame differences there against those inside windows.

Windows slide from step to step, so no joint keeps its place; what can be seen in a result are the joints of
the last executed step. A joint is where the set of windows that hold a frame is another than the next frame's:
both ends of every overlap.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise

import numpy as np

from hp_trt.measure.metrics.fidelity import require_alike
from runtime.hunyuanportrait.sampling import Sampling
from runtime.hunyuanportrait.windows import Windows, shift_at


def joints(frames: int, sampling: Sampling) -> list[int]:
    """Frames k in 1 .. `frames` - 1 with a joint between k - 1 and k, counted as the clip's result is (no padding)."""
    padded, size = frames + 2 * sampling.pad_frames, sampling.window
    shift = shift_at(sampling.executed_steps - 1, shift=sampling.shift, size=size)
    layout = Windows(padded, size=size, overlap=sampling.overlap, shift=shift)
    holders = [frozenset(w for w, held in enumerate(layout) if t in held) for t in range(padded)]
    first = sampling.pad_frames
    return [k for k in range(1, frames) if holders[first + k] != holders[first + k - 1]]


def seam_ratio(
    clip: Sequence[np.ndarray], truth: Sequence[np.ndarray], at: Collection[int], *, bursts: bool = False
) -> float | None:
    """The mean frame difference across the joints `at` over the median inside windows, over the truth's same ratio.

    `bursts`: over the mean inside windows instead. Of what stands still but for a mouth that speaks, the median frame
    changes far less than the mean one, unlike the truth, whose head moves all the time: a video of it without any
    joint would have a ratio of 1.7.

    A driver that happens to move fast at a joint moves fast there in the truth too, so its motion does not count: 1 is
    no seam. None where that cannot be said: no joint, or a truth that stands still inside windows or at the joints.
    """
    require_alike(clip, truth)
    ratios = [_ratio(frame_differences(frames), at, bursts) for frames in (clip, truth)]
    if ratios[0] is None or not ratios[1]:
        return None
    return ratios[0] / ratios[1]


def frame_differences(clip: Sequence[np.ndarray]) -> np.ndarray:
    """(N - 1,): the mean absolute difference of each frame from the one before, in levels of 255."""
    return np.array([np.abs(b.astype(int) - a).mean() for a, b in pairwise(clip)])


def _ratio(differences: np.ndarray, at: Collection[int], bursts: bool) -> float | None:
    joint = np.isin(np.arange(1, len(differences) + 1), list(at))
    if joint.all() or not joint.any():
        return None
    inside = float((np.mean if bursts else np.median)(differences[~joint]))
    return float(differences[joint].mean()) / inside if inside else None
