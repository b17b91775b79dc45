"""Where speech that moves a portrait comes from: a microphone, a file, a stream, standard input.

As a source of driving frames (`hp_trt.streams.sources`), but what is read are samples, and beside them the packets that
they came in, for whoever keeps the sound. A packet is decoded once: its frames wait with it. Samples follow each other
as the source's clock says; where it leaves a gap there is none of them, and no two are at one time.

A microphone is one of ALSA's. None was there to try it with.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import InputError
from engines.foreign import foreign
from hp_trt.encoded.encoded_file import is_encoded
from hp_trt.media.clock import SteadyClock
from hp_trt.media.opening import open_stream
from hp_trt.media.sound_file import ADVICE, HIGHEST_RATE, LOWEST_RATE, open_sound, sound_stream
from hp_trt.media.video import sound_notes
from hp_trt.streams.pipes import PipeReader
from hp_trt.streams.sources import STDIN, SoundPacket, Source, demuxed, is_url, local_file, without_password

_FRAMES_A_SECOND = Fraction(25)  # of what speech makes
_MICROPHONE = re.compile(r"mic:(.*)")
_CAPTURE = re.compile(r"pcmC(\d+)D\d+c$")  # of /dev/snd: what a card records
_FILE = "file://"
_SLOPPY_S = Fraction(1, 50)  # how far a clock may be off before sound is moved
_MOST_CHANNELS = 2  # more are mixed


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Some samples of the source."""

    samples: np.ndarray  # (n, 1 or 2) float32 in [-1, 1]
    rate: int
    time_s: Fraction  # on the source's clock; never before the end of those before


def open_speech(what: str, *, sound: bool, timeout_s: float, stop: threading.Event, playlist: bool = False) -> Source:
    """`what`: mic:0, a URL, - for standard input, or a file. `sound`: whether anyone will keep it.

    Otherwise as `hp_trt.streams.sources.open_source`.
    """
    microphone = _MICROPHONE.fullmatch(what)
    if microphone:
        container, name = _open_microphone(microphone[1])
        return SpeechSource(container, name, sound=sound, timeout_s=timeout_s, recorded=False)
    if what == STDIN:
        return _open_stdin(sound=sound, timeout_s=timeout_s, stop=stop)
    if is_url(what) and not what.lower().startswith(_FILE):
        name, scheme = without_password(what), what.partition("://")[0].lower()
        container = open_stream(what, name, timeout_s=timeout_s, scheme=scheme, playlist=playlist, kind="sound")
        recorded = container.duration is not None
        return SpeechSource(container, name, sound=sound, timeout_s=timeout_s, recorded=recorded)
    path = Path(local_file(what))
    if is_encoded(path):
        raise InputError(
            f"{what} is a motion file, and a live session hears speech as it comes; give the sound itself, or animate "
            "with the file: hp-trt animate --audio"
        )
    return SpeechSource(open_sound(path), what, sound=sound, timeout_s=timeout_s, recorded=True)


class SpeechSource:
    """What FFmpeg can demux, of which the sound is read."""

    rate = _FRAMES_A_SECOND

    def __init__(
        self,
        container: Any,
        name: str,
        *,
        sound: bool,
        timeout_s: float,
        recorded: bool,
        advice: str = "see why it stopped",
    ) -> None:
        self._container, self._timeout_s, self._advice = container, timeout_s, advice
        self.name, self.recorded = name, recorded
        try:
            self._stream = sound_stream(container, Path(name))
        except InputError:
            container.close()
            raise
        self.sound = self._stream if sound else None
        self.notes: list[str] = sound_notes(container, name)
        self._clock = SteadyClock(1 / _FRAMES_A_SECOND)
        self._end_s: Fraction | None = None  # of what was heard
        self._period_s: Fraction | None = None
        self.damaged = 0

    def read(self) -> Iterator[Heard | SoundPacket]:
        for packet in demuxed(
            self._container, (self._stream,), self.name, timeout_s=self._timeout_s, advice=self._advice
        ):
            try:
                frames = list(packet.decode())
                heard = [_samples(frame) for frame in frames]
            except Exception:  # FFmpeg's own errors, and those of PyAV's for a damaged stream
                self.damaged += bool(packet.size)
                continue
            if self.sound is not None and packet.dts is not None:
                ticks = packet.pts if packet.pts is not None else packet.dts
                time_s = Fraction(ticks) * packet.time_base
                yield SoundPacket(packet=packet, time_s=time_s, frames=tuple(frames))
            for frame, samples in zip(frames, heard, strict=True):
                if (found := self._placed(frame, samples)) is not None:
                    yield found
        if self.damaged:
            self.notes.append(f"{self.name} is damaged: {self.damaged} packets could not be decoded and are silent")
        if self._clock.jumps:
            self.notes.append(f"the clock of {self.name} jumps: its sound goes on there without a gap")
        if self._end_s is None:
            raise InputError(f"{self.name} has not one sample that can be decoded; {ADVICE}")

    def close(self) -> None:
        self._container.close()

    def _placed(self, frame: Any, samples: np.ndarray) -> Heard | None:
        """Samples (n, c) right behind those before, but where the clock leaves a gap; what it repeats is left out."""
        rate = frame.sample_rate
        given_s = None if frame.pts is None else frame.pts * frame.time_base
        begins_s = self._clock.at(given_s, period_s=self._period_s)
        self._period_s = Fraction(len(samples), rate)
        end_s = begins_s if self._end_s is None else self._end_s
        if abs(begins_s - end_s) <= _SLOPPY_S:
            begins_s = end_s
        elif begins_s < end_s:
            samples = samples[round((end_s - begins_s) * rate) :]
            begins_s = end_s
        if not len(samples):
            return None
        self._end_s = begins_s + Fraction(len(samples), rate)
        return Heard(samples=samples, rate=rate, time_s=begins_s)


def _samples(frame: Any) -> np.ndarray:
    """(n, 1 or 2) float32 in [-1, 1] of PyAV's `frame`. Raises ValueError for what is no sound."""
    if not LOWEST_RATE <= frame.sample_rate <= HIGHEST_RATE:
        raise ValueError(f"{frame.sample_rate} samples a second")
    samples = frame.to_ndarray()
    channels = samples.T if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)
    if channels.dtype.kind == "u":  # 8 bits, and silence is in their middle
        levels = (channels.astype(np.float32) - 128) / 128
    elif channels.dtype.kind == "i":
        levels = (channels / -float(np.iinfo(channels.dtype).min)).astype(np.float32)
    else:
        levels = np.nan_to_num(channels.astype(np.float32), nan=0, posinf=0, neginf=0)
    levels = np.clip(levels, -1, 1)
    return levels if levels.shape[1] <= _MOST_CHANNELS else levels.mean(axis=1, dtype=np.float32, keepdims=True)


def _open_stdin(*, sound: bool, timeout_s: float, stop: threading.Event) -> SpeechSource:
    reader = PipeReader(0, timeout_s=timeout_s, stop=stop)
    try:
        container = open_stream(reader, "standard input", timeout_s=timeout_s, kind="sound")
    finally:
        if reader.stopped_by:
            raise reader.stopped_by
    return SpeechSource(
        container,
        "standard input",
        sound=sound,
        timeout_s=timeout_s,
        recorded=True,
        advice="send what is read from front to back: wav, mp3, ogg, mpegts or mkv, but no mp4 whose index lies at its "
        "end",
    )


def _open_microphone(which: str) -> tuple[Any, str]:
    """PyAV's container of ALSA's capture card of that number, and its name. Raises InputError."""
    name = f"the microphone mic:{which}"
    cards = sorted(int(match[1]) for path in Path("/dev/snd").glob("pcmC*c") if (match := _CAPTURE.match(path.name)))
    if not which.isdecimal() or int(which) not in cards:
        there = ", ".join(f"mic:{card}" for card in dict.fromkeys(cards)) or "none on this machine"
        raise InputError(f"{name} is not there; microphones: {there}. Name another, or a file or a URL")
    import av

    with foreign(f"{name} gives no sound", "close what else uses it, or name another"):
        return av.open(f"plughw:{which}", format="alsa", container_options={"channels": "1"}), name
