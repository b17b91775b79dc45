"""One animated picture whose turn it is, with the sound that belongs to it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What every viewer of a session gets."""

    picture: np.ndarray  # (H, W, 3) uint8 RGB
    jpeg: bytes | None  # the same, where a viewer that wants it was there in time
    sequence: int  # counts what was animated
    time_us: int  # of its driving frame, as its driver said it
    arrived_s: float  # when that came, on the monotonic clock
    sound: np.ndarray | None = None  # (n,) int16, one channel, up to this picture's end
    sound_us: int = 0  # of its first sample, on the driver's clock
    sound_hz: int = 0

    def latency_us(self) -> int:
        """From when its driving frame came until now."""
        return max(0, round((time.monotonic() - self.arrived_s) * 1e6))
