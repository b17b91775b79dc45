"""What lips do for a sentence.

Every phoneme has a place that it wants the lips at, and a firmness. A place is reached early and left late: at any
moment the lips are at the mean of what the phonemes around want, each counted by its firmness and by a Gaussian of how
far it is away. So a vowel's rounding begins in the consonant before it, and lips close for an m whatever stands beside.

Source: the idea is that of dominance functions (Cohen and Massaro 1993); the Gaussian replaces their exponentials.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from procedural.speech.phonemes import PAUSE, SOUNDS, Phoneme

MOUTH = ("jaw", "rounding", "corners", "teeth")  # of `procedural.motion.State`
SMOOTH_S = 0.025  # deviation of the Gaussian: half of its height 60 ms wide
_STEP_S = 0.005
_REACH = 4  # deviations


def mouth(phonemes: Sequence[Phoneme], frames: int, *, fps: float = 25.0) -> np.ndarray:
    """(frames, 4) float32, the parameters of MOUTH; frame i shows the moment i / fps.

    Where no phoneme is, as behind the last one, the mouth is at rest.
    """
    if frames < 0 or not fps > 0:
        raise ValueError(f"need frames of a positive rate, got {frames=}, {fps=}")
    reach = int(_REACH * SMOOTH_S / _STEP_S)
    steps = int(np.ceil(frames / fps / _STEP_S)) + 2 * reach + 1
    wanted = np.tile(np.array(SOUNDS[PAUSE].lips), (steps, 1))
    firm = np.full(steps, SOUNDS[PAUSE].firm)
    for phoneme in phonemes:
        sound = SOUNDS[phoneme.symbol]
        first, last = (round(t / _STEP_S) + reach for t in (phoneme.start_s, phoneme.end_s))
        wanted[max(first, 0) : max(last, 0)] = sound.lips
        firm[max(first, 0) : max(last, 0)] = sound.firm
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) * _STEP_S / SMOOTH_S) ** 2)
    weight = np.convolve(firm, bell, mode="same")
    smooth = np.stack([np.convolve(column * firm, bell, mode="same") for column in wanted.T], axis=1) / weight[:, None]
    at = np.arange(frames) / fps / _STEP_S + reach
    places = np.arange(steps)
    return np.stack([np.interp(at, places, column) for column in smooth.T], axis=1).astype(np.float32).reshape(-1, 4)
