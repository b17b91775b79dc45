"""Whether a face is photographed, told from one that is drawn in flat colours, as `procedural` draws.

Skin has shades: its levels change a little nearly everywhere. A drawing is flat, with edges. JPEG's noise changes
levels a little too, so it is smoothed away first, and of a small face, where most of what is there is noise, less is
said: a note that is wrong does more harm than one that is missing.

The numbers are of 200 drawn people in four versions each (128 to 1200 pixels, JPEG of quality 40 to 90, scaled up and
down), and of photographs and paintings in several.
"""

from __future__ import annotations

import numpy as np

# Of bundles whose weights have seen such drawings alone.
PHOTOGRAPH_NOTE = (
    "the portrait looks like a photograph: this bundle's weights know drawn people in flat colours alone, and make a "
    "smear of it; take a portrait of `hp-trt sample`, or a bundle of the published weights"
)
_SIDE = 96  # pixels a face is looked at in
_SMALL_PX, _SMALLEST_PX = 100, 80  # faces of which less, or nothing, is said
_DRAWN, _SMALL_DRAWN = 0.095, -0.02  # less is photographed
_SPREAD = 160.0  # levels that the darkest and the lightest parts are apart, once contrast is evened out
_LEAST_SPREAD = 100.0  # of a picture's own, below which more contrast would only be more noise


def photographed(face: np.ndarray) -> bool:
    """Of a face (H, W, 3) uint8 RGB, cut tightly: whether it is surely no drawing of flat colours."""
    if (side := max(face.shape[:2])) < _SMALLEST_PX:
        return False
    return _flatness(face) < (_DRAWN if side >= _SMALL_PX else _SMALL_DRAWN)


def _flatness(face: np.ndarray) -> float:
    """Which part is flat, and which part of the edges is sharp, less the part with shades."""
    import cv2

    way = cv2.INTER_AREA if min(face.shape[:2]) > _SIDE else cv2.INTER_LINEAR
    small = cv2.resize(np.ascontiguousarray(face), (_SIDE, _SIDE), interpolation=way)
    smooth = cv2.bilateralFilter(cv2.medianBlur(small, 3), 5, 24, 2).astype(np.float32)
    low, high = np.percentile(small, (2, 98))
    smooth *= _SPREAD / max(float(high - low), _LEAST_SPREAD)
    here = smooth[:-1, :-1]
    steps = np.maximum(np.abs(smooth[:-1, 1:] - here).max(axis=2), np.abs(smooth[1:, :-1] - here).max(axis=2))
    flat, sharp, shaded = (steps < 2.5).mean(), (steps > 20).mean(), ((steps > 3) & (steps < 14)).mean()
    return float(flat + sharp / max((steps > 4).mean(), 0.01) - shaded)
