"""What stays put: the wall behind and the body below."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from procedural.canvas import Canvas
from procedural.head import Head
from procedural.identity import Identity, shade


@lru_cache(maxsize=8)
def wall(identity: Identity, side: int) -> np.ndarray:
    """(side, side, 3) uint8, read only: two colours running into each other and a few large soft discs."""
    axis = (np.arange(side) + 0.5) / side
    top, bottom = (np.array(color, dtype=np.float32) for color in identity.wall)
    picture = np.broadcast_to(top + axis[:, None, None] * (bottom - top), (side, side, 3)).astype(np.float32)
    for x, y, radius, color in identity.spots:
        squared = ((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / radius**2
        weight = np.clip((1.1 - squared) / 0.3, 0, 1)[..., None].astype(np.float32)
        picture += weight * (np.array(color, dtype=np.float32) - picture)
    result = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    result.setflags(write=False)
    return result


def body(canvas: Canvas, head: Head, face: np.ndarray) -> Iterator[str]:
    """Shoulders, neck, the face's shadow on it, and the collar; yields the next layer's material."""
    who = head.identity
    half, neck = who.shoulders, 0.52 * who.width
    down = np.linspace(0, 1, 12)
    slope = np.stack([neck + (half - neck) * np.sin(down * np.pi / 2) ** 1.3, 0.845 + 0.17 * down**1.8], axis=1)
    right, left = slope * (1, 1) + (0.5, 0), slope * (-1, 1) + (0.5, 0)
    yield "cloth"
    canvas.fill(np.concatenate([left[::-1], right, [[0.5 + half, 1.2], [0.5 - half, 1.2]]]), who.clothes)
    yield "neck"
    _neck(canvas, head, face, neck)
    yield "cloth"
    _collar(canvas, who, neck)


def _neck(canvas: Canvas, head: Head, face: np.ndarray, half: float) -> None:
    who = head.identity
    top = head.place(np.array([[-half, 0.12, -0.06], [half, 0.12, -0.06]]))
    dip = 0.93 if who.collar == "v" else 0.885
    throat = [[0.5 + half * 1.12, 0.85], [0.5 + half * 0.6, (0.85 + dip) / 2 + 0.012], [0.5, dip]]
    throat += [[1 - x, y] for x, y in throat[1::-1]]
    outline = np.concatenate([top, throat])
    hole = canvas.hole(outline)
    if hole is None:
        return
    hole.pixels[:] = shade(who.skin, 0.88)
    hole.fill(face + np.array([0, 0.035 * head.state.scale]), shade(who.skin, 0.68))
    canvas.show(hole)


def _collar(canvas: Canvas, who: Identity, half: float) -> None:
    trim = who.trim
    if who.collar == "round":
        t = np.linspace(-1, 1, 21)
        canvas.stroke(np.stack([0.5 + 1.16 * half * t, 0.848 + 0.048 * (1 - t * t)], axis=1), 0.024, trim)
    elif who.collar == "v":
        canvas.stroke(np.array([[0.5 - 1.16 * half, 0.845], [0.5, 0.94], [0.5 + 1.16 * half, 0.845]]), 0.026, trim)
    elif who.collar == "shirt":
        for side in (-1, 1):
            flap = [[1.0 * half, 0.83], [1.28 * half, 0.86], [0.62 * half, 0.965], [0, 0.905]]
            canvas.fill(np.array(flap) * (side, 1) + (0.5, 0), trim)
    else:
        t = np.linspace(-1, 1, 15)
        up = np.stack([0.5 + 1.08 * half * t, 0.815 + 0.03 * (1 - t * t)], axis=1)
        low = np.stack([0.5 + 1.2 * half * t, 0.875 + 0.03 * (1 - t * t)], axis=1)
        canvas.fill(np.concatenate([up, low[::-1]]), trim)
