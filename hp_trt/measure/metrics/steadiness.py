"""What a clip must not do by itself: flicker, change its colours as it goes on, and get worse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hp_trt.measure.metrics.fidelity import FULL_RANGE, mean_squared_error, require_alike

_ENDS = 0.1  # of a clip: as much of its beginning is compared with as much of its end


def flicker(clip: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> float:
    """Levels of 255: the mean absolute second difference in time, less the truth's own.

    0 is as calm as the truth; below 0 is calmer: motion is smeared or missing. At least 3 frames.
    """
    require_alike(clip, truth)
    return jitter(clip) - jitter(truth)


def jitter(clip: Sequence[np.ndarray]) -> float:
    """Levels of 255: the mean of |before - 2 now + after| over pixels, colours and frames."""
    if len(clip) < 3:
        raise ValueError(f"a second difference needs 3 frames, got {len(clip)}")
    triples = zip(clip, clip[1:], clip[2:], strict=False)
    return float(np.mean([np.abs(a.astype(int) - 2 * b.astype(int) + c).mean() for a, b, c in triples]))


def colour_drift(clip: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> float:
    """Percent of the full range: how far the mean colour moves from the clip's first tenth to its last.

    The truth's own change is taken off; the colour that changes most counts.
    """
    require_alike(clip, truth)
    return float(np.abs(_colour_change(clip) - _colour_change(truth)).max() / FULL_RANGE * 100)


def _colour_change(clip: Sequence[np.ndarray]) -> np.ndarray:
    """(3,) levels."""
    first, last = ends(len(clip))
    means = [np.mean([frame.mean(axis=(0, 1)) for frame in clip[part]], axis=0) for part in (first, last)]
    return means[1] - means[0]


def error_drift(clip: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> float:
    """Levels of 255: how much more the root of the mean squared error is in the clip's last tenth than in its first.

    A driver who ends farther from the portrait than he began is harder to follow there: the still portrait's is larger.
    """
    require_alike(clip, truth)
    first, last = (mean_squared_error(clip[part], truth[part]) ** 0.5 for part in ends(len(clip)))
    return last - first


def ends(frames: int) -> tuple[slice, slice]:
    """The first tenth and the last tenth of so many frames, each of at least one."""
    count = max(1, round(_ENDS * frames))
    return slice(0, count), slice(frames - count, frames)
