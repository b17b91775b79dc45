"""Speech for the model: whatever FFmpeg opens, or an array, as 16 kHz mono in pieces of 60 s.

Sound is decoded, resampled and cut as a stream: memory is that of a piece, whatever the length. As released, samples
are those of a 16-bit file, and two channels are averaged. More than two, of which the released program knows nothing,
are averaged too, each with the same weight. Time 0 is the file's first picture, so that what speaks is in step with the
file's own pictures, or in a file of sound alone the beginning of its clock; where sound begins later, or pauses, there
is silence. What cannot be decoded is a moment of silence, and `notes` says so afterwards.

With a separator sound is first taken at 44.1 kHz in stereo, and each piece's voice is taken out of it.

Source: SPEC 7 (Audio).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engines.errors import InputError
from engines.foreign import foreign
from hp_trt.hallo2 import vocals
from hp_trt.hallo2.resampling import Resampler, Timeline, pieces
from hp_trt.hallo2.vocals import Separator
from hp_trt.interface import arguments
from hp_trt.media.clock import SteadyClock
from hp_trt.media.decoding import demuxed
from hp_trt.media.sound_file import ADVICE, HIGHEST_RATE, LOWEST_RATE, open_sound, sound_stream
from hp_trt.media.video import sound_notes
from runtime.hallo2.presets import PIECE_S, SAMPLE_RATE

LONGEST_H = 12.0  # by default
_MOST_CHANNELS = 64
_LOUDEST = 16.0  # of floats, which should stay within +-1; beyond, they are another scale's
_BLOCK = 1 << 16  # samples of an array that are taken at a time
_PRIMING_S = Fraction(1, 10)  # a coder's own beginning is shorter, and no silence
_CLOCK_OF_NOBODY = ("mpegts", "mpeg", "rtp", "rtsp")  # begin at any time
_SAYS_LENGTH = ("wav", "w64", "aiff", "caf", "flac", "mov", "matroska", "ogg", "avi", "asf")  # others guess it
_CUT_OFF_S = 1  # so much less than a header promised is worth a word


@dataclass(frozen=True, kw_only=True)
class _Block:
    """Some decoded sound."""

    samples: np.ndarray  # (1 or 2, n) float32
    rate: int
    time_s: Fraction  # from time 0


class _Source(Protocol):
    """Where a Sound comes from."""

    name: str
    start_s: Fraction
    duration_s: Fraction | None
    notes: list[str]

    def blocks(self) -> Iterator[_Block]: ...


class Sound:
    """The sound of a file, piece by piece; it can be walked through any number of times, each opens the file anew.

    Pieces are (n,) float32 in [-1, 1], at 16 kHz: 960 000 samples, the last one what is left. They are the caller's.

    start_s      time 0 on the file's clock, for whoever puts the file's sound beside the result
    duration_s   as the header says, without what comes before time 0; None: it does not
    notes        what a user should know, a line each, of the latest complete walk

    Raises InputError when made: no such file, no sound in it, not a sample to decode, more than `longest_h` hours by
    its header and its packets. Walking raises it for more than `longest_h` hours, for sound that is over before time 0,
    and what the separator raises.
    """

    def __init__(self, path: Path | str, *, separator: Separator | None = None, longest_h: float = LONGEST_H) -> None:
        self._set_up(_File(Path(path), longest_h), separator, longest_h)

    @classmethod
    def of_array(
        cls, samples: np.ndarray, rate: int, *, separator: Separator | None = None, longest_h: float = LONGEST_H
    ) -> Sound:
        """The sound in `samples` (n,) or (n, channels): floats in [-1, 1] (what is louder is clipped) or int16, at
        `rate` samples a second, 1000 to 768 000. It is not copied.

        Raises InputError, for what is no number too.
        """
        sound = cls.__new__(cls)
        sound._set_up(_Array(samples, rate, longest_h), separator, longest_h)
        return sound

    def _set_up(self, source: _Source, separator: Separator | None, longest_h: float) -> None:
        self._source, self._separator, self._longest_h = source, separator, longest_h
        self.name, self.start_s, self.duration_s = source.name, source.start_s, source.duration_s

    @property
    def notes(self) -> list[str]:
        return self._source.notes

    def __iter__(self) -> Iterator[np.ndarray]:
        parts = self._mono() if self._separator is None else self._voices(self._separator)
        heard = 0
        for piece in pieces(parts, PIECE_S * SAMPLE_RATE):
            heard += len(piece)
            yield piece
        if not heard:
            raise InputError(
                f"the sound of {self.name} is over before its first picture: nothing of it is left; {ADVICE}"
            )

    def _placed(self, rate: int) -> Iterator[np.ndarray]:
        """Unbroken sound at `rate`, (1 or 2, n) with the values of 16 bits. Raises InputError where it is too long."""
        timeline, heard = Timeline(rate), 0

        def all_parts() -> Iterator[np.ndarray]:
            for block in self._source.blocks():
                yield from timeline.take(block.samples, source_rate=block.rate, time_s=block.time_s)
            yield from timeline.end()

        for part in all_parts():
            heard += part.shape[1]
            if heard > self._longest_h * 3600 * rate:
                raise _too_long(self.name, self._longest_h)
            yield in_16_bits(part)

    def _mono(self) -> Iterator[np.ndarray]:
        return (part.mean(axis=0, dtype=np.float32) for part in self._placed(SAMPLE_RATE))

    def _voices(self, separator: Separator) -> Iterator[np.ndarray]:
        stereo = (np.broadcast_to(part, (2, part.shape[1])) for part in self._placed(vocals.RATE))
        for piece in pieces(stereo, PIECE_S * vocals.RATE):
            voice = np.trunc(separator.separate(piece) * 32767) / np.float32(32768)  # as the separator's 16-bit file
            down = Resampler(source_rate=vocals.RATE, rate=SAMPLE_RATE, channels=2)
            resampled = np.concatenate([down.take(voice.astype(np.float32)), down.end()], axis=1)
            yield in_16_bits(resampled).mean(axis=0, dtype=np.float32)


class _File:
    """The sound of a file, as a player takes it."""

    def __init__(self, path: Path, longest_h: float) -> None:
        self.name, self._path = str(path), path
        with open_sound(self._path) as container, foreign(f"{path} is a damaged file of sound", ADVICE):
            stream = sound_stream(container, self._path)
            first = next(_frames(container, stream, _Walk()), None)
            if first is None:
                raise InputError(
                    f"{path} has a sound track but not one sample that can be decoded: empty, damaged or cut off; "
                    f"{ADVICE}"
                )
            if not LOWEST_RATE <= first.sample_rate <= HIGHEST_RATE:
                raise InputError(
                    f"{path} has {first.sample_rate} samples a second, needed are {LOWEST_RATE} to {HIGHEST_RATE}; "
                    f"{ADVICE}"
                )
            self._several = sound_notes(container, path)
            self.start_s = _time_0(container, Fraction(0) if first.pts is None else first.pts * first.time_base)
            ends_s = _end_s(container, stream)
            alone = stream.duration or len(container.streams) == 1  # else it may be the pictures that last so long
            promised = bool(alone) and container.format.name.split(",")[0] in _SAYS_LENGTH
        self.duration_s = None if ends_s is None else max(ends_s - self.start_s, Fraction(0))
        self._promised_s = self.duration_s if promised else None
        if self.duration_s is not None and self.duration_s > longest_h * 3600:
            self._check_packets(longest_h)
        self.notes = list(self._several)

    def blocks(self) -> Iterator[_Block]:
        walk, clock, period_s, last_s = _Walk(), SteadyClock(Fraction(1, 25)), None, Fraction(0)
        with open_sound(self._path) as container:
            for frame in _frames(container, sound_stream(container, self._path), walk):
                time_s = None if frame.pts is None else frame.pts * frame.time_base
                begins_s = clock.at(time_s, period_s=period_s)
                try:
                    samples = _levels(frame, walk)
                    rate = frame.sample_rate
                    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
                        raise ValueError(f"{rate} samples a second")
                except Exception:  # a format that PyAV has no array for, or a header that lies
                    walk.damaged += 1
                    continue
                period_s = Fraction(frame.samples, rate)
                last_s = begins_s - self.start_s + period_s
                yield _Block(samples=samples, rate=rate, time_s=begins_s - self.start_s)
        self.notes = [*self._several, *self._notes(walk, clock, last_s)]

    def _check_packets(self, longest_h: float) -> None:
        """A header may say anything; packets are there or not. Raises InputError."""
        lasts_s = Fraction(0)
        with open_sound(self._path) as container:
            packets = container.demux(sound_stream(container, self._path))
            while lasts_s <= longest_h * 3600:
                try:
                    packet = next(packets)
                except Exception:  # the end, or damage, which is told when the sound is read
                    return
                lasts_s += (packet.duration or 0) * (packet.time_base or 0)
        raise _too_long(self.name, longest_h)

    def _notes(self, walk: _Walk, clock: SteadyClock, last_s: Fraction) -> list[str]:
        notes = []
        short = walk.cut_off or (self._promised_s or 0) - last_s > _CUT_OFF_S
        if walk.damaged and not short:
            notes.append(f"the sound of {self.name} is damaged: {walk.damaged} packets of it are silent")
        if walk.no_numbers:
            notes.append(f"the sound of {self.name} has samples that are no numbers: they are silent")
        if short:
            notes.append(
                f"{self.name} is damaged or cut off: the {float(last_s):.1f} s of its sound that it has are used"
            )
        if clock.jumps:
            notes.append(f"the clock of {self.name} jumps: its sound goes on there without a gap")
        return notes


class _Array:
    """Samples that somebody has."""

    name = "the array of samples"
    start_s = Fraction(0)

    def __init__(self, samples: np.ndarray, rate: int, longest_h: float) -> None:
        self._rate = arguments.whole("rate (of the samples, a second)", rate, least=LOWEST_RATE, most=HIGHEST_RATE)
        self._samples = checked_samples(samples)
        self.duration_s: Fraction | None = Fraction(len(self._samples), self._rate)
        if self.duration_s > longest_h * 3600:
            raise _too_long(self.name, longest_h)
        self.notes: list[str] = []

    def blocks(self) -> Iterator[_Block]:
        for start in range(0, len(self._samples), _BLOCK):
            levels = levels_of(self._samples[start : start + _BLOCK])
            yield _Block(samples=levels, rate=self._rate, time_s=Fraction(start, self._rate))


@dataclass
class _Walk:
    """What was met on the way through a file."""

    damaged: int = 0  # packets that could not be decoded
    no_numbers: bool = False
    cut_off: bool = False


def checked_samples(samples: np.ndarray) -> np.ndarray:
    """(n, channels). Raises InputError."""
    needed = "needed are (n,) or (n, channels) floats in [-1, 1], or int16"
    if not isinstance(samples, np.ndarray) or (samples.dtype.kind != "f" and samples.dtype != np.int16):
        found = f"{samples.dtype} numbers" if isinstance(samples, np.ndarray) else arguments.shown(samples)
        raise InputError(f"the samples are {found}, {needed}; convert them first")
    if samples.ndim not in (1, 2) or not samples.size:
        raise InputError(f"the samples have the shape {list(samples.shape)}, {needed}, and at least one of them")
    samples = samples if samples.ndim == 2 else samples[:, None]
    if samples.shape[1] > _MOST_CHANNELS:
        raise InputError(f"the samples have {samples.shape[1]} channels, {needed}; channels are the second axis")
    for start in range(0, len(samples), _BLOCK):
        part = samples[start : start + _BLOCK]
        loudest = float(np.abs(part).max()) if part.dtype.kind == "f" else 0.0
        if not np.isfinite(loudest):
            raise InputError("the samples hold NaN or infinity; see what made them, or replace those by 0")
        if loudest > _LOUDEST:
            raise InputError(f"the samples reach {loudest:g}, {needed}; divide them by their own scale, such as 32768")
    return samples


def levels_of(samples: np.ndarray) -> np.ndarray:
    """`checked_samples` (n, channels) as (1 or 2, n) float32 with 1 for the loudest."""
    levels = samples.T / np.float32(32768) if samples.dtype == np.int16 else samples.T.astype(np.float32)
    return two_at_most(levels)


def _levels(frame: Any, walk: _Walk) -> np.ndarray:
    """A decoded frame's samples, (1 or 2, n) float32 with 1 for the loudest. Raises ValueError and what PyAV does."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "u":  # 8 bits, and silence is in their middle
        levels = (samples.astype(np.float32) - 128) / 128
    elif samples.dtype.kind == "i":
        levels = (samples / -float(np.iinfo(samples.dtype).min)).astype(np.float32)
    else:
        if not np.isfinite(samples).all():
            walk.no_numbers = True
            samples = np.nan_to_num(samples, nan=0, posinf=0, neginf=0)
        levels = np.clip(samples, -_LOUDEST, _LOUDEST).astype(np.float32)
    return two_at_most(levels)


def two_at_most(levels: np.ndarray) -> np.ndarray:
    return levels if len(levels) <= 2 else levels.mean(axis=0, dtype=np.float32, keepdims=True)


def in_16_bits(levels: np.ndarray) -> np.ndarray:
    """The values that a 16-bit file would have."""
    return (np.clip(np.rint(levels * 32768), -32768, 32767) / 32768).astype(np.float32)


def _frames(container: Any, stream: Any, walk: _Walk) -> Iterator[Any]:
    """What can be decoded, whatever the demuxer and the decoder raise."""
    for packet in demuxed(container, stream, walk):
        try:
            frames: Iterable[Any] = packet.decode()
        except Exception:
            walk.damaged += bool(packet.size)
            continue
        yield from (frame for frame in frames if frame.samples and frame.sample_rate)


def _time_0(container: Any, first_s: Fraction) -> Fraction:
    """Where the result begins, on the file's clock; `first_s`: where its sound does."""
    from av.stream import Disposition

    shown = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if shown:
        return Fraction(shown[0].start_time or 0) * shown[0].time_base
    if first_s <= _PRIMING_S or container.format.name in _CLOCK_OF_NOBODY:
        return first_s
    return Fraction(0)


def _end_s(container: Any, stream: Any) -> Fraction | None:
    """Where the sound ends on the file's clock, as its header says."""
    if stream.duration:
        return Fraction((stream.start_time or 0) + stream.duration) * stream.time_base
    if container.duration:
        counted_from = 0 if container.format.name.startswith("matroska") else container.start_time or 0
        return Fraction(counted_from + container.duration, 10**6)
    return None


def _too_long(name: str, longest_h: float) -> InputError:
    return InputError(
        f"{name} has more than {longest_h:g} hours of sound; cut it into parts and animate them one by one"
    )
