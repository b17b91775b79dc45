"""Decoded sound to AAC, whatever its rate, its channels and its clock are.

AAC has a dozen rates, and players two channels: what comes is resampled and mixed to those, again where it changes on
the way. The encoder gets whole blocks, each with its own time, so that a pause in the source stays a pause.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from hp_trt.media.clock import SteadyClock

_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # of AAC, and of players
_BLOCK = 1024  # samples of a packet of AAC
_SLOPPY_S = Fraction(1, 50)  # how far a clock may be off before sound is moved
_SILENCE_S = 10  # a longer pause is none of samples: the next packet has its time


class SoundEncoder:
    """Sound of `rate` and `channels` as AAC in `output`, an open PyAV container. PyAV's errors pass through."""

    def __init__(self, output: Any, *, rate: int, channels: int) -> None:
        self._rate = next((known for known in _RATES if known >= rate), _RATES[-1])
        self._layout = "mono" if channels == 1 else "stereo"
        self.track = output.add_stream("aac", rate=self._rate, layout=self._layout)
        self._clock = SteadyClock(Fraction(_BLOCK, self._rate))
        self._kind: tuple[Any, ...] = ()  # of the frames that `_resampler` takes
        self._resampler: Any = None
        self._period_s: Fraction | None = None
        self._waiting = np.zeros((1 if channels == 1 else 2, 0), np.float32)
        self._at: int | None = None  # when the first that waits is heard, in samples

    def encode(self, frame: Any) -> Iterator[Any]:
        """The packets that `frame`, PyAV's, completes. Raises ValueError for channels that nobody can place."""
        time_s = None if frame.pts is None else Fraction(frame.pts) * frame.time_base
        time_s = self._clock.at(time_s, period_s=self._period_s)
        self._period_s = Fraction(frame.samples, frame.sample_rate)
        frame = placed(frame)
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if kind != self._kind:
            yield from self._drained()
            self._kind, self._resampler = kind, resampler(self._layout, self._rate)
        frame.pts, frame.time_base = round(time_s * frame.sample_rate), Fraction(1, frame.sample_rate)
        for part in self._resampler.resample(frame):
            yield from self._taken(part)

    def end(self) -> Iterator[Any]:
        """What is held back."""
        yield from self._drained()
        yield from self._blocks(padded=True)
        yield from self.track.encode(None)

    def _drained(self) -> Iterator[Any]:
        if self._resampler is not None:
            for part in self._resampler.resample(None):
                yield from self._taken(part)

    def _taken(self, part: Any) -> Iterator[Any]:
        """Join `part` to what waits, with silence between or without what is heard already."""
        samples = np.clip(np.nan_to_num(part.to_ndarray()), -1, 1)  # the encoder refuses what is no number
        begins = round(Fraction(part.pts) * part.time_base * self._rate)
        if self._at is None:
            self._at = begins
        ahead = begins - self._at - self._waiting.shape[1]
        if ahead > _SILENCE_S * self._rate:
            yield from self._blocks(padded=True)
            self._at = begins
        elif ahead > _SLOPPY_S * self._rate:
            samples = np.pad(samples, [(0, 0), (ahead, 0)])
        elif ahead < -_SLOPPY_S * self._rate:
            samples = samples[:, -ahead:]
        self._waiting = np.concatenate([self._waiting, samples], axis=1)
        yield from self._blocks()

    def _blocks(self, *, padded: bool = False) -> Iterator[Any]:
        import av

        assert self._at is not None or not self._waiting.size
        while self._waiting.shape[1] >= (1 if padded else _BLOCK):
            block, self._waiting = self._waiting[:, :_BLOCK], self._waiting[:, _BLOCK:]
            block = np.pad(block, [(0, 0), (0, _BLOCK - block.shape[1])])
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self._at, Fraction(1, self._rate)
            self._at = (self._at or 0) + _BLOCK
            yield from self.track.encode(frame)


def resampler(layout: str, rate: int) -> Any:
    from av.audio.resampler import AudioResampler

    return AudioResampler(format="fltp", layout=layout, rate=rate)


def placed(frame: Any) -> Any:
    """`frame`, with its channels where a mixer can find them: the mean of all where nobody says who they are.

    Raises ValueError where that cannot be read.
    """
    import av

    count = frame.layout.nb_channels
    if not frame.layout.name.startswith(("ambisonic", f"{count} channels")) or (
        frame.layout.name == f"{count} channels" and _has_usual_layout(count)
    ):
        return frame
    if frame.format.is_planar and count > 1:
        raise ValueError(f"its {count} channels have no known places")
    samples = frame.to_ndarray().reshape(-1, count)
    mean = samples.mean(axis=1, dtype=np.float64).astype(samples.dtype)[None]
    mixed = av.AudioFrame.from_ndarray(mean, format=frame.format.name, layout="mono")
    mixed.sample_rate, mixed.pts, mixed.time_base = frame.sample_rate, frame.pts, frame.time_base
    return mixed


def _has_usual_layout(count: int) -> bool:
    import av

    try:
        return bool(av.AudioLayout(f"{count}c").nb_channels)
    except ValueError:
        return False
