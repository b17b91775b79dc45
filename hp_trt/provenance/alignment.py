"""Where a tile lies in a picture, how large it is there, and how surely any does.

Size: each of `ZOOMS` is tried. Place: by one Fourier transform for all of them, since what 128 unknown signs give
together, whatever they are, is a sum over pairs of waves with one sign. The best few are tried nearby and decoded.

How sure: of a picture that knows nothing of our phases, the sum of its waves, each turned by a phase of ours, exceeds t
times its deviation with a chance of at most exp(-t^2 / 2), whatever the picture is (Chernoff's bound; the cosine of an
even phase is no wider than a normal number of its deviation). A word, a place and a size are chosen among `_CHOICES`,
so the chance that an unmarked picture gives a score of s or more is at most 10^-s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import log, log10

import numpy as np

from hp_trt.provenance.code import PAYLOAD_BITS, SIGNS, decode
from hp_trt.provenance.tile import PX, frequencies, owners, phases

# Width of a tile, of 128 px: a third to 2.6, in steps of 0.8 %; 1 is one of them.
ZOOMS = tuple(1.008**i for i in range(-138, 121))
_NEAR_ZOOMS = (1.0, 1.002, 0.998, 1.004, 0.996)
_NEAR_PLACES = np.arange(-2, 3) / 2  # of 128ths of a tile
_TRIED = 12  # places that are decoded
_RING = 64  # waves of about one length, evened out together
_LOUDEST = 2.0
_CHOICES = 2.0**PAYLOAD_BITS * (2 * PX) ** 2 * len(ZOOMS) * len(_NEAR_ZOOMS)


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """The best that a picture holds."""

    payload: int
    deviations: float  # its height over chance
    zoom: float  # width of a tile, of 128 px of the picture

    @property
    def score(self) -> float:
        """s, where an unmarked picture gives so much with a chance of at most 10^-s; below 0 it says nothing."""
        return self.deviations**2 / 2 / log(10) - log10(_CHOICES)


def align(picture: np.ndarray) -> Aligned:
    """The mark that (H, W) float32 around 0 shows best; of noise too, with a low score."""
    peaks = [(*_peak(_turned(picture, zoom)), zoom) for zoom in ZOOMS]
    found = [_decoded(picture, zoom, down, across) for _, down, across, zoom in sorted(peaks, reverse=True)[:_TRIED]]
    return max(found, key=lambda aligned: aligned.deviations)


def _turned(picture: np.ndarray, zoom: float) -> np.ndarray:
    """(384,) complex128: the waves of a tile so large in the picture, of even size, turned back by our phases."""
    down, across = frequencies().T
    height, width = picture.shape
    columns = np.ascontiguousarray(_waves(width, zoom).T)
    upper = _waves(height, zoom)
    rows = np.concatenate([upper.conj()[:0:-1], upper])  # from -k to k
    half = (picture @ columns.view(np.float32)).view(np.complex64)
    waves = (rows @ half)[down + len(upper) - 1, across].astype(np.complex128)
    rings = np.sqrt((np.abs(waves) ** 2).reshape(-1, _RING).mean(axis=1)).repeat(_RING)
    waves /= np.maximum(rings, 1e-12)
    waves *= np.minimum(1, _LOUDEST / np.maximum(np.abs(waves), 1e-12))
    return waves * phases().conj()


def _waves(pixels: int, zoom: float) -> np.ndarray:
    """(17, pixels) complex64: waves of 0 to 16 periods a tile, counted from the picture's middle."""
    highest = int(np.abs(frequencies()).max())
    waves = np.ones((highest + 1, pixels), np.complex128)
    waves[1:] = np.exp(-2j * np.pi / (PX * zoom) * (np.arange(pixels) - (pixels - 1) / 2))
    return np.multiply.accumulate(waves, axis=0).astype(np.complex64)


def _peak(turned: np.ndarray) -> tuple[float, int, int]:
    """The best place: how far over chance, in deviations over all places, and where, in 128ths of a tile."""
    cells, first, second, sign, weight = _pairs()
    other = turned[second]
    product = weight * turned[first] * (other.real + 1j * sign * other.imag)
    # Turning by a place is a Fourier sum over these products; of its real part half the plane is enough.
    half = np.zeros(PX * (PX // 2 + 1), np.complex64)
    half.real = np.bincount(cells, product.real, len(half))
    half.imag = np.bincount(cells, -product.imag, len(half))
    energy = np.fft.irfft2(half.reshape(PX, -1), s=(PX, PX))
    best = int(energy.argmax())
    over = (float(energy.flat[best]) - float(energy.mean())) / max(float(energy.std()), 1e-12)
    return over, best // PX, best % PX


@cache
def _pairs() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of the pairs of waves with one sign: their cell in half a spectrum, which two, 1 or -1, and their weight.

    The square of a sum of waves beats at the sums (1) and the differences (-1) of any two of them. Half a spectrum
    counts a cell twice unless it is in the first column: a difference is there for the one the other way round, which
    is left out, and a sum has half its weight.
    """
    by_sign = np.argsort(owners(), kind="stable").reshape(SIGNS, -1)
    count = by_sign.shape[1]
    first, second = np.tile(by_sign.repeat(count, axis=1).ravel(), 2), np.tile(np.tile(by_sign, count).ravel(), 2)
    sign = np.array([1, -1]).repeat(len(first) // 2)
    k = frequencies()
    down, across = (k[first] + sign[:, None] * k[second]).T
    weight = np.where((sign == 1) & (across > 0), 0.5, 1.0)
    kept = across >= 0
    cells = down % PX * (PX // 2 + 1) + across
    return cells[kept], first[kept], second[kept], sign[kept], weight[kept]


def _decoded(picture: np.ndarray, zoom: float, down: int, across: int) -> Aligned:
    """What is read at the best place near this one."""
    near = np.stack(np.meshgrid(down + _NEAR_PLACES, across + _NEAR_PLACES, indexing="ij"), axis=-1).reshape(-1, 2)
    back = np.exp(-2j * np.pi / PX * (near @ frequencies().T))
    heard = []
    for factor in _NEAR_ZOOMS:
        turned = _turned(picture, zoom * factor)
        deviation = np.sqrt((np.abs(turned) ** 2).sum() / 2)
        signs = _by_sign((turned * back).real) / max(float(deviation), 1e-12)
        heard += [(float(here @ here), zoom * factor, here) for here in signs]
    _, best_zoom, best = max(heard, key=lambda place: place[0])
    payload, word = decode(best)
    return Aligned(payload=payload, deviations=float(word @ best), zoom=best_zoom)


def _by_sign(waves: np.ndarray) -> np.ndarray:
    """(places, 384) -> (places, 128): sums over each sign's waves."""
    return waves[:, np.argsort(owners(), kind="stable")].reshape(len(waves), SIGNS, -1).sum(axis=2)
