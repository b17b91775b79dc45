"""A voice: a source and a filter.

The glottis is a train of pulses with a falling spectrum and some breath; narrow places add noise of a band. Both are
made once for the whole sentence, cut into overlapping pieces, and each piece is multiplied by the frequency response of
that moment's formants: a convolution by way of the Fourier transform, without a loop over samples.

Source: the cascade of second-order resonators of Klatt 1980, evaluated on the unit circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from procedural.speech.phonemes import SOUNDS, Phoneme

HZ = 16000  # samples a second
_HOP, _PIECE, _FFT = 64, 256, 1024  # samples: 4 ms, 16 ms, and room for a response to die away
_BANDWIDTHS_HZ = np.array([70.0, 100.0, 160.0, 220.0, 300.0])
_UPPER_HZ = (3600.0, 4600.0)  # the fourth and fifth formant
_GLIDE_S = 0.018  # deviation of the smoothing of formants and loudness
_RELEASE_S = 0.02  # of a stop: its burst


@dataclass(frozen=True, kw_only=True)
class Voice:
    """Who speaks."""

    pitch_hz: float
    tract: float  # formants are divided by it: 1.15 is a long vocal tract
    rate: float  # 1.2 speaks a fifth faster
    breath: float  # noise of the glottis beside its pulses
    tilt: float  # how steeply the pulses' spectrum falls
    melody: float  # how far the pitch moves, as a part
    loud: float

    @classmethod
    def random(cls, seed: int) -> Voice:
        rng = np.random.default_rng([seed, 503])
        deep = rng.uniform(0, 1)  # 0 a deep voice, 1 a high one; long tracts go with deep voices
        return cls(
            pitch_hz=float(85 * (260 / 85) ** deep),
            tract=float(np.clip(1.12 - 0.26 * deep + rng.normal(0, 0.03), 0.82, 1.18)),
            rate=float(rng.uniform(0.8, 1.25)),
            breath=float(rng.uniform(0.02, 0.22)),
            tilt=float(rng.uniform(0.7, 1.3)),
            melody=float(rng.uniform(0.06, 0.22)),
            loud=float(rng.uniform(0.25, 0.9)),
        )


def spoken(phonemes: Sequence[Phoneme], voice: Voice, rng: np.random.Generator, seconds: float) -> np.ndarray:
    """(round(seconds * HZ),) float32 in -1 .. 1."""
    samples = max(1, round(seconds * HZ))
    pieces = -(-samples // _HOP) + _PIECE // _HOP
    track = _track(phonemes, voice, pieces)
    t = np.arange(pieces * _HOP + _PIECE)
    grid = np.arange(pieces) * _HOP + _PIECE // 2
    phrases = sum(rng.uniform(0.3, 1) * np.sin(2 * np.pi * rng.uniform(0.2, 1.6) * grid / HZ + rng.uniform(0, 7))
                  for _ in range(3))  # fmt: skip
    pitch = voice.pitch_hz * (1 + 0.6 * voice.melody * phrases) * (1 + rng.normal(0, 0.008, pieces))
    turns = np.cumsum(np.interp(t, grid, pitch)) / HZ
    pulses = np.zeros(len(t))
    pulses[1:] = np.diff(np.floor(turns))
    pulses *= np.interp(t, grid, HZ / pitch) ** 0.5 * np.interp(t, grid, track.voice)
    air = rng.normal(0, 1, len(t))
    spectrum = np.zeros((pieces, _FFT // 2 + 1), dtype=np.complex128)
    formants = _formants(track.formants_hz)
    glottis = _glottis(voice)
    window = np.hanning(_PIECE + 1)[:-1]
    cut = np.arange(pieces)[:, None] * _HOP + np.arange(_PIECE)
    breath = np.fft.rfft(air[cut] * window, _FFT)
    spectrum += np.fft.rfft(pulses[cut] * window, _FFT) * glottis * formants
    spectrum += breath * formants * (0.1 * voice.breath * track.voice)[:, None]
    spectrum += breath * track.noise_band * (0.16 * track.noise)[:, None]
    made = np.fft.irfft(spectrum, _FFT)
    wave = np.zeros(pieces * _HOP + _FFT)
    for part in range(0, _FFT, _HOP):
        wave[part : part + pieces * _HOP] += made[:, part : part + _HOP].reshape(-1)
    wave = wave[_PIECE // 2 : _PIECE // 2 + samples]
    peak = float(np.abs(wave).max(initial=0.0))
    return (wave * (voice.loud / peak if peak > 0 else 0.0)).astype(np.float32)


@dataclass(frozen=True)
class _Track:
    """What moves the synthesiser, piece by piece."""

    formants_hz: np.ndarray  # (pieces, 5)
    voice: np.ndarray  # (pieces,)
    noise: np.ndarray  # (pieces,)
    noise_band: np.ndarray  # (pieces, bins)


def _track(phonemes: Sequence[Phoneme], voice: Voice, pieces: int) -> _Track:
    formants = np.tile(np.array([500.0, 1500.0, 2500.0]), (pieces, 1))
    glottis, noise = np.zeros(pieces), np.zeros(pieces)
    band = np.tile(np.array([4000.0, 2000.0]), (pieces, 1))
    for phoneme in phonemes:
        sound = SOUNDS[phoneme.symbol]
        first, last = (round(t * HZ / _HOP) for t in (phoneme.start_s, phoneme.end_s))
        formants[first:last] = sound.formants_hz
        glottis[first:last] = sound.voice
        band[first:last] = sound.noise_hz
        if sound.kind == "stop":
            burst = max(first, last - round(_RELEASE_S * HZ / _HOP))
            noise[burst:last] = sound.noise
        else:
            noise[first:last] = sound.noise
    formants, glottis = _smooth(formants, _GLIDE_S), _smooth(glottis[:, None], 0.4 * _GLIDE_S)[:, 0]
    noise = _smooth(noise[:, None], 0.25 * _GLIDE_S)[:, 0]
    upper = np.tile(np.array(_UPPER_HZ), (pieces, 1))
    bins = np.fft.rfftfreq(_FFT, 1 / HZ)
    shape = np.exp(-0.5 * ((bins - band[:, :1]) / (0.5 * band[:, 1:])) ** 2)
    return _Track(np.concatenate([formants, upper], axis=1) / voice.tract, glottis, noise, shape)


def _smooth(columns: np.ndarray, deviation_s: float) -> np.ndarray:
    reach = max(1, round(3 * deviation_s * HZ / _HOP))
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) * _HOP / HZ / deviation_s) ** 2)
    bell /= bell.sum()
    padded = np.pad(columns, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, bell, mode="valid") for column in padded.T], axis=1)


def _formants(formants_hz: np.ndarray) -> np.ndarray:
    """(pieces, bins) complex: resonators one behind the other, each 1 at 0 Hz."""
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(_FFT, 1 / HZ) / HZ)
    response = np.ones((len(formants_hz), len(z)), dtype=np.complex128)
    for hz, width in zip(formants_hz.T, _BANDWIDTHS_HZ, strict=True):
        radius = np.exp(-np.pi * width / HZ)
        b = 2 * radius * np.cos(2 * np.pi * np.minimum(hz, 0.48 * HZ) / HZ)
        c = -(radius**2)
        response *= (1 - b - c)[:, None] / (1 - b[:, None] * z - c * z**2)
    return response


def _glottis(voice: Voice) -> np.ndarray:
    """(bins,): pulses that fall by 12 dB an octave and lips that radiate 6 dB an octave back."""
    hz = np.fft.rfftfreq(_FFT, 1 / HZ)
    return (hz / 200) / (1 + (hz / 200) ** 2) ** voice.tilt
