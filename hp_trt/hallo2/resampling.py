"""Sound at any rate, with holes and overlaps, to one unbroken sound at a rate of ours, block by block.

FFmpeg's resampler keeps every sample where it was, but for its ends; here it gives exactly as many samples as the time
takes that went in. Blocks are (c, n) float32, channels first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from hp_trt.media.sound_encoder import resampler

SLOPPY_S = Fraction(1, 50)  # how far a clock may be off before sound is moved: half a frame
_SILENCE = 1 << 20  # samples of silence that are made at a time
_AT_ONCE = 1 << 15  # samples of a file that are resampled at a time


class Resampler:
    """From `source_rate` to `rate`, one or two channels. What is fed gives, in all, the time it takes, rounded up."""

    def __init__(self, *, source_rate: int, rate: int, channels: int) -> None:
        self._source_rate, self._rate = source_rate, rate
        self._layout = "mono" if channels == 1 else "stereo"
        self._resampler = None if source_rate == rate else resampler(self._layout, rate)
        self._nothing = np.zeros((channels, 0), np.float32)
        self.fed = self.given = 0

    def take(self, samples: np.ndarray) -> np.ndarray:
        """What can be given so far of the sound up to and with `samples` (c, n) float32: all but some milliseconds."""
        import av

        start, self.fed = self.fed, self.fed + samples.shape[1]
        if self._resampler is not None and samples.size:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts, frame.time_base = self._source_rate, start, Fraction(1, self._source_rate)
            samples = self._joined(self._resampler.resample(frame))
        self.given += samples.shape[1]
        return samples

    def end(self) -> np.ndarray:
        """The rest. Nothing may be fed behind it."""
        if self._resampler is None or not self.fed:
            return self._nothing
        missing = max(-(-self.fed * self._rate // self._source_rate) - self.given, 0)
        rest = self._joined(self._resampler.resample(None))[:, :missing]
        self.given += missing
        return np.pad(rest, [(0, 0), (0, missing - rest.shape[1])])

    def _joined(self, frames: Iterable[Any]) -> np.ndarray:
        return np.concatenate([self._nothing, *(frame.to_ndarray() for frame in frames)], axis=1)


class Timeline:
    """Blocks put where their times say, from time 0 on: silence where there are none, and what overlaps is left out.

    Channels are one or two, and may change, as the rate may.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._begun = 0  # samples before what `_resampler` gives
        self._kind = (0, 0)
        self._resampler: Resampler | None = None
        self._waiting: list[np.ndarray] = []  # decoders give some hundred samples at a time, and each call costs
        self._held = 0

    def take(self, samples: np.ndarray, *, source_rate: int, time_s: Fraction) -> Iterator[np.ndarray]:
        """What `samples` (c, n) that begin at `time_s` complete."""
        heard_s = Fraction(self._begun, self._rate)
        if self._resampler is not None:
            heard_s += Fraction(self._resampler.fed + self._held, self._kind[0])
        ahead_s = time_s - heard_s
        if abs(ahead_s) <= (SLOPPY_S if heard_s else 0):
            ahead_s = Fraction(0)
        if ahead_s < 0:
            samples = samples[:, round(-ahead_s * source_rate) :]
            if not samples.shape[1]:
                return
        if ahead_s > 0:
            yield from self.end()
            yield from self._silence(round(time_s * self._rate) - self._begun, len(samples))
        elif self._kind != (source_rate, len(samples)):
            yield from self.end()
        if self._resampler is None:
            self._kind = (source_rate, len(samples))
            self._resampler = Resampler(source_rate=source_rate, rate=self._rate, channels=len(samples))
        self._waiting.append(samples)
        self._held += samples.shape[1]
        if self._held >= _AT_ONCE:
            yield self._given(self._resampler)

    def end(self) -> Iterator[np.ndarray]:
        """What is held back."""
        if self._resampler is not None:
            if self._held:
                yield self._given(self._resampler)
            yield self._resampler.end()
            self._begun += self._resampler.given
            self._resampler = None

    def _given(self, resampler: Resampler) -> np.ndarray:
        samples = np.concatenate(self._waiting, axis=1)
        self._waiting, self._held = [], 0
        return resampler.take(samples)

    def _silence(self, samples: int, channels: int) -> Iterator[np.ndarray]:
        while samples > 0:
            part = np.zeros((channels, min(samples, _SILENCE)), np.float32)
            self._begun += part.shape[1]
            samples -= part.shape[1]
            yield part


def pieces(parts: Iterable[np.ndarray], samples: int) -> Iterator[np.ndarray]:
    """`parts` (..., n) put together and cut anew: `samples` a piece along the last axis, the last one what is left."""
    waiting: list[np.ndarray] = []
    room = samples
    for part in parts:
        while part.shape[-1]:
            taken, part = part[..., :room], part[..., room:]
            waiting.append(taken)
            room -= taken.shape[-1]
            if not room:
                yield np.concatenate(waiting, axis=-1)
                waiting, room = [], samples
    if waiting:
        yield np.concatenate(waiting, axis=-1)
