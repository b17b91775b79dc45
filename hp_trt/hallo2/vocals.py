"""The voice out of music: an MDX network from the user's own Kim_Vocal_2.onnx, on the CPU.

The network sees a stereo sound's spectrum, some seconds at a time, and gives that of the voice; chunks overlap and are
blended. The spectrum and its inverse are numpy's. Clean speech needs none of this.

Source: SPEC 7 (Vocal separation).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engines.errors import InputError
from engines.foreign import foreign
from hp_trt.faces.networks import fits, open_onnx, require_numbers, signature

RATE = 44_100  # that the network knows
Network = Callable[[np.ndarray], np.ndarray]  # (1, 4, dim_f, segment) float32 -> the same

N_FFT, HOP, COMPENSATE = 7680, 1024, 1.009  # of Kim_Vocal_2; its file does not say them
OVERLAP, PEAK = 0.25, 0.9  # the separator's own settings, as released
_DIM_F, _SEGMENT = 3072, 256  # where a file leaves its sizes open
_LARGEST_SEGMENT = 4096
_SILENT = 1e-6  # a voice that is nowhere louder is none
_LOW_BINS = 3  # that the network never sees
_ADVICE = "give Kim_Vocal_2.onnx, or leave it out: clean speech needs no separation"


@dataclass(frozen=True, kw_only=True)
class Separator:
    """A network with the sizes that its file says."""

    network: Network
    dim_f: int
    segment: int

    def separate(self, wave: np.ndarray) -> np.ndarray:
        """The voice (2, n) float32 in a stereo sound (2, n) at 44.1 kHz, in [-1, 1]. Raises InputError."""
        return separate(
            wave,
            self.network,
            n_fft=N_FFT,
            hop=HOP,
            dim_f=self.dim_f,
            segment=self.segment,
            overlap=OVERLAP,
            compensate=COMPENSATE,
            peak=PEAK,
        )


def open_separator(path: Path | str) -> Separator:
    """The network in `path`, tried once. Raises InputError when the file is missing or is not such a network,
    EngineMismatch where ONNX Runtime is missing."""
    path = Path(path)
    session = open_onnx(path, "a vocal separation network", _ADVICE)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    dims = (None, 4, None, None)
    if len(inputs) != 1 or not fits(inputs[0], dims) or len(outputs) != 1 or not fits(outputs[0], dims):
        raise InputError(
            f"{path} {signature(session)}; an MDX network takes and gives floats [1, 4, {_DIM_F}, {_SEGMENT}]: "
            f"{_ADVICE}"
        )
    said = [size if isinstance(size, int) else None for size in inputs[0].shape or (None,) * 4]
    dim_f, segment = said[2] or _DIM_F, said[3] or _SEGMENT
    least = N_FFT // HOP + 2  # segments whose chunk is longer than what is cut off its ends
    if not (_LOW_BINS <= dim_f <= N_FFT // 2 + 1 and least <= segment <= _LARGEST_SEGMENT and said[0] in (None, 1)):
        raise InputError(
            f"{path} {signature(session)}; of Kim_Vocal_2's kind are one sound at a time, at most {N_FFT // 2 + 1} "
            f"frequencies and {least} to {_LARGEST_SEGMENT} moments: {_ADVICE}"
        )

    def run(spectrum: np.ndarray) -> np.ndarray:
        with foreign(f"{path} does not run as a vocal separation network", _ADVICE):
            result = session.run([outputs[0].name], {inputs[0].name: spectrum})[0]
        return require_numbers(result, spectrum.shape, f"{path}, run as a vocal separation network,", _ADVICE)

    run(np.zeros((1, 4, dim_f, segment), np.float32))
    return Separator(network=run, dim_f=dim_f, segment=segment)


def separate(
    wave: np.ndarray,
    network: Network,
    *,
    n_fft: int,
    hop: int,
    dim_f: int,
    segment: int,
    overlap: float,
    compensate: float,
    peak: float,
) -> np.ndarray:
    """The voice (2, n) float32 in `wave` (2, n), both within +-`peak`; silence where there is none.

    `network`: (1, 4, dim_f, segment) float32 -> the same: left real, left imaginary, right real, right imaginary parts
    of the lowest `dim_f` frequencies. Chunks of hop (segment - 1) samples have a part `overlap` in common.
    """
    n = wave.shape[1]
    loudest = float(np.abs(wave).max(initial=0))
    if loudest < _SILENT:
        return np.zeros((2, n), np.float32)
    wave = wave * np.float32(min(1, peak / loudest))
    chunk, trim = hop * (segment - 1), n_fft // 2
    useful = chunk - 2 * trim
    mix = np.pad(np.asarray(wave, np.float32), [(0, 0), (trim, useful + trim - n % useful)])
    total, weights = np.zeros(mix.shape), np.zeros(mix.shape[1])
    for start in range(0, mix.shape[1], int((1 - overlap) * chunk)):
        part = mix[:, start : start + chunk]
        length = part.shape[1]
        spectrum = _spectrum(np.pad(part, [(0, 0), (0, chunk - length)]), n_fft, hop)[:, :dim_f]
        spectrum[:, :_LOW_BINS] = 0
        answer = network(np.stack([spectrum.real, spectrum.imag], axis=1).reshape(1, 4, dim_f, segment))
        pairs = answer.reshape(2, 2, dim_f, segment)
        window = np.hanning(length) if overlap else np.ones(length)  # a Hann window's ends are 0
        total[:, start : start + length] += window * _wave(pairs[:, 0] + 1j * pairs[:, 1], n_fft, hop)[:, :length]
        weights[start : start + length] += window
    # Only the very first and last sample of `mix` have no weight, and both are cut off.
    voice = total[:, trim : trim + n] / weights[trim : trim + n] * compensate
    loudest = float(np.abs(voice).max())
    if loudest < _SILENT:
        return np.zeros((2, n), np.float32)
    return (voice * min(1, peak / loudest)).astype(np.float32)


def _spectrum(wave: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """(c, n_fft/2 + 1, 1 + n/hop) complex64 of (c, n): periodic Hann windows centred on every `hop`, ends reflected."""
    half = n_fft // 2
    padded = np.pad(wave, [(0, 0), (half, half)], mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft, axis=1)[:, ::hop]
    return np.fft.rfft(frames * _periodic_hann(n_fft), axis=2).transpose(0, 2, 1).astype(np.complex64)


def _wave(spectrum: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    """The inverse: (c, hop (frames - 1)). Frequencies that are missing are 0."""
    channels, _, frames = spectrum.shape
    window, half = _periodic_hann(n_fft), n_fft // 2
    parts = np.fft.irfft(spectrum.transpose(0, 2, 1), n=n_fft, axis=2) * window
    wave = np.zeros((channels, n_fft + hop * (frames - 1)))
    weights = np.zeros(wave.shape[1])
    for frame in range(frames):
        at = slice(frame * hop, frame * hop + n_fft)
        wave[:, at] += parts[:, frame]
        weights[at] += window**2
    inner = slice(half, half + hop * (frames - 1))
    return wave[:, inner] / weights[inner]


def _periodic_hann(length: int) -> np.ndarray:
    return np.hanning(length + 1)[:-1]
