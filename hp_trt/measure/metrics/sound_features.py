"""What is heard of speech, as numbers: energies of mel bands, and the coefficients that published sync networks take.

Samples are (n,) float32 in [-1, 1] at 16 kHz, mono. Features have a row for every 10 ms: four rows a frame of video.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from runtime.hallo2.presets import FPS, SAMPLE_RATE

HOP, LENGTH = SAMPLE_RATE // 100, SAMPLE_RATE // 40  # samples from row to row, and heard by a row
ROWS_A_FRAME = 100 // FPS
BANDS = 40
_FFT = 512
_QUIET = 1e-5  # power of a band: what is quieter than -50 dB is silence
QUIETEST = -1.0  # as `log_mel` has it

# Of the coefficients: those that speech recognition has used since the 1980s.
_COEFFICIENTS, _COEFFICIENT_BANDS, _EMPHASIS, _LIFTER = 13, 26, 0.97, 22
_16_BITS = 32768


def log_mel(samples: np.ndarray, *, bands: int = BANDS) -> np.ndarray:
    """(ceil(n / 160), bands) float32, about -1 to 1: row j is of the 25 ms round the middle of its own 10 ms.

    Speech and silence around it count as they sound, so a louder recording has larger numbers.
    """
    rows = -(-len(samples) // HOP)
    margin = (LENGTH - HOP) // 2
    padded = np.pad(samples.astype(np.float64), (margin, rows * HOP - len(samples) + LENGTH - HOP - margin))
    windows = np.lib.stride_tricks.sliding_window_view(padded, LENGTH)[::HOP]
    power = np.abs(np.fft.rfft(windows * np.hanning(LENGTH), _FFT)) ** 2 / LENGTH
    return (np.log10(power @ _mel_filters(bands).T + _QUIET) / 2.5 + 1).astype(np.float32)


def mfcc(samples: np.ndarray) -> np.ndarray:
    """(1 + ceil((n - 400) / 160), 13) float32: cepstral coefficients of samples as 16 bits, the first the log energy.

    Row j is of the 400 samples from j * 160 on. Pre-emphasis 0.97, no window, 26 mel bands to 8 kHz, liftered by 22:
    the defaults of what published sync networks were trained with.

    Source: Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word recognition", 1980.
    """
    levels = samples.astype(np.float64) * _16_BITS
    levels = np.append(levels[:1], levels[1:] - _EMPHASIS * levels[:-1])
    rows = 1 + max(0, -(-(len(levels) - LENGTH) // HOP))
    padded = np.pad(levels, (0, max(0, (rows - 1) * HOP + LENGTH - len(levels))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, LENGTH)[::HOP]
    power = np.abs(np.fft.rfft(windows, _FFT)) ** 2 / _FFT
    energy, tiny = power.sum(axis=1), np.finfo(float).eps
    bands = np.log(np.maximum(power @ _bin_filters(_COEFFICIENT_BANDS).T, tiny))
    number = np.arange(_COEFFICIENTS)
    found = bands @ _cosines(_COEFFICIENTS, _COEFFICIENT_BANDS).T * (1 + _LIFTER / 2 * np.sin(np.pi * number / _LIFTER))
    found[:, 0] = np.log(np.maximum(energy, tiny))
    return found.astype(np.float32)


@cache
def _mel_filters(bands: int) -> np.ndarray:
    """(bands, bins): triangles that overlap by half, even in mels from 0 to 8 kHz, each of area 1 in bins."""
    edges = _hz(np.linspace(0, _mel(SAMPLE_RATE / 2), bands + 2))
    hz = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)
    up = (hz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - hz) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.clip(np.minimum(up, down), 0, None)
    # The lowest bands are narrower than a bin, and would hear nothing.
    nearest = np.abs(hz - edges[1:-1, None]) <= SAMPLE_RATE / _FFT / 2
    triangles = np.maximum(triangles, 1e-3 * nearest)
    return triangles / triangles.sum(axis=1, keepdims=True)


@cache
def _bin_filters(bands: int) -> np.ndarray:
    """(bands, bins): the same of height 1, their edges cut to whole bins."""
    edges = np.floor((_FFT + 1) * _hz(np.linspace(0, _mel(SAMPLE_RATE / 2), bands + 2)) / SAMPLE_RATE)
    filters = np.zeros((bands, _FFT // 2 + 1))
    for band, (low, middle, high) in enumerate(zip(edges[:-2], edges[1:-1], edges[2:], strict=True)):
        rising, falling = np.arange(low, middle), np.arange(middle, high)
        filters[band, rising.astype(int)] = (rising - low) / (middle - low)
        filters[band, falling.astype(int)] = (high - falling) / (high - middle)
    return filters


def _cosines(coefficients: int, bands: int) -> np.ndarray:
    """(coefficients, bands): the orthonormal discrete cosine transform, of type II."""
    table = np.cos(np.pi / bands * np.outer(np.arange(coefficients), np.arange(bands) + 0.5)) * np.sqrt(2 / bands)
    table[0] /= np.sqrt(2)
    return table


def _mel(hz: np.ndarray | float) -> np.ndarray | float:
    return 2595 * np.log10(1 + np.asarray(hz) / 700)


def _hz(mel: np.ndarray | float) -> np.ndarray:
    return np.asarray(700 * (10 ** (np.asarray(mel) / 2595) - 1))
