"""Where each pixel lies on the head, which way the surface looks there, and how the face's features rise from it.

Everything here is smooth, so it is computed on a grid of half the picture's side and enlarged.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import cv2
import numpy as np

from procedural import features
from procedural.head import _DEPTH, _PIVOT, JAW_DROP, Head

ATLAS_PX, REACH = 320, 1.75  # of the atlas, which is the head's sphere seen from behind through its front
_ROUND = np.linspace(0, 2 * pi, 20, endpoint=False)
_BITS = 6
_BIG, _FINE = 0.026, 0.0105  # how soft the relief's shapes are, picture sides


@dataclass(frozen=True)
class Surface:
    """Of a grid of H x H cells; of the atlas fewer cells."""

    atlas: np.ndarray  # (h, h, 2) float32: x, y in the atlas's pixels
    normals: np.ndarray  # (H, H, 3) float32 of length one, towards the viewer
    relief: np.ndarray  # (H, H) float32: how far features rise, picture sides
    hollow: np.ndarray  # (H, H) float32 0 .. 1: how deep a place lies


def half_axes(head: Head) -> np.ndarray:
    """(3,) of the ellipsoid without its jaw, in picture sides."""
    who = head.identity
    return np.array([who.width, (who.crown + who.chin) / 2, _DEPTH])


def surface(head: Head, side: int) -> Surface:
    axes = half_axes(head)
    few = max(side // 2, 24)  # cells in which the head without its features is smooth enough
    axis = (np.arange(few) + 0.5) / few
    seen = np.empty((few, few, 2))
    seen[..., 0], seen[..., 1] = axis[None], axis[:, None]
    seen = (seen.reshape(-1, 2) - head._origin) / head.state.scale - _PIVOT[:2]
    # Along the line of sight a point is start + t * sight, here in the sphere's coordinates.
    start = (seen @ head.turn[:2] + _PIVOT) / axes
    sight = head.turn[2] / axes
    squared = float(sight @ sight)
    half = start @ sight
    root = np.sqrt(np.maximum(half * half - squared * (np.einsum("ij,ij->i", start, start) - 1), 0))
    sphere = start + ((root - half) / squared)[:, None] * sight
    sphere /= np.sqrt(np.einsum("ij,ij->i", sphere, sphere))[:, None]
    normals = (sphere / axes) @ head.turn.T
    normals /= np.sqrt(np.einsum("ij,ij->i", normals, normals))[:, None]
    normals[:, 2] = np.maximum(normals[:, 2], 0.02)
    low = np.clip((sphere[:, 1] - 0.5) / 0.5, 0, 1)
    sphere[:, 1] -= JAW_DROP / axes[1] * head.state.jaw * low * low * (3 - 2 * low)
    flat = sphere[:, :2] / np.maximum(1 + sphere[:, 2:], 0.3)
    both = np.concatenate([(flat / REACH + 1) * (ATLAS_PX / 2), normals], axis=1).astype(np.float32)
    both = both.reshape(few, few, 5)
    relief, hollow = _relief(head, side)
    normals = cv2.resize(both[..., 2:], (side, side), interpolation=cv2.INTER_LINEAR)
    return Surface(both[..., :2], normals, relief, hollow)


def _relief(head: Head, side: int) -> tuple[np.ndarray, np.ndarray]:
    who, state = head.identity, head.state
    spots: dict[str, tuple[float, float, float, float, int]] = {}
    for turned in (-1, 1):
        spots[f"socket {turned}"] = (turned * who.eye_x * 0.92, who.eye_y - 0.008, 0.062, 0.040, 62)
        spots[f"cheek {turned}"] = (turned * 0.115, 0.10, 0.062, 0.050, 190)
        spots[f"temple {turned}"] = (turned * who.width * 0.92, -0.04, 0.035, 0.10, 90)
        spots[f"brow {turned}"] = (turned * who.eye_x, who.eye_y - 0.9 * who.brow_y, 0.062, 0.018, 182)
        spots[f"jaw {turned}"] = (turned * who.width * 0.72, 0.16, 0.05, 0.06, 112)
    spots["forehead"] = (0, -0.15, 0.13, 0.07, 150)
    spots["chin"] = (0, who.chin * 0.86 + 0.8 * JAW_DROP * state.jaw, 0.05, 0.032, 195)
    spots["mouth"] = (0, who.mouth_y - 0.005, 0.085, 0.045, 165)
    cos, sin = np.cos(_ROUND), np.sin(_ROUND)
    placed = head.curves({name: (x + a * cos, y + b * sin, 0.0) for name, (x, y, a, b, _) in spots.items()})
    big = np.full((side, side), 128, np.uint8)
    for name, (*_, level) in spots.items():
        _fill(big, placed[name], level)
    nose, mouth = features.nose(head), features.mouth(head)
    fine = np.full((side, side), 70, np.uint8)
    half = len(mouth.lips) // 2
    lips = mouth.lips
    for end, wing in ((mouth.left, nose.under[0]), (mouth.right, nose.under[-1])):
        away = (end - wing) * (0.35, 1) + wing + (end - mouth.upper_middle) * 0.22
        _line(fine, np.stack([wing, (wing + away) / 2 + (end - mouth.upper_middle) * 0.12, away]), 0.013, 48)
    _fill(fine, lips, 110)
    _line(fine, lips[half:], 0.010, 128)
    _line(fine, mouth.seam, 0.008, 60)
    lower = lips[half + half // 4 : -(half // 4)]
    _line(fine, lower + np.array([0, 0.016]), 0.012, 50)
    for turned in (-1, 1):
        eye = features.eye(head, turned)
        _fill(fine, np.concatenate([eye.crease, eye.lower[::-1]]), 100)
        _line(fine, eye.crease, 0.006, 58)
    _fill(fine, nose.body, 130)
    _line(fine, np.stack([nose.bridge, nose.tip]), 0.022, 178)
    _fill(fine, nose.tip + 0.017 * state.scale * np.stack([cos, sin], axis=1), 235)
    for nostril in nose.nostrils:
        wing_middle = nostril.mean(axis=0) + (nostril.mean(axis=0) - nose.tip) * (0.45, 0.0)
        _fill(fine, wing_middle + 0.010 * np.stack([cos, sin], axis=1), 165)
    soft = cv2.GaussianBlur(big, (0, 0), _BIG * side).astype(np.float32)
    sharp = cv2.GaussianBlur(fine, (0, 0), max(_FINE * side, 0.4)).astype(np.float32)
    hollow = np.clip((128 - soft) * (1 / 70) + (70 - sharp) * (1 / 90), 0, 1)
    return soft * (0.085 / 255) + sharp * (0.055 / 255), hollow


def _fill(picture: np.ndarray, points: np.ndarray, level: int) -> None:
    places = np.rint((points * picture.shape[0] - 0.5) * (1 << _BITS)).astype(np.int32)
    cv2.fillPoly(picture, [places], level, cv2.LINE_AA, _BITS)


def _line(picture: np.ndarray, points: np.ndarray, width: float, level: int) -> None:
    side = picture.shape[0]
    places = np.rint((points * side - 0.5) * (1 << _BITS)).astype(np.int32)
    cv2.polylines(picture, [places], False, level, max(1, round(width * side)), cv2.LINE_AA, _BITS)
