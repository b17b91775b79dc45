"""A drawn video: somebody, and what they do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from procedural.draw import draw
from procedural.identity import Identity
from procedural.landmarks import face_box, landmarks
from procedural.motion import State, motion

FIRST_TRAINING_SEED = 1_000_000  # networks learn from it and those after it; those before are to measure with


@dataclass(frozen=True, kw_only=True)
class Clip:
    identity: Identity
    states: tuple[State, ...]
    px: int

    def frames(self) -> list[np.ndarray]:
        """One (px, px, 3) uint8 RGB for each state."""
        return [draw(self.identity, state, self.px) for state in self.states]

    def landmarks(self) -> np.ndarray:
        """(N, K, 2) float64 in pixels, the points of `procedural.landmarks.POINTS`."""
        return np.array([landmarks(self.identity, state, self.px) for state in self.states])

    def boxes(self) -> np.ndarray:
        """(N, 4) float64: x, y, width, height of each frame's face."""
        return np.array([face_box(self.identity, state, self.px) for state in self.states])


def clip(seed: int, *, frames: int, px: int = 256, identity_seed: int | None = None) -> Clip:
    """Motion and, unless `identity_seed` names somebody, identity from `seed`."""
    who = Identity.random(seed if identity_seed is None else identity_seed)
    return Clip(identity=who, states=tuple(motion(seed, frames)), px=px)
