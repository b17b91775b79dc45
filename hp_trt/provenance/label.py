"""A visible sign in the lower right corner: whoever looks at a frame can see that it was generated.

It is a part of the picture and can be cut away; the marks that cannot be seen are for those who look for them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

TEXT = "AI-generated"
_PAPER, _OPACITY = 20, 0.6  # of the field behind the letters: nearly black
_HEIGHT = 24  # the picture's height over the letters'
_LEAST_PX, _WIDEST = 9, 0.9  # letters' height; the field's share of the width


def labelled(image: np.ndarray) -> np.ndarray:
    """A new (H, W, 3) uint8 RGB with the sign. A picture too small for its letters gets the field alone."""
    height, width = image.shape[:2]
    ink, paper = _sign(height, width)
    rows, columns = ink.shape[:2]
    made = image.copy()
    corner = made[height - rows :, width - columns :]
    corner[:] = np.rint(corner * (1 - paper) + ink).astype(np.uint8)
    return made


@lru_cache(maxsize=8)
def _sign(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """What is added to the corner, (h, w, 1) float32, and which share of the picture it takes the place of."""
    from PIL import Image, ImageDraw, ImageFont

    size = max(_LEAST_PX, round(min(height, width) / _HEIGHT))
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(TEXT)
    gap = max(2, size // 3)
    columns, rows = round(right - left) + 2 * gap, round(bottom - top) + 2 * gap
    letters = Image.new("L", (columns, rows))
    ImageDraw.Draw(letters).text((gap - left, gap - top), TEXT, fill=255, font=font)
    most = max(1, round(_WIDEST * width))
    if columns > most:
        letters = letters.resize((most, max(1, rows * most // columns)))
    alpha = np.asarray(letters, np.float32)[-height:, :, None] / 255
    share = _OPACITY + (1 - _OPACITY) * alpha
    ink = 255 * alpha + _PAPER * _OPACITY * (1 - alpha)
    return ink, share
