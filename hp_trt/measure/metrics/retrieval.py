"""Whether an animated clip still shows its own identity: among true clips of many, its own is the nearest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from hp_trt.measure.metrics.fidelity import mean_squared_error


def nearest(clip: Sequence[np.ndarray], candidates: Iterable[Sequence[np.ndarray]]) -> int:
    """Which candidate's frames differ least from `clip`'s by mean squared error, from 0; of equals the first."""
    return int(np.argmin([mean_squared_error(clip, candidate) for candidate in candidates]))
