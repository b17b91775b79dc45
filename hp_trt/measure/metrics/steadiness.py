"""What a clip must not do by itself: flicker, and change its colours as it goes on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hp_trt.measure.metrics.fidelity import FULL_RANGE, require_alike

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
    count = max(1, round(_ENDS * len(clip)))
    means = [np.mean([frame.mean(axis=(0, 1)) for frame in part], axis=0) for part in (clip[:count], clip[-count:])]
    return means[1] - means[0]
