"""Light on a drawn picture: what is skin, hair or cloth gets its texture, its shadows and its shine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np

from procedural.draw import MATERIALS
from procedural.head import Head
from procedural.variety.atlas import atlas
from procedural.variety.style import Light, Variety, Vector
from procedural.variety.surface import Surface, surface
from procedural.variety.textures import cloth

Parts = Mapping[str, np.ndarray]  # of MATERIALS: how much of each cell is of it
_UNLIT = "other"
_MOST = 96  # cells along a side in which light is computed: it is smooth
_REACH = (1.0, 0.08), (0.72, 0.02), (0.62, 0.0)  # of red, green, blue
_VIEWER = np.array([0.0, 0.0, 1.0])


def lit(picture: np.ndarray, materials: Parts, head: Head, variety: Variety) -> np.ndarray:
    """(px, px, 3) float32 in 0 .. 1, and above where light is strong.

    picture (px, px, 3) uint8; materials (px, px) float32 each: how much of a pixel is of it.
    """
    px, light = picture.shape[0], variety.light
    half = min(max(px // 2, 32), _MOST)
    where = surface(head, half)
    small = {
        name: cv2.resize(materials[name], (half, half), interpolation=cv2.INTER_AREA)
        for name in MATERIALS
        if name != _UNLIT
    }
    normals = _normals(where, small, variety)
    solid = np.minimum(np.sum(list(small.values()), axis=0), 1)[..., None]
    factor = np.sqrt(1 + solid * (_falling(normals, where, small, light) - 1))
    shine = np.sqrt(np.maximum(_shine(normals, small, variety), 0))
    textures = _textures(where, materials, head, variety, px)
    # Light adds up as the square of a picture's values.
    base = cv2.multiply(picture, cv2.multiply(textures, _enlarged(factor, px)), scale=1 / 255, dtype=cv2.CV_32F)
    return cv2.magnitude(base.reshape(px, -1), _enlarged(shine, px).reshape(px, -1)).reshape(px, px, 3)


def _normals(where: Surface, small: Parts, variety: Variety) -> np.ndarray:
    """The head's with its relief; of the body, which stays, a barrel's."""
    side = where.relief.shape[0]
    slope = variety.light.relief * side / 2
    normals = where.normals.copy()
    face = 1 - 0.85 * small["hair"]
    relief = where.relief
    normals[:, 1:-1, 0] -= slope * face[:, 1:-1] * (relief[:, 2:] - relief[:, :-2])
    normals[1:-1, :, 1] -= slope * face[1:-1] * (relief[2:] - relief[:-2])
    body = small["cloth"] + small["neck"]
    wide = 0.42 - 0.22 * small["neck"]
    across = np.clip((np.linspace(0, 1, side, dtype=np.float32)[None] - 0.5) / wide, -0.95, 0.95)
    normals[..., 0] += body * (across - normals[..., 0])
    normals[..., 1] += body * (-0.15 - normals[..., 1])
    normals[..., 2] += body * (np.sqrt(1 - across * across) - normals[..., 2])
    normals /= np.sqrt((normals * normals).sum(axis=2, keepdims=True))
    return normals


def _falling(normals: np.ndarray, where: Surface, small: Parts, light: Light) -> np.ndarray:
    """(H, H, 3): the light that falls on each place, about one."""
    side = normals.shape[0]
    towards = normals @ np.array(light.key, np.float32)
    towards *= 1 - light.shadow * _shadow(where.relief, small, light.key)
    filling = np.maximum(normals @ np.array(light.fill, np.float32), 0)
    closed = 1 - light.occlusion * (0.55 * where.hollow * (1 - small["hair"]))
    head = small["skin"] + small["hair"] + small["lips"]
    near = cv2.GaussianBlur(head, (0, 0), 0.035 * side)
    down = round(0.03 * side)
    near[down:] = near[:-down].copy()
    closed *= 1 - light.occlusion * 0.75 * (small["cloth"] + small["neck"]) * near
    closed *= 1 - light.occlusion * 0.55 * small["skin"] * cv2.GaussianBlur(small["hair"], (0, 0), 0.022 * side)
    sky = (0.8 - 0.2 * normals[..., 1]) * closed
    rim = (1 - normals[..., 2]) ** 3 * np.clip(-normals[..., 0] * np.sign(light.key[0]) + 0.2, 0, 1)
    half_open = 0.35 + 0.65 * closed
    planes = []
    for channel, reach in enumerate(_REACH):
        # Red light goes farther through skin: it reaches round the edge of the shadow.
        soft = light.soft * reach[0] + reach[1]
        keyed = np.maximum(towards + soft, 0) * (light.key_color[channel] / (1 + soft))
        keyed += filling * light.fill_color[channel]
        planes.append(keyed * half_open + sky * light.ambient[channel] + rim * light.rim_color[channel])
    return cv2.merge([plane.astype(np.float32) for plane in planes])


def _shadow(relief: np.ndarray, small: Parts, key: Vector) -> np.ndarray:
    """(H, H) 0 .. 1: where something nearer to the light stands before it: nose, brows, lips, the fringe."""
    side = relief.shape[0]
    height = relief + 0.03 * cv2.GaussianBlur(small["hair"], (0, 0), 0.008 * side)
    shadow = np.zeros_like(relief)
    for reach in (0.018, 0.040):
        moved = np.array([[1, 0, key[0] * reach * side], [0, 1, key[1] * reach * side]])
        nearer = cv2.warpAffine(
            height, moved, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        )
        shadow = cv2.max(shadow, nearer - height - 0.35 * reach * max(key[2], 0.1))
    return np.clip(cv2.GaussianBlur(shadow, (0, 0), 0.006 * side) * 90, 0, 1)


def _shine(normals: np.ndarray, small: Parts, variety: Variety) -> np.ndarray:
    """(H, H, 3): what is mirrored of the key light."""
    light = variety.light
    middle = np.array(light.key) + _VIEWER
    middle /= np.linalg.norm(middle)
    facing = np.clip(normals @ middle.astype(np.float32), 0, 1)
    broad = facing
    for _ in range(light.sharp):
        broad = broad * broad
    sharp = broad * broad
    how = light.gloss * small["skin"] * broad + variety.lip_gloss * small["lips"] * sharp
    how += 0.12 * variety.hair_gloss * small["hair"] * np.sqrt(broad)
    return how[..., None] * np.array(light.key_color, np.float32)


def _textures(where: Surface, materials: Parts, head: Head, variety: Variety, px: int) -> np.ndarray:
    """(px, px, 3): what colours are multiplied by."""
    places = _enlarged(where.atlas, px)
    seen = cv2.remap(
        atlas(head.identity, variety), places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    red, green, blue, strands = cv2.split(seen)
    gray = 1 + materials["hair"] * (strands - 1) + materials["cloth"] * (woven(variety, px) - 1)
    skin = materials["skin"]
    return cv2.merge([gray + skin * (plane - 1) for plane in (red, green, blue)])


@lru_cache(maxsize=8)
def woven(variety: Variety, px: int) -> np.ndarray:
    """(px, px) float32, read only."""
    result = cloth(variety.cloth, variety.seed, 256, variety.cloth_contrast)
    result = cv2.resize(result, (px, px), interpolation=cv2.INTER_AREA if px < 256 else cv2.INTER_LINEAR)
    result.setflags(write=False)
    return result


def _enlarged(values: np.ndarray, px: int) -> np.ndarray:
    return cv2.resize(values, (px, px), interpolation=cv2.INTER_LINEAR)
