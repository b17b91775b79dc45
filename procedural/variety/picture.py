"""One frame of a varied person."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np

from procedural import features, scene
from procedural.canvas import Box, Canvas
from procedural.draw import MATERIALS, paint
from procedural.head import Head
from procedural.identity import Identity, shade
from procedural.motion import State
from procedural.variety.camera import finished, taken
from procedural.variety.light import lit
from procedural.variety.style import Variety
from procedural.variety.textures import backdrop

_ROUND = np.linspace(0, 2 * np.pi, 12, endpoint=False)
_DISC = np.stack([np.cos(_ROUND), np.sin(_ROUND)], axis=1)
_BITS = 6


class _Layers(Canvas):
    """A canvas that keeps how much of each pixel every layer covers."""

    def __init__(self, pixels: np.ndarray, side: int) -> None:
        super().__init__(pixels, side)
        self._layers: list[tuple[str, np.ndarray]] = []

    def begin(self, material: str) -> None:
        """What is painted from now on is of `material`."""
        if not self._layers or self._layers[-1][0] != material:
            self._layers.append((material, np.zeros((self.side, self.side), np.float32)))

    def materials(self) -> dict[str, np.ndarray]:
        """(side, side) float32 in 0 .. 1 of each of MATERIALS: how much of a pixel is of it, seen from the front."""
        parts = {material: np.zeros((self.side, self.side), np.float32) for material in MATERIALS}
        left = np.ones((self.side, self.side), np.float32)
        for material, cover in reversed(self._layers):
            shown = left * cover
            parts[material] += shown
            left -= shown
        return parts

    def _blend(self, box: Box, over: np.ndarray, weight: np.ndarray) -> None:
        super()._blend(box, over, weight)
        x0, y0, x1, y1 = box
        cover = self._layers[-1][1][y0:y1, x0:x1]
        np.maximum(cover, weight, out=cover)


def draw_varied(identity: Identity, variety: Variety, state: State, px: int, frame: int = 0) -> np.ndarray:
    """(px, px, 3) uint8 RGB: `draw`'s picture in this style; the same arrays for the same arguments.

    What is where stays: `procedural.landmarks` are of this picture, too. `frame` is what the sensor's noise is of.
    """
    who = variety.dress(identity)
    head = Head(who, state)
    canvas = _Layers(_behind(who, variety, px).copy(), px)
    for material in paint(canvas, head, variety.manner):
        canvas.begin(material)
    if not variety.rendered:
        return taken(canvas.pixels.astype(np.float32) * np.float32(1 / 255), who, variety, frame)
    _single_hairs(canvas, head, variety)
    materials = canvas.materials()
    picture = lit(canvas.pixels, materials, head, variety)
    _catch_lights(picture, materials, head, variety)
    if variety.finish != "none":
        edges = _edges(materials) if variety.finish == "ink" else np.zeros((px, px), np.float32)
        picture = finished(picture, variety.finish, edges)
    return taken(picture, who, variety, frame)


@lru_cache(maxsize=8)
def _behind(who: Identity, variety: Variety, px: int) -> np.ndarray:
    if not variety.rendered:
        return scene.wall(who, px)
    result = backdrop(variety.backdrop, variety.seed, px, variety.backdrop_blur, variety.light.key)
    result.setflags(write=False)
    return result


def _single_hairs(canvas: _Layers, head: Head, variety: Variety) -> None:
    """Thin lines over the hair and past its edge."""
    who = head.identity
    if not variety.flyaway or who.style == "bald":
        return
    rng = np.random.default_rng([variety.seed, 86])
    count, along = variety.flyaway, np.linspace(0, 1, 7)
    azimuth = rng.uniform(-np.pi, np.pi, (count, 1)) + 0.25 * along * rng.uniform(-1, 1, (count, 1))
    start, length = rng.uniform(0.0, 0.25, (count, 1)), rng.uniform(0.15, 0.38, (count, 1))
    polar = np.pi * np.minimum(start + length * along, 0.5)
    sphere = np.stack([np.sin(polar) * np.sin(azimuth), -np.cos(polar), np.sin(polar) * np.cos(azimuth)], axis=2)
    sphere = sphere[sphere[:, -1, 2] < 0.35]  # not down the face
    if not len(sphere):
        return
    out = (
        1 + who.volume * rng.uniform(0.5, 1.3, (len(sphere), 1)) + 0.05 * along * rng.uniform(-0.3, 1, (len(sphere), 1))
    )
    flat = head.shown(sphere.reshape(-1, 3))
    points = head.place(head.surface(flat) * out.reshape(-1, 1)).reshape(len(sphere), -1, 2)
    # One that goes over the edge to the far side would be seen jump to the edge's other end.
    points = points[np.abs(np.diff(points, axis=1)).max(axis=(1, 2)) < 0.08]
    if not len(points):
        return
    places = np.rint((points * canvas.side - 0.5) * (1 << _BITS)).astype(np.int32)
    canvas.begin("hair")
    x0, y0 = np.clip(places.min(axis=(0, 1)) // (1 << _BITS) - 1, 0, canvas.side - 1)
    x1, y1 = np.clip(places.max(axis=(0, 1)) // (1 << _BITS) + 2, 1, canvas.side)
    # A line is a pixel wide at least: thinner ones are paler.
    cover = np.zeros((y1 - y0, x1 - x0), np.uint8)
    color = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
    color[:] = who.hair
    moved = places - np.array([x0, y0], np.int32) * (1 << _BITS)
    cv2.polylines(cover, list(moved), False, 150, 1, cv2.LINE_AA, _BITS)
    for part, factor in enumerate((0.6, 1.5)):
        cv2.polylines(color, list(moved[part::3]), False, shade(who.hair, factor), 1, cv2.LINE_8, _BITS)
    canvas._blend((int(x0), int(y0), int(x1), int(y1)), color, cover * np.float32(1 / 255))


def _catch_lights(picture: np.ndarray, materials: Mapping[str, np.ndarray], head: Head, variety: Variety) -> None:
    """The key light in both eyes, where they are open."""
    if variety.catch < 0.15:
        return
    px, light = picture.shape[0], variety.light
    radius = 0.9 * head.identity.eye_height
    color = np.minimum(np.array(light.key_color, np.float32) + 0.4, 1.2)
    for side in (-1, 1):
        eye = features.eye(head, side)
        middle = eye.iris_middle + radius * 0.45 * np.array(light.key[:2])
        corners = (middle + radius * 0.28 * _DISC) * px - 0.5
        x0, y0 = np.clip(np.floor(corners.min(axis=0)).astype(int) - 1, 0, px)
        x1, y1 = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 2, 0, px)
        if eye.opening < 0.1 or x1 <= x0 or y1 <= y0:
            continue
        layer = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(layer, [np.rint((corners - (x0, y0)) * (1 << _BITS)).astype(np.int32)], 255, cv2.LINE_AA, _BITS)
        how = layer * np.float32(variety.catch / 255) * materials["eye"][y0:y1, x0:x1]
        seen = picture[y0:y1, x0:x1]
        seen += how[..., None] * (color - seen)


def _edges(materials: Mapping[str, np.ndarray]) -> np.ndarray:
    """(px, px) float32: where skin, hair or eyes end."""
    square = np.ones((2, 2), np.uint8)
    return np.max([cv2.morphologyEx(materials[n], cv2.MORPH_GRADIENT, square) for n in ("skin", "hair", "eye")], axis=0)
