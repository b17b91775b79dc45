"""Sound that waits for its pictures: a microphone beside a camera comes back as late as the faces do.

What is put in has a time on the driver's clock; with each picture everything up to its end is taken. Bounded: of more
than `most_s` the oldest goes. For one thread.
"""

from __future__ import annotations

from collections import deque
from fractions import Fraction

import numpy as np

_OLD_S = Fraction(1, 5)  # so much before the first picture is still heard
_SLOPPY_S = Fraction(1, 10)
_LONGEST_PAUSE_S = 5


class SoundBeside:
    """Samples of one channel, int16, with their times."""

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._pieces: deque[tuple[Fraction, np.ndarray]] = deque()
        self._samples = 0
        self.hz = 0
        self.dropped = 0  # pieces
        self._begun = False

    def put(self, samples: np.ndarray, hz: int, time_s: Fraction) -> None:
        """(n,) int16 that begin at `time_s`; at another rate than those before, which are forgotten then."""
        if hz != self.hz:
            self._forget(len(self._pieces))
            self.hz = hz
        self._pieces.append((time_s, samples))
        self._samples += len(samples)
        while self._samples > self._most_s * hz and len(self._pieces) > 1:
            self._forget(1)
            self.dropped += 1

    def until(self, time_s: Fraction) -> tuple[np.ndarray, Fraction] | None:
        """All whole pieces that begin before `time_s`, and where the first begins. None: there is none."""
        if not self._begun:
            self._begun = True
            while self._pieces and self._pieces[0][0] < time_s - _OLD_S:
                self._forget(1)
        taken = []
        begins_s = self._pieces[0][0] if self._pieces else Fraction(0)
        while self._pieces and self._pieces[0][0] < time_s:
            taken.append(self._pieces[0][1])
            self._forget(1)
        return (np.concatenate(taken), begins_s) if taken else None

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._samples -= len(self._pieces.popleft()[1])


class SoundClock:
    """Where pieces of sound begin: right behind those before, but for gaps that their times leave.

    Times of a browser are a few milliseconds off, and would cut words. What goes back, or ahead by more than a pause,
    is another clock, and is closed: `moved_s` is what was added to the driver's times so far.
    """

    def __init__(self) -> None:
        self.moved_s = Fraction(0)
        self._end_s: Fraction | None = None

    def at(self, time_s: Fraction, length_s: Fraction) -> Fraction:
        """The beginning of a piece that the driver says to be at `time_s`."""
        begins_s = time_s + self.moved_s
        if self._end_s is not None:
            ahead_s = begins_s - self._end_s
            if not 0 <= ahead_s <= _LONGEST_PAUSE_S and abs(ahead_s) > _SLOPPY_S:
                self.moved_s -= ahead_s
            if not _SLOPPY_S < ahead_s <= _LONGEST_PAUSE_S:
                begins_s = self._end_s
        self._end_s = begins_s + length_s
        return begins_s
