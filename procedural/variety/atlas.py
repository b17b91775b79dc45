"""What is on a head's skin and hair, as a picture of its sphere that turns with it."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from procedural.identity import Identity
from procedural.variety.style import Variety
from procedural.variety.surface import ATLAS_PX, REACH
from procedural.variety.textures import clouds, fine

Grid = tuple[np.ndarray, np.ndarray, np.ndarray]


@lru_cache(maxsize=8)
def atlas(who: Identity, variety: Variety) -> np.ndarray:
    """(ATLAS_PX, ATLAS_PX, 4) float32, read only: factors of red, green and blue on skin, and of hair."""
    rng = np.random.default_rng([variety.seed, 83])
    axis = ((np.arange(ATLAS_PX) + 0.5) / (ATLAS_PX / 2) - 1) * REACH
    u, v = np.meshgrid(axis, axis)
    squared = u * u + v * v
    sphere = 2 * u / (1 + squared), 2 * v / (1 + squared), (1 - squared) / (1 + squared)
    x, y = who.width * sphere[0], (who.crown + who.chin) / 2 * sphere[1]
    result = np.empty((ATLAS_PX, ATLAS_PX, 4), np.float32)
    result[..., :3] = _skin(rng, who, variety, x, y)
    result[..., 3] = _strands(rng, variety, sphere)
    result.setflags(write=False)
    return result


def _skin(rng: np.random.Generator, who: Identity, variety: Variety, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    skin = variety.skin
    pale = np.clip(sum(who.skin) / 600, 0.2, 1)
    light = 1 + 0.035 * skin.pores * fine(rng, ATLAS_PX, 0.7) + 0.03 * skin.pores * fine(rng, ATLAS_PX, 2.5)
    light += 0.16 * skin.blotches * (clouds(rng, ATLAS_PX, cells=6, rough=0.7) - 0.5)
    red = 0.10 * skin.blotches * (clouds(rng, ATLAS_PX, cells=4, rough=0.6) - 0.5)
    for side in (-1, 1):
        red += 0.16 * skin.blush * _spot(x, y, side * 0.12, 0.10, 0.06, 0.045)
        socket = _spot(x, y, side * who.eye_x, who.eye_y + 0.012, 0.055, 0.032)
        light -= 0.28 * skin.sockets * socket
        light -= 0.20 * skin.wrinkles * _arc(x, y, side * who.eye_x, who.eye_y + 0.03, 0.055, 0.020)
    red += 0.12 * skin.blush * _spot(x, y, 0, who.nose_y - 0.005, 0.04, 0.03)
    if skin.wrinkles:
        wave = 0.004 * np.sin(30 * x + rng.uniform(0, 6))
        for level in rng.uniform(-0.19, -0.10, 3):
            light -= 0.16 * skin.wrinkles * np.exp(-(((y - level + wave) / 0.0035) ** 2) - (x / 0.09) ** 4)
    if skin.freckles:
        dots = np.clip(fine(rng, ATLAS_PX, 1.4) - 1.3, 0, 1)
        light -= 0.4 * skin.freckles * pale * dots * np.clip(_spot(x, y, 0, 0.05, 0.16, 0.10) * 1.5, 0, 1)
    for _ in range(skin.moles):
        light -= 0.5 * _spot(x, y, rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.22), 0.005, 0.005)
    result = np.stack([light * (1 + red), light * (1 - 0.6 * red), light * (1 - 0.7 * red)], axis=2)
    if skin.beard:
        low = np.clip((y - who.nose_y - 0.005) / 0.05, 0, 1) * np.clip(1.3 - np.abs(x) / (1.25 * who.width), 0, 1)
        bristle = np.clip(0.75 + 0.35 * fine(rng, ATLAS_PX, 0.6), 0, 1.4)
        shade = np.clip(skin.beard * low * bristle, 0, 0.9)[..., None]
        color = np.array(who.hair, np.float32) / np.maximum(np.array(who.skin, np.float32), 8)
        result += shade * (np.minimum(color, 0.75) - result)
    if skin.makeup is not None:
        color = np.array(skin.makeup, np.float32) / np.maximum(np.array(who.skin, np.float32), 30)
        for side in (-1, 1):
            lid = _spot(x, y, side * who.eye_x, who.eye_y - 0.032, 0.05, 0.022)[..., None]
            result += 0.6 * lid * (np.minimum(color, 1.6) - result)
    return np.clip(result, 0.08, 1.6).astype(np.float32)


def _strands(rng: np.random.Generator, variety: Variety, sphere: Grid) -> np.ndarray:
    """Along meridians from the crown, wavy, in tufts."""
    across, down, out = sphere
    azimuth = np.arctan2(across, out - 0.25) / np.pi  # -1 .. 1
    from_crown = np.arccos(np.clip(-down, -1, 1)) / np.pi
    bend = rng.uniform(0.0, 0.05) * np.sin(2 * np.pi * rng.uniform(1, 5) * from_crown + rng.uniform(0, 6))
    bend = bend + 0.04 * (clouds(rng, ATLAS_PX, cells=3) - 0.5)
    wide, tall = 512, 16
    grid = cv2.resize(rng.standard_normal((tall, wide), dtype=np.float32), (wide, 256), interpolation=cv2.INTER_CUBIC)
    coarse = cv2.GaussianBlur(grid, (0, 0), 4)
    grid = 0.5 * grid / grid.std() + coarse / coarse.std()
    places_x = ((azimuth + bend + 1) / 2 * (wide - 1)).astype(np.float32)
    places_y = (from_crown * 255).astype(np.float32)
    strands = cv2.remap(grid, places_x, places_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.clip(1 + 0.28 * variety.strands * strands, 0.2, 2.0)


def _spot(x: np.ndarray, y: np.ndarray, at_x: float, at_y: float, wide: float, tall: float) -> np.ndarray:
    return np.exp(-(((x - at_x) / wide) ** 2) - ((y - at_y) / tall) ** 2)


def _arc(x: np.ndarray, y: np.ndarray, at_x: float, at_y: float, wide: float, bow: float) -> np.ndarray:
    """A thin line that hangs like a bow."""
    along = (x - at_x) / wide
    return np.exp(-(((y - at_y + bow * along**2) / 0.004) ** 2) - along**4)
