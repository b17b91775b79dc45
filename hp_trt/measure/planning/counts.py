"""How much arithmetic and memory a graph is, as a function of size and frames: for predictions where no PyTorch is.

Each number is a polynomial in F, the frames of a window, and c, the latent cells of a frame: {(i, j): coefficient} is
the sum of coefficient * F^i * c^j. Convolutions and projections go with F c, spatial attention with F c^2, temporal
attention with F^2 c; square roots are the border of a padded picture. The numbers stand in the room of their model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CELL_PX = 8  # pixels a latent cell covers along a side, in every preset

Polynomial = Mapping[tuple[int, float], float]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """One unit (a row, a frame, a step) of one call of a graph. Elements are numbers in memory, of whatever dtype."""

    flops: Polynomial  # one multiply-add is 2
    moved: Polynomial  # elements that products, convolutions and attention read and write, weights aside
    held: Polynomial  # elements of activations alive at one time; a few percent off where the size is not the usual one
    weights: int  # elements, read once a call

    def at(self, what: str, frames: int, cells: int) -> float:
        """ "flops", "moved" or "held" for a window of `frames` frames of `cells` cells."""
        polynomial: Polynomial = getattr(self, what)
        return sum(coefficient * frames**i * cells**j for (i, j), coefficient in polynomial.items())
