"""Which rows a step runs through the network, and with which weights.

The released sampler runs three rows and combines v = v_u + g1 (v_d - v_u) + g2 (v_c - v_d). That is a weighted
sum, v = (1 - g1) v_u + (g1 - g2) v_d + g2 v_c, so a row of weight exactly 0 need not be run. At the released
scales, 2 and 2, that is the middle one.

Source: SPEC 8, steps 3 to 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np


class Row(Enum):
    """A network row by what it sees: the portrait, and the motion."""

    UNCONDITIONAL = "unconditional"  # neither
    DROP_MOTION = "drop motion"  # the portrait only
    CONDITIONAL = "conditional"  # both

    @property
    def sees_portrait(self) -> bool:
        return self is not Row.UNCONDITIONAL

    @property
    def sees_motion(self) -> bool:
        return self is Row.CONDITIONAL


@dataclass(frozen=True, kw_only=True)
class StepGuidance:
    """The rows one step needs, in the order of `Row`, and their weights, which sum to 1."""

    rows: tuple[Row, ...]  # at least one
    weights: np.ndarray  # (rows,) float32, none of them 0


def ramp(first: float, last: float, steps: int) -> np.ndarray:
    """`steps` evenly spaced numbers from `first` to `last`: (steps,) float32, equal bit for bit to torch.linspace.

    The exact form matters where two ramps meet: their difference must be 0 for the same steps as upstream's.
    Each half counts from its own end, with a float32 increment and one rounding.
    """
    if steps == 1:
        return np.array([first], np.float32)
    low, high = np.float32(first), np.float32(last)
    increment = np.float64((high - low) / np.float32(steps - 1))
    i = np.arange(steps)
    from_first = np.float64(low) + increment * i
    from_last = np.float64(high) - increment * (steps - 1 - i)
    return np.where(i < steps // 2, from_first, from_last).astype(np.float32)


def rows_of_steps(
    appearance: tuple[float, float],
    motion: tuple[float, float],
    steps: int,
    *,
    guided: Sequence[bool] | None = None,
) -> list[StepGuidance]:
    """What each of `steps` executed steps runs. `appearance`, `motion`: the (first, last) scale of each ramp.

    A step that is not `guided` has the scales 1 and 1: the conditional row alone. None: all are.
    Source of guiding some levels alone: Kynkaanniemi et al. 2024, "Applying Guidance in a Limited Interval".
    """
    ramps = zip(ramp(*appearance, steps), ramp(*motion, steps), guided or [True] * steps, strict=True)
    return [_step(g1, g2) if inside else _step(_ONE, _ONE) for g1, g2, inside in ramps]


_ONE = np.float32(1)


def _step(g1: np.float32, g2: np.float32) -> StepGuidance:
    weights = dict(zip(Row, (_ONE - g1, g1 - g2, g2), strict=True))
    needed = {row: weight for row, weight in weights.items() if weight != 0}
    return StepGuidance(rows=tuple(needed), weights=np.array(list(needed.values()), np.float32))
