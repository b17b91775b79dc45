"""Samples that an application pushes while somebody speaks: any number at a time, cut into frames, 25 a second.

A frame's tokens hear two frames behind it, so a frame is given when these have come, or when there will be no more.
For any thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from engines.errors import InputError
from hp_trt.hallo2.resampling import SLOPPY_S, Resampler
from hp_trt.hallo2.sound import checked_samples, in_16_bits, levels_of
from hp_trt.interface import arguments
from hp_trt.media.sound_file import HIGHEST_RATE, LOWEST_RATE
from runtime.hallo2.presets import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME
from runtime.hallo2.speech import RADIUS

_FRAME_S = Fraction(1, FPS)


@dataclass(frozen=True)
class SpokenFrame:
    """A 25th of a second of sound, and what is heard right behind it."""

    samples: np.ndarray  # (640,) float32 in [-1, 1]
    ahead: np.ndarray  # (n,), two frames at most


class PushedSamples:
    """What was pushed and has not left, and the times of what comes.

    Samples follow each other without a gap, as long as their times say no more than a clock's slips; where they begin
    later, silence fills the frame before, and the next frame is at their time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = np.zeros(0, np.float32)  # less than a frame
        self._next_s = Fraction(0)  # of the first sample of `_left`
        self._end_s: Fraction | None = None  # right behind what was pushed; None: nothing was
        self._kind: tuple[int, int] | None = None  # rate and channels of what is pushed
        self._resampler: Resampler | None = None
        self._waiting: deque[tuple[np.ndarray, Fraction]] = deque()  # frames, until what is behind them is heard

    def push(self, item: Any, pts_s: Fraction | None, *, what: str) -> list[tuple[SpokenFrame, Fraction]]:
        """The frames that can leave, with their times.

        `item`: samples (n,) or (n, channels), floats in [-1, 1] or int16, at 16 kHz, or a pair of them and their rate;
        none of them are fine. `pts_s`: where they begin, on the driver's clock; None: right behind those before, the
        first at 0. Raises InputError, which begins with `what`, for what is no sound and for a time before the end of
        what came before; nothing of it is kept then.
        """
        samples, rate = item if isinstance(item, tuple) and len(item) == 2 else (item, SAMPLE_RATE)
        if isinstance(samples, np.ndarray) and not samples.size and samples.ndim in (1, 2):
            return []  # a callback of a sound card may have none
        try:
            rate = arguments.whole("the rate", rate, least=LOWEST_RATE, most=HIGHEST_RATE)
            levels = levels_of(checked_samples(samples))
        except InputError as error:
            raise InputError(f"{what}: {error}") from error
        with self._lock:
            self._place(pts_s, what)
            assert self._end_s is not None
            self._end_s += Fraction(levels.shape[1], rate)
            if self._kind != (rate, len(levels)):
                self._end_resampling()
            self._gather(self._taken(levels, rate))
            return list(self._heard(RADIUS))

    def rest(self) -> list[tuple[SpokenFrame, Fraction]]:
        """All that is left, the last frame filled with silence."""
        with self._lock:
            self._fill()
            return list(self._heard(0))

    def _place(self, pts_s: Fraction | None, what: str) -> None:
        """Where the next samples begin."""
        if self._end_s is None:
            self._next_s = self._end_s = Fraction(0) if pts_s is None else pts_s
        elif pts_s is not None and pts_s < self._end_s - SLOPPY_S:
            raise InputError(
                f"{what} at {float(pts_s):.3f} s begins before the end of the samples that came before, which is at "
                f"{float(self._end_s):.3f} s; times must increase: start another session where a source jumps back"
            )
        elif pts_s is not None and pts_s > self._end_s + SLOPPY_S:
            self._fill()
            self._next_s = self._end_s = pts_s

    def _taken(self, levels: np.ndarray, rate: int) -> np.ndarray:
        if self._resampler is None:
            self._kind = rate, len(levels)
            self._resampler = Resampler(source_rate=rate, rate=SAMPLE_RATE, channels=len(levels))
        return self._resampler.take(levels)

    def _fill(self) -> None:
        """Silence up to a whole frame, where something is left."""
        self._end_resampling()
        self._gather(np.zeros((1, -len(self._left) % SAMPLES_PER_FRAME), np.float32))

    def _end_resampling(self) -> None:
        """What the resampler holds back: behind it comes another kind of sound, or none."""
        if self._resampler is not None:
            held, self._resampler, self._kind = self._resampler.end(), None, None
            self._gather(held)

    def _gather(self, levels: np.ndarray) -> None:
        """Cut what there is into frames, as far as they are full."""
        heard = np.concatenate([self._left, in_16_bits(levels).mean(axis=0).astype(np.float32)])
        whole = len(heard) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
        for start in range(0, whole, SAMPLES_PER_FRAME):
            self._waiting.append((heard[start : start + SAMPLES_PER_FRAME], self._next_s))
            self._next_s += _FRAME_S
        self._left = heard[whole:].copy()

    def _heard(self, behind: int) -> Iterator[tuple[SpokenFrame, Fraction]]:
        """Frames behind which so many others wait."""
        while len(self._waiting) > behind:
            samples, pts_s = self._waiting.popleft()
            next_ones = [waiting for waiting, _ in list(self._waiting)[:RADIUS]]
            yield SpokenFrame(samples, np.concatenate(next_ones) if next_ones else samples[:0]), pts_s
