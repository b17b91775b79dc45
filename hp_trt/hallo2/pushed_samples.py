"""Samples that an application pushes while somebody speaks: any number at a time, cut into frames, 25 a second.

Not for two threads at once.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from engines.errors import InputError
from hp_trt.hallo2.resampling import Resampler
from hp_trt.hallo2.sound import HIGHEST_RATE, LOWEST_RATE, checked_samples, in_16_bits, levels_of
from hp_trt.interface import arguments
from runtime.hallo2.presets import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME

_FRAME_S = Fraction(1, FPS)


class PushedSamples:
    """What is left of the pushes so far, and the times of what comes. `notes`: what a user should know, a line each."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._left = np.zeros(0, np.float32)
        self._next_s: Fraction | None = None  # of the first sample of `_left`
        self._kind: tuple[int, int] | None = None  # rate and channels of what is pushed
        self._resampler: Resampler | None = None

    def frames(self, item: Any, pts_s: Fraction | None, *, what: str) -> list[tuple[np.ndarray, Fraction]]:
        """The frames that `item` fills, (640,) float32 in [-1, 1] each, with their times.

        `item`: samples (n,) or (n, channels), floats in [-1, 1] or int16, at 16 kHz, or a pair of them and their rate.
        `pts_s`: where they begin, on the driver's clock; None: right behind those before, the first at 0. Samples that
        are left of those before keep their place: times go on from them. Raises InputError, which begins with `what`.
        """
        samples, rate = item if isinstance(item, tuple) and len(item) == 2 else (item, SAMPLE_RATE)
        try:
            rate = arguments.whole("the rate", rate, least=LOWEST_RATE, most=HIGHEST_RATE)
            levels = levels_of(checked_samples(samples))
        except InputError as error:
            raise InputError(f"{what}: {error}") from error
        if pts_s is not None and (self._next_s is None or not len(self._left)):
            self._next_s = pts_s
        elif self._next_s is None:
            self._next_s = Fraction(0)
        made = [*self._ended(rate, len(levels)), self._taken(levels, rate)]
        self._left = np.concatenate([self._left, *(in_16_bits(part).mean(axis=0) for part in made)])
        return self._cut()

    def rest(self) -> list[tuple[np.ndarray, Fraction]]:
        """The last frame, filled with silence, where something is left."""
        if self._resampler is not None:
            self._left = np.concatenate([self._left, in_16_bits(self._resampler.end()).mean(axis=0)])
            self._resampler = self._kind = None
        if len(self._left):
            self._left = np.pad(self._left, (0, -len(self._left) % SAMPLES_PER_FRAME))
        return self._cut()

    def _taken(self, levels: np.ndarray, rate: int) -> np.ndarray:
        if self._resampler is None:
            self._kind = rate, len(levels)
            self._resampler = Resampler(source_rate=rate, rate=SAMPLE_RATE, channels=len(levels))
        return self._resampler.take(levels)

    def _ended(self, rate: int, channels: int) -> list[np.ndarray]:
        """What the resampler holds back of another kind of sound."""
        if self._resampler is None or self._kind == (rate, channels):
            return []
        held, self._resampler = [self._resampler.end()], None
        return held

    def _cut(self) -> list[tuple[np.ndarray, Fraction]]:
        count, frames = len(self._left) // SAMPLES_PER_FRAME, []
        for number in range(count):
            assert self._next_s is not None
            start = number * SAMPLES_PER_FRAME
            frames.append((self._left[start : start + SAMPLES_PER_FRAME].astype(np.float32), self._next_s))
            self._next_s += _FRAME_S
        self._left = self._left[count * SAMPLES_PER_FRAME :].copy()
        return frames
