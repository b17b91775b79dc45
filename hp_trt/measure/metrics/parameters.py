"""Pose and expression parameters of drawn faces, as far as they can be seen, and what counts as moving."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from procedural.motion import NAMES, State

# From one end of a parameter's usual range to the other (procedural.motion.State).
_RANGES = {
    "yaw_deg": 60.0, "pitch_deg": 40.0, "roll_deg": 30.0, "shift_x": 0.12, "shift_y": 0.12, "scale": 0.2,
    "lid_left": 1.0, "lid_right": 1.0, "gaze_x": 2.0, "gaze_y": 2.0, "brow_left": 2.0, "brow_right": 2.0,
    "jaw": 1.0, "corners": 2.0, "rounding": 1.0, "teeth": 1.0,
}  # fmt: skip
RANGES = np.array([_RANGES[name] for name in NAMES])
LEAST_STD = 0.05 * RANGES  # a driver's parameter moves when its standard deviation over the clip is above this
LEAST_STD_PX = 0.5  # the same for a landmark's x or y relative to its face, in pixels of `judge.JUDGE_PX`
ANGLES = [NAMES.index(name) for name in ("yaw_deg", "pitch_deg", "roll_deg")]
PLACE = [NAMES.index(name) for name in ("shift_x", "shift_y", "scale")]
EXPRESSION = [i for i in range(len(NAMES)) if i not in (*ANGLES, *PLACE)]


def seen(states: Sequence[State]) -> np.ndarray:
    """(N, len(NAMES)) float64 in the order of NAMES.

    Two differ from the state's own, because nobody can see what is hidden: `teeth` is times `jaw`, 0 in a closed mouth,
    and the gaze is times how far the wider eye is open.
    """
    values = np.array([state.vector() for state in states], np.float64)
    column = {name: values[:, i].copy() for i, name in enumerate(NAMES)}
    values[:, NAMES.index("teeth")] *= column["jaw"]
    opening = 1 - np.minimum(column["lid_left"], column["lid_right"])
    for gaze in ("gaze_x", "gaze_y"):
        values[:, NAMES.index(gaze)] *= opening
    return values
