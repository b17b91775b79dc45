"""A drawn head that says a sentence, in a mood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from procedural.motion import State, motion
from procedural.speech.lips import MOUTH, mouth
from procedural.speech.phonemes import Phoneme

_SAID = 0.6  # of the corners' way that speech may use; the rest is the mood's

# Mood -> what it adds to a state.
MOODS: Mapping[str, Mapping[str, float]] = {
    "neutral": {},
    "happy": {"corners": 0.65, "brow_left": 0.2, "brow_right": 0.2, "lid_left": 0.12, "lid_right": 0.12},
    "sad": {"corners": -0.65, "brow_left": -0.25, "brow_right": -0.25, "lid_left": 0.25, "lid_right": 0.25,
            "gaze_y": 0.45},
    "angry": {"corners": -0.4, "brow_left": -0.8, "brow_right": -0.8, "lid_left": 0.15, "lid_right": 0.15},
    "surprised": {"brow_left": 0.9, "brow_right": 0.9, "lid_left": -0.15, "lid_right": -0.15, "jaw": 0.12},
    "sleepy": {"lid_left": 0.5, "lid_right": 0.5, "brow_left": -0.15, "brow_right": -0.15, "gaze_y": 0.35},
}  # fmt: skip
_LOWEST = {"corners": -1.0, "brow_left": -1.0, "brow_right": -1.0, "gaze_y": -1.0}


def talking(
    seed: int,
    phonemes: Sequence[Phoneme],
    frames: int,
    *,
    fps: float = 25.0,
    mood: str | None = None,
    mood_strength: float = 1.0,
) -> list[State]:
    """`procedural.motion.motion` of `seed`, with the mouth of these phonemes and a mood's offsets.

    Raises ValueError for a mood that is none of MOODS.
    """
    if mood is not None and mood not in MOODS:
        raise ValueError(f"there is no mood {mood!r}; there are {', '.join(MOODS)}")
    offsets = MOODS[mood or "neutral"]
    states = []
    for state, lips in zip(motion(seed, frames, fps=fps), mouth(phonemes, frames, fps=fps).tolist(), strict=True):
        said = dict(zip(MOUTH, lips, strict=True))
        said["corners"] *= _SAID
        state = replace(state, **said)
        felt = {
            name: float(np.clip(getattr(state, name) + mood_strength * offset, _LOWEST.get(name, 0.0), 1.0))
            for name, offset in offsets.items()
        }
        states.append(replace(state, **felt))
    return states
