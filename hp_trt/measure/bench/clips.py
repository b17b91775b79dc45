"""What is animated while measuring: the user's files, or a drawn sample, and what is spoken: a sound like a voice."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from hp_trt.hallo2.sound import Sound
from hp_trt.media.video import VideoReader
from hp_trt.media.video_writer import VideoWriter
from hp_trt.sample import write_portrait, write_sample
from runtime.hallo2.presets import SAMPLE_RATE, SAMPLES_PER_FRAME

SAMPLE_FRAMES = 50
# Formants of five vowels in Hz (Peterson and Barney 1952, men), which the voice goes through, and how wide each is.
_VOWELS = ((270, 2290, 3010), (530, 1840, 2480), (730, 1090, 2440), (570, 840, 2410), (300, 870, 2240))
_WIDTHS_HZ = (80.0, 110.0, 160.0)
_SYLLABLES_HZ, _PITCH_HZ, _HIGHEST_HZ = 4.0, 120.0, 4000.0
_LOUDEST = 0.5


def clip_files(
    folder: Path, *, portrait: Path | None = None, driving: Path | None = None, frames: int | None = None
) -> tuple[Path, Path]:
    """A portrait and a driving video, of `frames` frames where said; what has to be made for it goes into `folder`."""
    if portrait is None or driving is None:
        return write_sample(folder, frames=frames or SAMPLE_FRAMES)
    return portrait, driving if frames is None else shortened(driving, folder / "shortened.mp4", frames)


def speech_files(
    folder: Path, *, portrait: Path | None = None, audio: Path | None = None, frames: int | None = None
) -> tuple[Path, Path]:
    """A portrait and a sound, of `frames` frames where said, of which a second has 25; what has to be made for it goes
    into `folder`. Raises InputError for what is no sound."""
    if portrait is None:
        portrait = folder / "portrait.png"
        write_portrait(portrait, seed=0)
    if audio is None:
        audio = folder / "voice.wav"
        write_sound(audio, voice(frames or SAMPLE_FRAMES))
    elif frames is not None:
        audio = shortened_sound(audio, folder / "shortened.wav", frames)
    return portrait, audio


def shortened(driving: Path, out: Path, frames: int) -> Path:
    """`out`, with the first `frames` frames of `driving` or all it has, silent. Raises InputError, OutputError."""
    reader = VideoReader(driving)
    with VideoWriter(out, width=reader.info.width, height=reader.info.height, rate=reader.info.rate) as writer:
        for number, frame in enumerate(reader.timed()):
            if number == frames:
                break
            writer.write(frame.image, frame.time_s)
    return out


def shortened_sound(audio: Path, out: Path, frames: int) -> Path:
    """`out`, a wav of the first `frames` frames of `audio` or all it has. Raises InputError."""
    needed, parts = frames * SAMPLES_PER_FRAME, []
    for piece in Sound(audio):
        parts.append(piece[:needed])
        needed -= len(parts[-1])
        if not needed:
            break
    write_sound(out, np.concatenate(parts))
    return out


def voice(frames: int) -> np.ndarray:
    """(n,) float32 in [-1, 1] at 16 kHz, `frames` 25ths of a second: vowels with pauses, the same at every call.

    Pulses of a falling and rising pitch, as the sum of their harmonics, each as loud as the formants of the moment let
    it be: a network that hears speech finds something like it.
    """
    t = np.arange(frames * SAMPLES_PER_FRAME) / SAMPLE_RATE
    pitch = _PITCH_HZ * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * t) + 0.02 * np.sin(2 * np.pi * 5 * t))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    beat = t * _SYLLABLES_HZ
    at = np.arange(int(beat[-1]) + 2) if len(beat) else np.arange(2)
    vowels = np.array(_VOWELS, float)[(3 * at) % len(_VOWELS)]
    formants = [np.interp(beat, at, vowels[:, k]) for k in range(vowels.shape[1])]
    sound = np.zeros(len(t))
    for harmonic in range(1, int(_HIGHEST_HZ / _PITCH_HZ) + 1):
        hz = harmonic * pitch
        heard = sum(1 / (1 + ((hz - f) / width) ** 2) for f, width in zip(formants, _WIDTHS_HZ, strict=True))
        sound += heard / harmonic * np.sin(harmonic * phase)
    loud = np.sin(np.pi * (beat % 1)) ** 2 * (np.floor(beat) % 7 < 6)  # every seventh syllable is a pause
    sound *= loud
    return (sound * (_LOUDEST / max(np.abs(sound).max(initial=0), 1e-9))).astype(np.float32)


def write_sound(path: Path, samples: np.ndarray) -> None:
    """A wav of 16 bits at 16 kHz from (n,) floats in [-1, 1]."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        levels = np.clip(np.rint(samples * 32768), -32768, 32767)  # as they are read: what came of such a file stays
        out.writeframes(levels.astype("<i2").tobytes())
