"""Putting a generated square back on the portrait it was cut from.

The square fades out over a tenth of its side, so the portrait around it stays as it was. A model that makes the whole
picture asks for no fading where the square ends with the picture.

Source: SPEC 9.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

ALL_SIDES = frozenset({"left", "top", "right", "bottom"})


def soft_mask(width: int, height: int, border_ratio: float = 0.1, sides: Collection[str] = ALL_SIDES) -> np.ndarray:
    """(height, width) float64 in [0, 1]: ones that fall linearly to 0 on the `sides` named, all four at first.

    The ramps are int(border_ratio * side) pixels, both ends included. A ramp of one pixel is 0 at
    the left and top and stays 1 at the right and bottom: a quirk of the release, kept.
    """
    mask = np.ones((height, width))
    border_x, border_y = int(width * border_ratio), int(height * border_ratio)
    if border_x and "left" in sides:
        mask[:, :border_x] = np.linspace(0, 1, border_x)
    if border_x and "right" in sides:
        mask[:, -border_x:] = np.linspace(1, 0, border_x)
    if border_y and "top" in sides:
        mask[:border_y] *= np.linspace(0, 1, border_y)[:, None]
    if border_y and "bottom" in sides:
        mask[-border_y:] *= np.linspace(1, 0, border_y)[:, None]
    return mask


class PasteBack:
    """One portrait, prepared so that each frame costs a resize, and a multiply and an add where the square fades.

    `image` (H, W, 3) uint8 RGB and `box` x0, y0, x1, y1 inside it, in whole pixels. `fade_at_edges`: fade out also
    where the box ends with the picture, as the first model's release does; without it, of a box that is the whole
    picture all is the made one.
    """

    def __init__(
        self, image: np.ndarray, box: Sequence[int], border_ratio: float = 0.1, *, fade_at_edges: bool = True
    ) -> None:
        x0, y0, x1, y1 = (int(v) for v in box)
        height, width = image.shape[:2]
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise ValueError(f"the box {(x0, y0, x1, y1)} must lie inside the picture of {width} x {height} pixels")
        self._image = image
        self._where = slice(y0, y1), slice(x0, x1)
        self._size = x1 - x0, y1 - y0
        at_edges = {"left": x0 == 0, "top": y0 == 0, "right": x1 == width, "bottom": y1 == height}
        sides = {side for side in ALL_SIDES if fade_at_edges or not at_edges[side]}
        mask = soft_mask(*self._size, border_ratio, sides)[:, :, None].astype(np.float32)
        rest = image[self._where].astype(np.float32) / np.float32(255) * (1 - mask)
        every_channel = np.broadcast_to(mask, rest.shape)
        self._fading = [(band, every_channel[band].copy(), rest[band].copy()) for band in _bands(mask[:, :, 0])]

    def __call__(self, generated: np.ndarray) -> np.ndarray:
        """The whole picture (H, W, 3) uint8 with `generated` (g, g, 3) uint8 in its box. A fresh array."""
        import cv2

        result = self._image.copy()
        square = result[self._where]
        cv2.resize(generated, self._size, dst=square, interpolation=cv2.INTER_LINEAR)
        for band, mask, rest in self._fading:
            # float32 in [0, 1], in this order: the truncation then falls as it does in the release. Where the mask is 1
            # it gives each level back, so that nothing is to be done there.
            blended = square[band].astype(np.float32)
            blended /= np.float32(255)
            blended *= mask
            blended += rest
            blended *= np.float32(255)
            square[band] = blended.astype(np.uint8)
        return result


def _bands(mask: np.ndarray) -> list[tuple[slice, slice]]:
    """The parts of a `soft_mask` that are not all ones: above, below, left and right of the rectangle of ones."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.max(axis=1) == 1), np.flatnonzero(mask.max(axis=0) == 1)
    if not len(rows):
        return [(slice(0, height), slice(0, width))]
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    inside = slice(top, bottom)
    bands = [
        (slice(0, top), slice(0, width)),
        (slice(bottom, height), slice(0, width)),
        (inside, slice(0, left)),
        (inside, slice(right, width)),
    ]
    return [(ys, xs) for ys, xs in bands if ys.start < ys.stop and xs.start < xs.stop]
