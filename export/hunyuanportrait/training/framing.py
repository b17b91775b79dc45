"""How near a drawn person is in a training picture: plain people as they are drawn, varied ones nearer or farther.

A photograph's crop is often full of its face, and one that shows a whole body gives the face a third of its width.
Whoever is nearer is drawn larger and cut, nothing is scaled afterwards; of whoever is farther the picture goes on at
the sides and above as its edges do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from procedural.landmarks import face_box, landmarks
from procedural.motion import State
from procedural.people import Person

_FARTHEST, _NEAREST = 0.75, 1.5  # times as large as plain people


@dataclass(frozen=True, kw_only=True)
class Framing:
    """A square of `px` pixels that shows a picture of `side`, whose corner lies at `x`, `y`."""

    px: int
    side: int
    x: int = 0
    y: int = 0

    @classmethod
    def random(cls, person: Person, state: State, px: int, seed: int, *, nearest: float = _NEAREST) -> Self:
        """Of a clip that begins with `state`; plain people fill the square as they are drawn."""
        if person.variety is None:
            return cls(px=px, side=px)
        rng = np.random.default_rng([seed, 88])
        side = round(px * float(np.exp(rng.uniform(np.log(_FARTHEST), np.log(nearest)))))
        if side <= px:
            return cls(px=px, side=side, x=int(rng.integers(px - side + 1)), y=px - side)
        middle = landmarks(person.identity, state, side)[:5].mean(axis=0) + rng.normal(0, 0.03 * px, 2)
        x, y = (int(v) for v in np.clip(np.rint(middle - px / 2), 0, side - px))
        return cls(px=px, side=side, x=-x, y=-y)

    def draw(self, person: Person, state: State, frame: int) -> np.ndarray:
        """(px, px, 3) uint8."""
        picture = person.draw(state, self.side, frame)
        if self.side >= self.px:
            return picture[-self.y : self.px - self.y, -self.x : self.px - self.x]
        right = self.px - self.side - self.x
        wide = cv2.copyMakeBorder(picture, 0, 0, self.x, right, cv2.BORDER_REFLECT_101)
        return cv2.copyMakeBorder(wide, self.y, 0, 0, 0, cv2.BORDER_REPLICATE)

    def landmarks(self, person: Person, state: State) -> np.ndarray:
        """(K, 2) float64 in the square's pixels."""
        return landmarks(person.identity, state, self.side) + np.array([self.x, self.y])

    def face_box(self, person: Person, state: State) -> tuple[float, float, float, float]:
        """x, y, width, height in the square's pixels."""
        x, y, width, height = face_box(person.identity, state, self.side)
        return x + self.x, y + self.y, width, height
