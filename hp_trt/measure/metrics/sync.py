"""How well a mouth and a sound go together by two networks that put both into one space: Sync-C and Sync-D.

Each network gives a vector (D,) for every window of five frames, that of the pictures and that of the 0.2 s of sound
with them. Sync-D is the smallest mean distance of pictures from sounds over lags of -15 to 15 frames, and Sync-C how
far that is below the median over these lags: 0 where no lag fits better than others.

Source: Chung and Zisserman, "Out of time: automated lip sync in the wild", 2016; as talking heads are compared since
Prajwal et al., "A lip sync expert is all you need", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hp_trt.measure.metrics.mouth import MOST_LAG

WINDOW = 5  # frames, 0.2 s


@dataclass(frozen=True, kw_only=True)
class Sync:
    """Of one clip."""

    confidence: float  # Sync-C, higher is better
    distance: float  # Sync-D, lower is better
    lag: int  # where it is smallest, in frames; positive: the mouth is late


def sync_of(pictures: np.ndarray, sounds: np.ndarray, *, most: int = MOST_LAG, zeros_beyond: bool = False) -> Sync:
    """Of vectors (T, D) of pictures and of sounds, window by window, T at least 2.

    `zeros_beyond`: windows that a lag pushes beyond the ends are compared with zeros, as the published program does;
    otherwise they are left out, and short clips know short lags alone.
    """
    if not zeros_beyond:
        most = min(most, len(pictures) // 2)
    lags = range(-most, most + 1)
    distances = np.array([mean_distance(pictures, sounds, lag, zeros_beyond=zeros_beyond) for lag in lags])
    best = int(distances.argmin())
    return Sync(
        confidence=float(np.median(distances) - distances[best]), distance=float(distances[best]), lag=lags[best]
    )


def mean_distance(pictures: np.ndarray, sounds: np.ndarray, lag: int, *, zeros_beyond: bool = False) -> float:
    """Of (T, D) vectors, each picture from the sound of `lag` windows before it."""
    count = len(pictures)
    if zeros_beyond:
        padded = np.pad(sounds, ((abs(lag), abs(lag)), (0, 0)))
        return float(np.linalg.norm(pictures - padded[abs(lag) - lag :][:count], axis=1).mean())
    late, early = pictures[max(lag, 0) : count + min(lag, 0)], sounds[max(-lag, 0) : count - max(lag, 0)]
    return float(np.linalg.norm(late - early, axis=1).mean())
