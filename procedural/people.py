"""Somebody who can be drawn: plain, or in one of many renderings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from procedural.draw import draw
from procedural.identity import Identity
from procedural.motion import State
from procedural.variety import Variety, draw_varied, varied_identity


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who it is, and what the pictures look like; without a variety they are `procedural.draw.draw`'s."""

    identity: Identity
    variety: Variety | None = None

    @classmethod
    def random(cls, seed: int, *, varied: bool = False) -> Person:
        """The seed's person: `Identity.random`'s, or one of wider proportions in a rendering of the seed's."""
        if not varied:
            return cls(identity=Identity.random(seed))
        return cls(identity=varied_identity(seed), variety=Variety.random(seed))

    @property
    def dressed(self) -> Identity:
        """The identity in the colours that its pictures have."""
        return self.identity if self.variety is None else self.variety.dress(self.identity)

    def draw(self, state: State, px: int, frame: int = 0) -> np.ndarray:
        """(px, px, 3) uint8 RGB; `frame` is what the noise of a varied person's camera is of."""
        if self.variety is None:
            return draw(self.identity, state, px)
        return draw_varied(self.identity, self.variety, state, px, frame)


def is_varied(seed: int, share: float) -> bool:
    """Whether `seed`'s person is varied, where a `share` of all are; those of a smaller share are among a larger's."""
    return bool(np.random.default_rng([seed, 87]).random() < share)
