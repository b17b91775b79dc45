"""Whether a mouth says what is said: how each of its four parameters follows, how late it is, and by how much it errs.

A track is one number a frame, as in `following`. A lag is positive where the mouth is late.
"""

from __future__ import annotations

import numpy as np

from hp_trt.measure.metrics.following import correlations

MOST_LAG = 15  # frames, either way


def best_lag(track: np.ndarray, truth: np.ndarray, *, most: int = MOST_LAG) -> int | None:
    """By how many frames `track` (N,) is late: where its correlation with `truth` (N,) is highest; of equals the least.

    A lag leaves at least half of the frames to compare, so short clips know short lags alone. None where one of both
    stands still.
    """
    frames = len(track)
    if frames < 4 or not _moves(track) or not _moves(truth):
        return None
    found = {}
    for lag in sorted(range(-min(most, frames // 2), min(most, frames // 2) + 1), key=abs):
        late, true = track[max(lag, 0) : frames + min(lag, 0)], truth[max(-lag, 0) : frames - max(lag, 0)]
        if _moves(true):
            found[lag] = round(correlations(late[:, None], true[:, None]).item(), 9)  # equal to rounding is equal
    return max(found, key=lambda lag: found[lag]) if found else None


def _moves(track: np.ndarray) -> bool:
    """By more than rounding."""
    return bool(track.std() > 1e-6 * max(float(np.abs(track).max()), 1e-6))
