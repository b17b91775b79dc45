"""What becomes of a video that is made clip by clip, each from the last frames of the one before: errors may add up.

Clips have `size` frames and are counted from 1. A number at clip k is of the ten clips up to k, or of all where there
are fewer: one clip is too short to say much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hp_trt.measure.metrics.fidelity import FULL_RANGE, require_alike
from hp_trt.measure.metrics.following import correlations
from hp_trt.measure.metrics.seams import seam_ratio

LOOKED_AT = (1, 10, 50)
_REACH = 10  # clips


def looked_at(frames: int, size: int) -> tuple[int, ...]:
    """Those of LOOKED_AT that a video of so many frames has whole; none where it ends before the tenth."""
    found = tuple(number for number in LOOKED_AT if number * size <= frames)
    return found if len(found) > 1 else ()


def correlation_at(number: int, track: np.ndarray, truth: np.ndarray, *, size: int, least_std: float) -> float | None:
    """Of tracks (N,), one number a frame; None where the truth moves there by no more than `least_std`."""
    part = _up_to(number, size)
    if not truth[part].std() > least_std:
        return None
    return correlations(track[part, None], truth[part, None]).item()


def colour_drift_at(number: int, clip: Sequence[np.ndarray], truth: Sequence[np.ndarray], *, size: int) -> float:
    """Percent of the full range: how far clip `number`'s mean colour is from the first clip's, less the truth's change.

    The colour that changes most counts.
    """
    require_alike(clip, truth)

    def change(frames: Sequence[np.ndarray]) -> np.ndarray:
        first, last = (_colour(frames[(k - 1) * size : k * size]) for k in (1, number))
        return last - first

    return float(np.abs(change(clip) - change(truth)).max() / FULL_RANGE * 100)


def seam_at(number: int, clip: Sequence[np.ndarray], truth: Sequence[np.ndarray], *, size: int) -> float | None:
    """`seams.seam_ratio` of the borders between clips; None where there is none, or the truth stands still."""
    part = _up_to(number, size)
    borders = range(size, part.stop - part.start, size)
    return seam_ratio(clip[part], truth[part], borders, bursts=True) if borders else None


def _up_to(number: int, size: int) -> slice:
    return slice(max(number - _REACH, 0) * size, number * size)


def _colour(frames: Sequence[np.ndarray]) -> np.ndarray:
    """(3,) levels."""
    return np.mean([frame.mean(axis=(0, 1)) for frame in frames], axis=0)
