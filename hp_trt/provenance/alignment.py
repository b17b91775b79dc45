"""Where a tile lies in a picture, how large it is there, and how surely any does.

Size: each of `ZOOMS` is tried. Place: by one Fourier transform for all of them, since what 128 unknown signs give
together, whatever they are, is a sum over pairs of waves with one sign. The best few are tried nearby and decoded.

How sure: of a picture that knows nothing of our phases, the sum of its waves, each turned by a phase of ours, exceeds t
times its deviation with a chance of at most exp(-t^2 / 2), whatever the picture is (Chernoff's bound; the cosine of an
even phase is no wider than a normal number of its deviation). A word, a place and a size are chosen among `_CHOICES`,
so the chance that an unmarked picture gives a score of s or more is at most 10^-s.
"""

from __future__ import annotations

from collections.abc import Sequence
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
_AT_ONCE = 8  # sizes that are looked at together
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
    peaks: list[tuple[float, int, int, float]] = []
    for start in range(0, len(ZOOMS), _AT_ONCE):
        zooms = ZOOMS[start : start + _AT_ONCE]
        peaks += [(*peak, zoom) for peak, zoom in zip(_peaks(_turned(picture, zooms)), zooms, strict=True)]
    found = [_decoded(picture, zoom, down, across) for _, down, across, zoom in sorted(peaks, reverse=True)[:_TRIED]]
    return max(found, key=lambda aligned: aligned.deviations)


def _turned(picture: np.ndarray, zooms: Sequence[float]) -> np.ndarray:
    """(zooms, 384) complex128: the waves of a tile so large in the picture, of even size, turned back by our phases."""
    down, across = frequencies().T
    height, width = picture.shape
    rows = _waves(height, zooms)
    columns = np.ascontiguousarray((rows if width == height else _waves(width, zooms)).swapaxes(1, 2))
    half = (picture @ columns.view(np.float32)).view(np.complex64)
    rows = np.concatenate([rows.conj()[:, :0:-1], rows], axis=1)  # from -k to k
    waves = (rows @ half)[:, down + rows.shape[1] // 2, across].astype(np.complex128)
    rings = np.sqrt((np.abs(waves) ** 2).reshape(len(zooms), -1, _RING).mean(axis=2)).repeat(_RING, axis=1)
    waves /= np.maximum(rings, 1e-12)
    waves *= np.minimum(1, _LOUDEST / np.maximum(np.abs(waves), 1e-12))
    return waves * phases().conj()


def _waves(pixels: int, zooms: Sequence[float]) -> np.ndarray:
    """(zooms, 17, pixels) complex64: waves of 0 to 16 periods a tile, counted from the picture's middle."""
    highest = int(np.abs(frequencies()).max())
    waves = np.ones((len(zooms), highest + 1, pixels), np.complex128)
    turns = -2j * np.pi / (PX * np.asarray(zooms))[:, None]
    waves[:, 1:] = np.exp(turns * (np.arange(pixels) - (pixels - 1) / 2))[:, None]
    return np.multiply.accumulate(waves, axis=1).astype(np.complex64)


def _peaks(turned: np.ndarray) -> list[tuple[float, int, int]]:
    """Of each size the best place: how far over chance, in deviations over all places, and where, in 128ths of it."""
    cells, first, second, sign, weight = _pairs()
    other = turned[:, second]
    product = weight * turned[:, first] * (other.real + 1j * sign * other.imag)
    # Turning by a place is a Fourier sum over these products; of its real part half the plane is enough.
    plane = PX * (PX // 2 + 1)
    every = (cells + plane * np.arange(len(turned))[:, None]).ravel()
    half = np.zeros(plane * len(turned), np.complex64)
    half.real = np.bincount(every, product.real.ravel(), len(half))
    half.imag = np.bincount(every, -product.imag.ravel(), len(half))
    energy = np.fft.irfft2(half.reshape(-1, PX, PX // 2 + 1), s=(PX, PX)).reshape(len(turned), -1)
    best = energy.argmax(axis=1)
    over = (energy.max(axis=1) - energy.mean(axis=1)) / np.maximum(energy.std(axis=1), 1e-12)
    return [(float(o), int(b) // PX, int(b) % PX) for o, b in zip(over, best, strict=True)]


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
    angles = 2 * np.pi / PX * (near @ frequencies().T)
    turned = _turned(picture, [zoom * factor for factor in _NEAR_ZOOMS])
    deviation = np.sqrt((np.abs(turned) ** 2).sum(axis=1) / 2)
    heard = turned.real[:, None] * np.cos(angles) + turned.imag[:, None] * np.sin(angles)  # turned back to each place
    signs = _by_sign(heard) / np.maximum(deviation, 1e-12)[:, None, None]
    loudest = int((signs * signs).sum(axis=2).argmax())
    best = signs.reshape(-1, SIGNS)[loudest]
    payload, word = decode(best)
    return Aligned(payload=payload, deviations=float(word @ best), zoom=zoom * _NEAR_ZOOMS[loudest // len(near)])


def _by_sign(waves: np.ndarray) -> np.ndarray:
    """(..., 384) -> (..., 128): sums over each sign's waves."""
    first, second, third = np.argsort(owners(), kind="stable").reshape(SIGNS, -1).T
    return waves[..., first] + waves[..., second] + waves[..., third]
