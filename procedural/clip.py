"""A drawn video: somebody, and what they do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from procedural.identity import Identity
from procedural.landmarks import face_box, landmarks
from procedural.motion import State, motion
from procedural.people import Person
from procedural.variety import Variety

FIRST_TRAINING_SEED = 1_000_000  # networks learn from it and those after it; those before are to measure with


@dataclass(frozen=True, kw_only=True)
class Clip:
    identity: Identity
    states: tuple[State, ...]
    px: int
    variety: Variety | None = None  # how it is rendered; None: plain

    def frames(self) -> list[np.ndarray]:
        """One (px, px, 3) uint8 RGB for each state."""
        person = Person(identity=self.identity, variety=self.variety)
        return [person.draw(state, self.px, frame) for frame, state in enumerate(self.states)]

    def landmarks(self) -> np.ndarray:
        """(N, K, 2) float64 in pixels, the points of `procedural.landmarks.POINTS`."""
        return np.array([landmarks(self.identity, state, self.px) for state in self.states])

    def boxes(self) -> np.ndarray:
        """(N, 4) float64: x, y, width, height of each frame's face."""
        return np.array([face_box(self.identity, state, self.px) for state in self.states])


def clip(seed: int, *, frames: int, px: int = 256, identity_seed: int | None = None, varied: bool = False) -> Clip:
    """Motion and, unless `identity_seed` names somebody, identity from `seed`; `varied`: the seed's rendering of it."""
    who = Person.random(seed if identity_seed is None else identity_seed, varied=varied)
    return Clip(identity=who.identity, variety=who.variety, states=tuple(motion(seed, frames)), px=px)
