"""Sound at any rate, with holes and overlaps, to one unbroken sound at a rate of ours, block by block.

FFmpeg's resampler keeps every sample where it was, but for its ends; here it gives exactly as many samples as the time
takes that went in. Blocks are (c, n) float32, channels first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

from hp_trt.media.sound_encoder import resampler

SLOPPY_S = Fraction(1, 50)  # how far a clock may be off before sound is moved: half a frame
_SILENCE = 1 << 20  # samples of silence that are made at a time
_AT_ONCE = 1 << 15  # samples that are resampled at a time


class Resampler:
    """From `source_rate` to `rate`, one or two channels. What is fed gives, in all, the time it takes, rounded up."""

    def __init__(self, *, source_rate: int, rate: int, channels: int) -> None:
        self._source_rate, self._rate = source_rate, rate
        self._layout = "mono" if channels == 1 else "stereo"
        self._resampler = None if source_rate == rate else resampler(self._layout, rate)
        self._nothing = np.zeros((channels, 0), np.float32)
        self._waiting = [self._nothing]  # decoders give some hundred samples at a time, and each call costs
        self._taken = 0
        self.fed = self.given = 0

    def take(self, samples: np.ndarray) -> np.ndarray:
        """What can be given so far of the sound up to and with `samples` (c, n) float32."""
        self._waiting.append(samples)
        self.fed += samples.shape[1]
        return self._resampled() if self.fed - self._taken >= _AT_ONCE else self._nothing

    def end(self) -> np.ndarray:
        """The rest. Nothing may be fed behind it."""
        rest = self._resampled()
        if self._resampler is not None and self.fed:
            missing = -(-self.fed * self._rate // self._source_rate) - self.given
            tail = np.concatenate([self._nothing, *(f.to_ndarray() for f in self._resampler.resample(None))], axis=1)
            tail = np.pad(tail[:, :missing], [(0, 0), (0, max(missing - tail.shape[1], 0))])
            self.given += missing
            rest = np.concatenate([rest, tail], axis=1)
        return rest

    def _resampled(self) -> np.ndarray:
        """What waits."""
        import av

        samples = np.concatenate(self._waiting, axis=1)
        self._waiting = [self._nothing]
        if self._resampler is not None and samples.size:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts, frame.time_base = (
                self._source_rate,
                self._taken,
                Fraction(1, self._source_rate),
            )
            parts = (found.to_ndarray() for found in self._resampler.resample(frame))
            samples = np.concatenate([self._nothing, *parts], axis=1)
        self._taken = self.fed
        self.given += samples.shape[1]
        return samples


class Timeline:
    """Blocks put where their times say, from time 0 on: silence where there are none, and what overlaps is left out.

    Channels are one or two, and may change, as the rate may.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._begun = 0  # samples before what `_resampler` gives
        self._kind = (0, 0)
        self._resampler: Resampler | None = None

    def take(self, samples: np.ndarray, *, source_rate: int, time_s: Fraction) -> Iterator[np.ndarray]:
        """What `samples` (c, n) that begin at `time_s` complete."""
        heard_s = Fraction(self._begun, self._rate)
        if self._resampler is not None:
            heard_s += Fraction(self._resampler.fed, self._kind[0])
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
        given = self._resampler.take(samples)
        if given.size:
            yield given

    def end(self) -> Iterator[np.ndarray]:
        """What is held back."""
        if self._resampler is not None:
            yield self._resampler.end()
            self._begun += self._resampler.given
            self._resampler = None

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
