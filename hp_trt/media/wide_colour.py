"""Videos whose numbers mean other colours than sRGB's: HDR (PQ and HLG), and the wider primaries of BT.2020 and P3.

Telephones record so. Shown as if they were sRGB, such pictures are flat and pale. What is as light as paper (203 cd/m2)
or darker keeps its light, lights above are pressed together. Anything else is left as it is, number for number.

Sources: BT.2100 (PQ, HLG and its OOTF at 1000 cd/m2), BT.2408 (paper white), BT.2020 and SMPTE RP 431-2 (primaries,
whose matrices follow from them), IEC 61966-2-1 (sRGB).
"""

from __future__ import annotations

from typing import Any

import numpy as np

_PQ, _HLG = 16, 18  # FFmpeg's numbers for transfer characteristics
_BT2020, _P3 = 9, 12  # and for primaries
_WHITE_XY = 0.3127, 0.3290  # D65, of all of them
_PRIMARIES_XY = {
    _BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    _P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_SRGB_XY = (0.64, 0.33), (0.30, 0.60), (0.15, 0.06)
_PAPER_CD_M2 = 203.0
_KNEE = 0.75  # of paper white: lights above it are pressed together
_STEPS = 65  # of each colour in the table; between them it is linear


class WideColour:
    """Makes sRGB of the pictures of one stream, with FFmpeg's numbers for what they are."""

    def __init__(self) -> None:
        self._tables: dict[tuple[int, int], Any] = {}

    def srgb(self, image: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of such colours; the same array where they are sRGB's."""
        if transfer not in (_PQ, _HLG) and primaries not in _PRIMARIES_XY:
            return image
        from PIL import Image, ImageFilter

        key = transfer, primaries
        if key not in self._tables:
            self._tables[key] = ImageFilter.Color3DLUT(_STEPS, _table(transfer, primaries).ravel())
        return np.asarray(Image.fromarray(image).filter(self._tables[key]))


def _table(transfer: int, primaries: int) -> np.ndarray:
    """(65^3, 3) float32 in [0, 1]: sRGB of each grid colour, red the quickest."""
    steps = np.linspace(0, 1, _STEPS)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    light = _light(np.stack([red, green, blue], axis=-1).reshape(-1, 3), transfer)
    if transfer in (_PQ, _HLG) and primaries not in _PRIMARIES_XY:
        primaries = _BT2020 if primaries == 2 else 0  # HDR that does not say is BT.2020
    if primaries in _PRIMARIES_XY:
        light = light @ (np.linalg.inv(_to_xyz(_SRGB_XY)) @ _to_xyz(_PRIMARIES_XY[primaries])).T
    light = np.clip(light, 0, None)
    if transfer in (_PQ, _HLG):
        highest = light.max(axis=1, keepdims=True)
        above = highest - _KNEE
        pressed = np.where(above > 0, _KNEE + (1 - _KNEE) * (1 - np.exp(-above / (1 - _KNEE))), highest)
        light = light * pressed / np.maximum(highest, 1e-9)
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)


def _light(signal: np.ndarray, transfer: int) -> np.ndarray:
    """(N, 3) in [0, 1] as light, 1 for paper white (HDR) or for the display's white."""
    if transfer == _PQ:
        root = signal ** (32 / 2523)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (16384 / 2610)
        return light * (10_000 / _PAPER_CD_M2)
    if transfer == _HLG:
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
        return scene * luminance[:, None] ** 0.2 * (1000 / _PAPER_CD_M2)
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _to_xyz(primaries: Any) -> np.ndarray:
    """(3, 3): light of these primaries to CIE XYZ, with D65 as their white."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    x, y = _WHITE_XY
    return columns * np.linalg.solve(columns, np.array([x / y, 1, (1 - x - y) / y]))
