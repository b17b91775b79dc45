"""Hair: what hangs behind the head, the cap on it, and the fringe before the forehead."""

from __future__ import annotations

import cv2
import numpy as np

from procedural.canvas import Canvas
from procedural.head import HAIRLINE, MIDDLE, Head
from procedural.identity import shade
from procedural.manner import PLAIN, Manner

_HANGING = ("bob", "long")
_LINE = np.linspace(-1, 1, 41)


def covers_ears(style: str) -> bool:
    return style in (*_HANGING, "curly")


def hull(points: np.ndarray) -> np.ndarray:
    """The corners of the points' convex hull, in order."""
    return cv2.convexHull(points.astype(np.float32))[:, 0].astype(np.float64)


def skin(head: Head) -> np.ndarray:
    """The outline of the head's skin: the whole head of a bald one, what is below the hairline of others."""
    rim = head.rim
    if head.identity.style == "bald":
        return hull(head.place(head.surface(rim)))
    across = 0.995 * np.sin(_LINE * np.pi / 2)
    line = head.shown(_on_sphere(across, _dome(across)))  # from the left ear over the forehead to the right one
    front = rim[(rim[:, 1] > 0) & (rim[:, 2] > _behind(rim[:, 1]))]
    level = np.linspace(0.05, 0.80, 16)
    away = _behind(level)
    across = np.sqrt(1 - level**2 - away**2)
    jaw = [np.stack([side * across, level, away], axis=1) for side in (-1, 1)]
    return hull(head.place(head.surface(np.concatenate([line, front, *(head.shown(edge) for edge in jaw)]))))


def _behind(down: np.ndarray) -> np.ndarray:
    """How far back the face reaches below the hairline: to the ears, and farther under the jaw."""
    return -0.10 - 0.55 * np.minimum(1, np.maximum(0, down)) ** 2


def _dome(across: np.ndarray) -> np.ndarray:
    """How far up the forehead reaches, as the middle coordinate on the unit sphere."""
    return HAIRLINE + 0.68 * np.abs(across) ** 3


def back(canvas: Canvas, head: Head) -> None:
    """What is behind the neck."""
    who = head.identity
    if who.style not in (*_HANGING, "bun"):
        return
    color = shade(who.hair, 0.8)
    shell = 1 + who.volume
    if who.style == "bun":
        middle = head.place(np.array([[0.0, -1.12 * who.crown, -0.08]]))
        canvas.fill(_disc(middle, 0.085 * head.state.scale, 32), shade(who.hair, 0.9))
        return
    end = who.chin * (0.80 if who.style == "bob" else 1.45)
    level = np.linspace(0.0, 1.0, 9)
    width = who.width * (shell + 0.05 + (0.16 if who.style == "bob" else 0.22) * np.sin(level * np.pi * 0.62))
    x, y = np.concatenate([-width, width]), np.tile(level * end, 2)
    moving = head.place(np.stack([x, y, np.full(18, -0.10)], axis=1))
    resting = MIDDLE + np.stack([x, y], axis=1)  # the ends lie on the shoulders
    sides = moving + np.tile(level, 2)[:, None] ** 1.5 * (resting - moving)
    top = head.place(head.surface(head.rim[head.rim[:, 1] < 0.1], shell=shell + 0.02))
    canvas.fill(hull(np.concatenate([sides, top])), color)


def cap(canvas: Canvas, head: Head) -> None:
    """The hair on the skull; the face is painted over it."""
    who = head.identity
    if who.style == "bald":
        return
    rim = head.rim
    shell = 1 + who.volume
    low = 0.45 if covers_ears(who.style) else 0.24
    upper = head.surface(rim[rim[:, 1] < low], shell=shell)
    around = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    wide = np.sqrt(1 - low**2)
    ring = np.stack([np.cos(around) * wide, np.full(48, low), np.sin(around) * wide], axis=1)
    ring = ring[ring[:, 2] < 0.3]  # round the back, from temple to temple
    outline = np.concatenate([upper, head.surface(ring, shell=shell)])
    canvas.fill(hull(head.place(outline)), who.hair)
    if who.style == "curly":
        _curls(canvas, head)


def _curls(canvas: Canvas, head: Head) -> None:
    who = head.identity
    along = np.linspace(np.pi * 0.92, np.pi * 2.08, 13)
    sphere = np.stack([np.cos(along), np.sin(along), np.full(13, -0.1)], axis=1)
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    middles = head.place(head.surface(head.shown(sphere), shell=1.04 + who.volume / 2))
    for i, middle in enumerate(middles):
        canvas.fill(_disc(middle, head.state.scale * (0.056 + 0.010 * np.cos(2.4 * i)), 24), who.hair)


def fringe(canvas: Canvas, head: Head, manner: Manner = PLAIN) -> None:
    """What falls before the forehead, and the light on the hair."""
    who = head.identity
    if who.style == "bald":
        return
    x = np.sin(_LINE * np.pi / 2)
    side = 1 if sum(who.hair) % 2 else -1  # of the parting
    dome = _dome(x)
    if who.style in ("fringe", "bob"):
        edge = -0.36 + 0.02 * np.cos(9 * x) + 0.42 * np.abs(x) ** 4
    elif who.style in ("parted", "long"):
        part = 0.35 * side
        edge = np.minimum(dome + 0.05, -0.66 + 0.34 * np.abs(x - part) ** 1.3 + 0.2 * np.abs(x) ** 4)
        edge = np.maximum(edge, dome - 0.1)
    elif who.style == "curly":
        edge = dome + 0.055 + 0.035 * np.cos(14 * x)
    else:
        edge = dome + 0.05 + 0.03 * np.cos(5 * x + side)
    low, high = _on_sphere(x, edge), _on_sphere(x, np.minimum(edge, dome) - 0.1)
    outline = head.surface(head.shown(np.concatenate([low, high[::-1]])), shell=1.015)
    canvas.fill(head.place(outline), who.hair)
    light = np.linspace(-0.62, 0.3, 15) * side
    shine = head.place(head.surface(head.shown(_on_sphere(light, -0.84 + 0.3 * light**2)), shell=1 + who.volume * 0.8))
    canvas.stroke(shine, 0.028 * np.sin(np.linspace(0.1, np.pi - 0.1, 15)), shade(who.hair, 1.35), 0.55 * manner.shine)


def _on_sphere(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    size = np.sqrt(np.maximum(1, across**2 + down**2))
    across, down = across / size, down / size
    return np.stack([across, down, np.sqrt(np.clip(1 - across**2 - down**2, 0, 1))], axis=1)


def _disc(middle: np.ndarray, radius: float, corners: int) -> np.ndarray:
    around = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return middle + radius * np.stack([np.cos(around), np.sin(around)], axis=1)
