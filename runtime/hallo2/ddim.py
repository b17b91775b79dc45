"""DDIM: noise levels, and the two numbers that a denoising step needs.

The step is linear in the latents x and the predicted velocity v: x' = a x + b v. All host arithmetic is float64 and is
rounded once, to float32.

Source: SPEC 8 (Song et al. 2020, eq. 12 with eta 0; v-prediction; zero terminal SNR and trailing timesteps of Lin et
al. 2023, "Common Diffusion Noise Schedules and Sample Steps Are Flawed").
"""

from __future__ import annotations

from functools import cache

import numpy as np

TRAINED_STEPS = 1000
BETA_START = 0.00085
BETA_END = 0.012


def alphas_cumprod() -> np.ndarray:
    """The share of the picture in each of the thousand noise levels, (1000,) float64: falls to exactly 0."""
    return _alphas_cumprod().copy()


def timesteps(steps: int) -> np.ndarray:
    """The noise level before each of `steps` steps, (steps,) int64, falling from 999: what the network is told.

    Counted down in steps of a rounded 1000 / n, as the released program does: what lies half-way between two levels may
    then fall to either side (n = 48). For some n (61) its count ends one later, below 0; here it ends after n.
    """
    return np.round(np.arange(TRAINED_STEPS, 0, -TRAINED_STEPS / steps)).astype(np.int64)[:steps] - 1


def previous_timesteps(steps: int) -> np.ndarray:
    """The noise level after each step, (steps,) int64: below 0 means no noise at all.

    The last one is 0 or above where `steps` does not divide 1000; the released program then ends there.
    """
    return timesteps(steps) - TRAINED_STEPS // steps


def alphas(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The share of the picture before and after each step, (steps,) float64 each."""
    stored, previous = _alphas_cumprod(), previous_timesteps(steps)
    return stored[timesteps(steps)], np.where(previous < 0, 1.0, stored[np.maximum(previous, 0)])


def coefficients(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """a and b of x' = a x + b v for each step, (steps,) float32 each.

    With x0 = sqrt(A) x - sqrt(1-A) v and e = sqrt(A) v + sqrt(1-A) x, where A is the share of the picture before the
    step and A' the one after it, the step sqrt(A') x0 + sqrt(1-A') e collects to these.
    """
    before, after = alphas(steps)
    a = np.sqrt(before * after) + np.sqrt((1 - before) * (1 - after))
    b = np.sqrt(before * (1 - after)) - np.sqrt(after * (1 - before))
    return a.astype(np.float32), b.astype(np.float32)


@cache
def _alphas_cumprod() -> np.ndarray:
    root = np.sqrt(np.cumprod(1 - np.linspace(BETA_START, BETA_END, TRAINED_STEPS)))
    # Shifted and stretched: the first level stays what it was, the last becomes pure noise.
    return ((root - root[-1]) * (root[0] / (root[0] - root[-1]))) ** 2
