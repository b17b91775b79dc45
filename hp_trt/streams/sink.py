"""What a sink is: where animated frames go.

A sink is planned before the long work, which refuses what cannot be, opened when the picture's size is known, and
closed however the run ends: what came until then is then complete and playable. All by one thread, which for
a display is the main one.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from hp_trt.media.seal import Seal
from hp_trt.streams.sound import WaitingSound


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a sink has to know when it is opened."""

    width: int
    height: int
    rate: Fraction  # pictures per second, as far as the source knows
    sound: Any = None  # PyAV's stream; its packets wait in `waiting`
    waiting: WaitingSound | None = None


class Sink(Protocol):
    """`write` raises OutputError, or BrokenPipeError when the reader of standard output went away."""

    name: str
    hears: bool  # whether it has use for sound
    notes: list[str]
    seal: Seal | None  # given before it is opened: what is written is marked, and a file sealed; None: as it is

    def open(self, shape: Shape) -> None: ...

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        """(H, W, 3) uint8 RGB, at `time_s` on the source's clock, which increases."""

    def watched(self) -> bool:
        """Called often. False: whoever looked has closed it."""

    def close(self) -> None:
        """Complete it. Never opened, opened without a frame, closed already: nothing happens, and nothing is left."""


class NullSink:
    """Takes everything and keeps nothing: for benchmarks."""

    name, hears = "nowhere", False

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.seal: Seal | None = None

    def open(self, shape: Shape) -> None:
        return

    def write(self, image: np.ndarray, time_s: Fraction) -> None:
        return

    def watched(self) -> bool:
        return True

    def close(self) -> None:
        return
