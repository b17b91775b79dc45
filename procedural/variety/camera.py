"""What finishes a picture: how it is rendered in the end, a lens, a sensor, a file.

Everything is the same in all frames of a style but the sensor's noise, which is of the frame.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from procedural.identity import Color, Identity
from procedural.variety.style import Camera, Variety

_NOISE_PX = 640


def finished(picture: np.ndarray, finish: str, edges: np.ndarray) -> np.ndarray:
    """(px, px, 3) float32 as `finish`, of FINISHES, has it; edges (px, px) float32: 1 where one material ends."""
    if finish in ("gray", "sepia"):
        gray = (picture @ np.array([0.3, 0.59, 0.11], np.float32))[..., None]
        return gray * np.array([1.08, 0.97, 0.8] if finish == "sepia" else [1, 1, 1], np.float32)
    if finish == "steps":
        return 0.35 * picture + 0.65 * (np.floor(picture * 5) + 0.5) / 5
    if finish == "ink":
        return picture * (1 - 0.8 * edges[..., None])
    if finish == "paint":
        size = 5 if picture.shape[0] >= 200 else 3
        return cv2.medianBlur(np.clip(picture * 255, 0, 255).astype(np.uint8), size).astype(np.float32) / 255
    return picture


def taken(picture: np.ndarray, who: Identity, variety: Variety, frame: int) -> np.ndarray:
    """(px, px, 3) uint8 of (px, px, 3) float32 in 0 .. 1: what a camera makes of frame `frame`.

    It is set by the skin of `who`.
    """
    camera, px = variety.camera, picture.shape[0]
    if camera.coarse > 1:
        small = round(px / camera.coarse)
        picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(picture, (px, px), interpolation=cv2.INTER_CUBIC)
    if camera.blur * px > 0.25:
        picture = cv2.GaussianBlur(picture, (0, 0), camera.blur * px)
    if camera.aberration:
        picture = _parted(picture, camera.aberration)
    picture = cv2.multiply(picture, _falling_off(camera, _exposure(who.skin, variety), px))
    picture = cv2.transform(picture, _mixed(camera))
    picture = np.minimum(picture, 204 + 51 * np.tanh(np.maximum(picture - 204, 0) / 51))  # highlights run out softly
    if camera.noise > 0.002:
        picture += _noise(variety, px, frame)
    taken = cv2.convertScaleAbs(np.maximum(picture, 0))
    if camera.quality:
        _, data = cv2.imencode(".jpg", taken[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, camera.quality))
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert decoded is not None  # it was encoded just now
        taken = np.ascontiguousarray(decoded[..., ::-1])
    return taken


def _parted(picture: np.ndarray, aberration: float) -> np.ndarray:
    """Red larger and blue smaller, about the middle."""
    px = picture.shape[0]
    planes = []
    for channel, grown in ((0, 1 + aberration), (1, 1.0), (2, 1 - aberration)):
        middle = (px - 1) / 2 * (1 - grown)
        moved = np.array([[grown, 0, middle], [0, grown, middle]])
        plane = np.ascontiguousarray(picture[..., channel])
        planes.append(plane if grown == 1 else cv2.warpAffine(plane, moved, (px, px), borderMode=cv2.BORDER_REPLICATE))
    return cv2.merge(planes)


def _exposure(skin: Color, variety: Variety) -> float:
    """A factor: half of the way, roughly, from how light the skin would be to how light it is to be."""
    light = variety.light
    fallen = [a + 0.5 * k + 0.3 * f for a, k, f in zip(light.ambient, light.key_color, light.fill_color, strict=True)]
    seen = sum(skin) / 765 * (np.sqrt(sum(fallen) / 3) if variety.rendered else 1.0)
    return float(np.clip((variety.camera.exposure / max(seen, 0.05)) ** 0.6, 0.6, 2.5))


@lru_cache(maxsize=16)
def _mixed(camera: Camera) -> np.ndarray:
    """(3, 4): from colours in 0 .. 1 to levels of 255, with the camera's saturation and contrast."""
    gray = np.tile([0.3, 0.59, 0.11], (3, 1))
    turned = camera.contrast * (gray + camera.saturation * (np.eye(3) - gray))
    return 255 * np.column_stack([turned, np.full(3, 0.5 - 0.5 * camera.contrast)]).astype(np.float32)


@lru_cache(maxsize=16)
def _falling_off(camera: Camera, exposure: float, px: int) -> np.ndarray:
    axis = np.linspace(-1, 1, px, dtype=np.float32)
    away = (axis[None] ** 2 + axis[:, None] ** 2) / 2
    factor = (1 - camera.vignette * away**1.5)[..., None] * np.array(camera.balance, np.float32)
    result = (factor * exposure).astype(np.float32)
    result.setflags(write=False)
    return result


@lru_cache(maxsize=1)
def _sheet() -> np.ndarray:
    """(_NOISE_PX, _NOISE_PX, 3) float32 of deviation one, read only: what every frame's noise is cut from."""
    sheet = np.random.default_rng(84).standard_normal((_NOISE_PX, _NOISE_PX, 3), dtype=np.float32)
    sheet.setflags(write=False)
    return sheet


def _noise(variety: Variety, px: int, frame: int) -> np.ndarray:
    """(px, px, 3) float32 in levels."""
    rng = np.random.default_rng([variety.seed, 85, frame])
    sheet, camera = _sheet(), variety.camera
    if px > _NOISE_PX:
        sheet = np.tile(sheet, (-(-px // _NOISE_PX) + 1,) * 2 + (1,))
    y, x = rng.integers(0, sheet.shape[0] - px + 1, 2)
    cut = sheet[y : y + px, x : x + px]
    cut = cut[:: 1 if rng.random() < 0.5 else -1, :: 1 if rng.random() < 0.5 else -1]
    how = 255 * camera.noise * (camera.coloured * np.eye(3) + (1 - camera.coloured) * np.array([[1, 0, 0]] * 3))
    return cv2.transform(np.ascontiguousarray(cut), how.astype(np.float32))
