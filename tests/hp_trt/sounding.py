"""Clips with a flash and a click at a known time, of any codec, rate, channels and clock; and when they come back."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FPS = 20


def clip_with_click(
    path: Path,
    *,
    codec: str = "pcm_s16le",
    hz: int = 44100,
    layout: str = "mono",
    pictures_s: float = 0,
    sound_s: float = 0,
    click_s: float = 1,
    seconds: float = 2,
    video: str = "libx264",
    container: str | None = None,
    bit_rate: int = 0,
) -> Path:
    """Pictures from `pictures_s` on, sound from `sound_s` on, which is silent but for a tenth of a second at `click_s`.

    `click_s` is on the file's clock, like the others.
    """
    with av.open(str(path), "w", format=container) as output:
        pictures = output.add_stream(video, rate=FPS, options={"bf": "0"})
        pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "yuv420p"
        sound = output.add_stream(codec, rate=hz, layout=layout, options={"strict": "-2"})
        if bit_rate:
            sound.bit_rate = bit_rate
        for number in range(round(seconds * FPS)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 20 + 4 * (number % 40), np.uint8))
            frame.pts, frame.time_base = round(pictures_s * FPS) + number, Fraction(1, FPS)
            output.mux(pictures.encode(frame))
        times = np.arange(round(seconds * hz)) / hz + sound_s
        wave = np.where((times >= click_s) & (times < click_s + 0.1), np.sin(2 * np.pi * 1000 * times), 0)
        channels = av.AudioLayout(layout).nb_channels
        for start in range(0, len(wave), 1024):
            part = np.repeat((wave[start : start + 1024] * 0.8 * 32767).astype(np.int16), channels)[None]
            block = av.AudioFrame.from_ndarray(part, format="s16", layout=layout)
            block.sample_rate, block.pts, block.time_base = hz, round(sound_s * hz) + start, Fraction(1, hz)
            output.mux(sound.encode(block))
        output.mux(sound.encode(None))
        output.mux(pictures.encode(None))
    return path


def _first_channel(frame: av.AudioFrame) -> av.AudioFrame:
    first = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)[None, :, 0]
    alone = av.AudioFrame.from_ndarray(np.ascontiguousarray(first), format=frame.format.name, layout="mono")
    alone.sample_rate, alone.pts, alone.time_base = frame.sample_rate, frame.pts, frame.time_base
    return alone


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a player meets: times in seconds on the file's clock."""

    pictures_s: list[float]
    codec: str | None
    hz: int | None
    channels: int | None
    clicks_s: list[float]  # when it becomes loud
    ends_s: float | None


def heard(path: Path) -> Heard:
    """All of `path`, decoded by FFmpeg alone."""
    with av.open(str(path)) as file:
        pictures = [float(frame.pts * frame.time_base) for frame in file.decode(video=0) if frame.pts is not None]
    with av.open(str(path)) as file:
        if not file.streams.audio:
            return Heard(pictures_s=pictures, codec=None, hz=None, channels=None, clicks_s=[], ends_s=None)
        stream, clicks, loud_s, ends = file.streams.audio[0], [], -1.0, None
        mixer, kind = None, None
        for frame in file.decode(stream):
            if frame.pts is None:
                continue
            start_s = float(frame.pts * frame.time_base)
            ends = start_s + frame.samples / frame.sample_rate
            count = frame.layout.nb_channels
            if frame.layout.name == f"{count} channels":  # which FFmpeg cannot mix
                frame = _first_channel(frame)
            if kind != (frame.format.name, frame.layout.name, frame.sample_rate):  # it may change on the way
                kind = (frame.format.name, frame.layout.name, frame.sample_rate)
                mixer = av.AudioResampler(format="fltp", layout="mono", rate=frame.sample_rate)
            levels = np.concatenate([part.to_ndarray()[0] for part in mixer.resample(frame)] or [np.zeros(0)])
            for index in np.flatnonzero(np.abs(levels) > 0.1):
                at_s = start_s + index / frame.sample_rate
                if at_s - loud_s > 0.2:
                    clicks.append(at_s)
                loud_s = at_s
        return Heard(
            pictures_s=pictures,
            codec=stream.codec_context.codec.canonical_name,
            hz=stream.rate,
            channels=stream.channels,
            clicks_s=clicks,
            ends_s=ends,
        )
