"""Small videos of every awkward kind, made with PyAV; and what a file holds, read packet by packet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def picture(number: int, width: int = 64, height: int = 48) -> np.ndarray:
    """A smooth ramp whose brightness tells which frame it is (survives H.264)."""
    ramp = np.linspace(0, 40, width)[None, :, None] + 20 + 12 * (number % 16)
    return np.broadcast_to(ramp, (height, width, 3)).astype(np.uint8)


def tone(seconds: float, rate: int = 44100) -> np.ndarray:
    return (0.3 * np.sin(np.arange(round(seconds * rate)) / rate * 2 * np.pi * 440)).astype(np.float32)[None]


def make_clip(
    path: Path,
    count: int,
    *,
    rate: Fraction | int = 25,
    size: tuple[int, int] = (64, 48),
    ticks: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 1000),
    rotation: int = 0,
    audio: str | None = None,
    audio_s: float | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
) -> Path:
    """`count` numbered pictures; `ticks` sets each frame's time on `time_base` instead of the rate's."""
    with av.open(str(path), "w", options=options or {}) as output:
        video = output.add_stream(codec, rate=Fraction(rate))
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        if ticks:
            video.codec_context.time_base = time_base
        if rotation:
            video.set_display_rotation(rotation)
        hz = 48000 if audio == "libopus" else 44100
        sound = output.add_stream(audio, rate=hz, layout="mono") if audio else None
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(picture(number, *size), format="rgb24")
            if ticks:
                frame.pts, frame.time_base = ticks[number], time_base
            output.mux(video.encode(frame))
        if sound is not None:
            samples = tone(audio_s if audio_s is not None else float(count / Fraction(rate)), hz)
            if audio.startswith("pcm"):
                samples = (samples * 32767).astype(np.int16)
            for start in range(0, samples.shape[1], 1024):
                part = np.ascontiguousarray(samples[:, start : start + 1024])
                block = av.AudioFrame.from_ndarray(
                    part, format="fltp" if part.dtype == np.float32 else "s16", layout="mono"
                )
                block.sample_rate, block.pts, block.time_base = hz, start, Fraction(1, hz)
                output.mux(sound.encode(block))
            output.mux(sound.encode(None))
        if count:
            output.mux(video.encode(None))
    return path


def make_sound(path: Path) -> Path:
    with av.open(str(path), "w") as output:
        sound = output.add_stream("aac", rate=44100, layout="mono")
        block = av.AudioFrame.from_ndarray(tone(0.02)[:, :1024], format="fltp", layout="mono")
        block.sample_rate = 44100
        output.mux(sound.encode(block))
        output.mux(sound.encode(None))
    return path


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is in a file, by another path than ours: packets, not our reader."""

    size: tuple[int, int]
    rate: Fraction
    codec: str
    pixel_format: str
    times_s: list[Fraction]  # of the pictures, in order
    sound: list[bytes]
    sound_codec: str | None
    sound_s: float


def contents(path: Path) -> Contents:
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        times = sorted(p.pts * p.time_base for p in file.demux(video) if p.pts is not None)
        size, rate = (video.width, video.height), video.average_rate
        codec, pixels = video.codec_context.name, video.pix_fmt
    with av.open(str(path)) as file:
        track = file.streams.audio[0] if file.streams.audio else None
        packets = [p for p in file.demux(track) if p.dts is not None] if track else []
        return Contents(
            size=size,
            rate=rate,
            codec=codec,
            pixel_format=pixels,
            times_s=times,
            sound=[bytes(p) for p in packets],
            sound_codec=track.codec_context.name if track else None,
            sound_s=float(sum(p.duration * p.time_base for p in packets)),
        )


def two_of_each(path: Path, *, own: int) -> Path:
    """Two tracks of pictures, dark and light, and two of sound, clicks at 0.5 s and 1 s; `own` is the default."""
    from av.stream import Disposition

    with av.open(str(path), "w") as output:
        pictures = [output.add_stream("libx264", rate=20) for _ in range(2)]
        sounds = [output.add_stream("aac", rate=44100, layout="mono") for _ in range(2)]
        for stream in pictures:
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for number in range(2):
            said = Disposition.default if number == own else Disposition(0)
            pictures[number].disposition = sounds[number].disposition = said
        for index in range(40):
            for stream, level in zip(pictures, (40, 200), strict=True):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8))
                frame.pts, frame.time_base = index, Fraction(1, 20)
                output.mux(stream.encode(frame))
        wave = np.sin(np.arange(4410) / 44100 * 2 * np.pi * 1000) * 0.8
        for stream, begins_s in zip(sounds, (0.5, 1.0), strict=True):
            samples = np.zeros((1, 2 * 44100), np.float32)
            samples[0, round(begins_s * 44100) :][:4410] = wave
            for start in range(0, samples.shape[1], 1024):
                part = np.ascontiguousarray(samples[:, start : start + 1024])
                block = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                block.sample_rate, block.pts, block.time_base = 44100, start, Fraction(1, 44100)
                output.mux(stream.encode(block))
            output.mux(stream.encode(None))
        for stream in pictures:
            output.mux(stream.encode(None))
    return path
