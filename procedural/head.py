"""The head in space: an ellipsoid with a jaw, turned about the neck and projected straight on.

Head coordinates: x to the picture's right, y down, z towards the viewer, in picture sides, 0 in the
head's middle. A point of the surface is also a point of the unit sphere, before it is stretched.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import cos, pi, radians, sin

import numpy as np

from procedural.identity import Identity
from procedural.motion import State

Numbers = np.ndarray | float

MIDDLE = np.array([0.5, 0.46])  # of the head, looking straight
_DEPTH = 0.225
_PIVOT = np.array([0.0, 0.14, -0.05])
_RIM = np.linspace(0, 2 * pi, 120, endpoint=False)
HAIRLINE = -0.60  # how far up the forehead reaches in its middle, on the unit sphere
JAW_DROP = 0.045  # of the chin, at jaw = 1


class Head:
    """Places points of a head in the picture (picture sides, 0 .. 1)."""

    def __init__(self, identity: Identity, state: State) -> None:
        self.identity, self.state = identity, state
        self.known: dict[tuple, object] = {}  # curves that were asked for, by their name
        self.turn = _turn(state)
        self._origin = MIDDLE + np.array([state.shift_x, state.shift_y])
        stretch = np.array([identity.width, (identity.crown + identity.chin) / 2, _DEPTH])
        self._view = self.turn[2] / stretch
        self._view /= np.linalg.norm(self._view)

    def place(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) in the picture for (N, 3) in head coordinates."""
        turned = (points - _PIVOT) @ self.turn.T + _PIVOT
        return self._origin + self.state.scale * turned[:, :2]

    def at(self, x: Numbers, y: Numbers, rise: Numbers = 0.0) -> np.ndarray:
        """(N, 2) in the picture of what lies at x, y on the face seen from the front, `rise` before the skin."""
        return self.curves({"it": (x, y, rise)})["it"]

    def curves(self, spots: Mapping[str, tuple[Numbers, Numbers, Numbers]]) -> dict[str, np.ndarray]:
        """`at` for many at once, which is much faster: numbers broadcast within each x, y, rise."""
        sizes = [max(np.size(values) for values in spot) for spot in spots.values()]
        ends = np.cumsum(sizes)
        laid = np.empty((3, ends[-1]))
        for spot, size, end in zip(spots.values(), sizes, ends, strict=True):
            for row, values in zip(laid, spot, strict=True):
                row[end - size : end] = values
        x, y, rise = laid
        sphere = np.empty((3, ends[-1]))
        sphere[1] = y / np.where(y < 0, self.identity.crown, self.identity.chin)
        sphere[0] = x / (self.identity.width * self._jaw(sphere[1]))
        sphere[2] = np.sqrt(np.maximum(0, 1 - sphere[0] ** 2 - sphere[1] ** 2))
        points = self.surface(self.shown(sphere.T), jaw=0.0)
        points[:, 2] += rise
        placed = self.place(points)
        return {name: placed[end - size : end] for name, size, end in zip(spots, sizes, ends, strict=True)}

    def surface(self, sphere: np.ndarray, *, shell: float = 1.0, jaw: float | None = None) -> np.ndarray:
        """(N, 3) in head coordinates of (N, 3) on the unit sphere; `shell` times as far from the middle."""
        across, down, out = sphere.T
        points = np.empty(sphere.shape)
        points[:, 0] = shell * self.identity.width * across * self._jaw(down)
        points[:, 1] = shell * np.where(down < 0, self.identity.crown, self.identity.chin) * down
        points[:, 2] = shell * _DEPTH * out
        opening = self.state.jaw if jaw is None else jaw
        if opening:
            low = np.minimum(1, np.maximum(0, (down - 0.5) / 0.5))
            points[:, 1] += JAW_DROP * opening * low * low * (3 - 2 * low)
        return points

    def shown(self, sphere: np.ndarray) -> np.ndarray:
        """Points on the far side moved to the nearest place of the rim, where the viewer last sees the surface."""
        behind = np.minimum(sphere @ self._view, 0)
        moved = sphere - behind[:, None] * self._view
        return moved / np.sqrt((moved * moved).sum(axis=1, keepdims=True))

    @cached_property
    def rim(self) -> np.ndarray:
        """(120, 3) on the unit sphere: the outline that the viewer sees, clockwise from the right."""
        right = np.array([self._view[2], 0, -self._view[0]])
        right /= np.linalg.norm(right)
        down = np.cross(self._view, right)
        return np.cos(_RIM)[:, None] * right + np.sin(_RIM)[:, None] * down

    def facing(self, direction: tuple[float, float, float]) -> float:
        """-1 .. 1: how much a surface that looks along `direction` (of length 1) looks at the viewer."""
        return float(self.turn[2] @ direction)

    def _jaw(self, down: np.ndarray) -> np.ndarray:
        """How much wider than the ellipsoid the lower face is."""
        squared = np.minimum(1, np.maximum(0, down)) ** 2
        return 1 + 4 * self.identity.jaw * squared * (1 - squared) - 0.06 * squared


def _turn(state: State) -> np.ndarray:
    yaw, pitch, roll = radians(state.yaw_deg), radians(state.pitch_deg), radians(state.roll_deg)
    turned = np.array([[cos(yaw), 0, sin(yaw)], [0, 1, 0], [-sin(yaw), 0, cos(yaw)]])
    nodded = np.array([[1, 0, 0], [0, cos(pitch), sin(pitch)], [0, -sin(pitch), cos(pitch)]])
    tilted = np.array([[cos(roll), -sin(roll), 0], [sin(roll), cos(roll), 0], [0, 0, 1]])
    return tilted @ nodded @ turned
