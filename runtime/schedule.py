"""Noise levels, and the handful of numbers a denoising step needs.

The step is linear in the latents x and the predicted velocity v: x' = a x + b v. All host arithmetic is float64
and is rounded once, to float32.

Source: SPEC 5 (Karras et al. 2022, eq. 5; v-prediction; Euler without churn).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SIGMA_MIN = 0.002
SIGMA_MAX = 700.0
RHO = 7.0

# Ten steps of Stable Video Diffusion, found by minimising the sampler's error: Sabour et al. 2024, "Align Your Steps",
# their table for SVD. Other numbers of steps are read off it, straight in ln sigma, as they say.
_AYS_SVD = (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, SIGMA_MIN)


def sigmas(steps: int, *, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX, rho: float = RHO) -> np.ndarray:
    """The noise level before each of `steps` steps, and a last 0: (steps + 1,) float32, falling from 700."""
    ramp = np.linspace(0, 1, steps)
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return np.append((high + ramp * (low - high)) ** rho, 0).astype(np.float32)


def exponential(steps: int) -> np.ndarray:
    """As `sigmas`, evenly spaced in ln sigma: fewer levels where there is much noise."""
    ramp = np.linspace(0, 1, steps)
    return np.append(SIGMA_MAX ** (1 - ramp) * SIGMA_MIN**ramp, 0).astype(np.float32)


def align_your_steps(steps: int) -> np.ndarray:
    """As `sigmas`, by the table of `_AYS_SVD`; the level at its end is where the last step arrives: 0 here."""
    at = np.linspace(0, len(_AYS_SVD) - 1, steps + 1)[:-1]
    return np.append(np.exp(np.interp(at, np.arange(len(_AYS_SVD)), np.log(_AYS_SVD))), 0).astype(np.float32)


SCHEDULES: dict[str, Callable[[int], np.ndarray]] = {
    "karras": sigmas,  # the released one
    "ays": align_your_steps,
    "exponential": exponential,
}


def without_last(sigmas: np.ndarray, levels: int) -> np.ndarray:
    """The levels less the last `levels` before 0: the step above them goes straight to the clean prediction.

    Karras' last level is 0.002 at any number of steps, where a whole evaluation removes noise of a thousandth.
    """
    return np.append(sigmas[: len(sigmas) - 1 - levels], sigmas[-1:])


def timesteps(sigmas: np.ndarray) -> np.ndarray:
    """t = ln(sigma) / 4 of every level but the last 0: (steps,) float32, what the network is told."""
    return (0.25 * np.log(sigmas[:-1].astype(np.float64))).astype(np.float32)


def executed(sigmas: np.ndarray, executed_steps: int) -> np.ndarray:
    """The levels of the last `executed_steps` steps: strength < 1 starts late, from less noise."""
    return sigmas[len(sigmas) - 1 - executed_steps :]


def input_scales(sigmas: np.ndarray) -> np.ndarray:
    """c_in = 1 / sqrt(sigma^2 + 1) before each step: (steps,) float32."""
    sigma = sigmas[:-1].astype(np.float64)
    return (1 / np.sqrt(sigma**2 + 1)).astype(np.float32)


def euler_coefficients(sigmas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a and b of x' = a x + b v for each step, (steps,) float32 each.

    With x0 = x / (s^2 + 1) - v s / sqrt(s^2 + 1), the step x + (x - x0) / s * (s' - s) collects to
    a = (1 + s s') / (s^2 + 1) and b = (s' - s) / sqrt(s^2 + 1). Written so, nothing cancels at s = 700.
    """
    s, following = sigmas[:-1].astype(np.float64), sigmas[1:].astype(np.float64)
    a = (1 + s * following) / (s**2 + 1)
    b = (following - s) / np.sqrt(s**2 + 1)
    return a.astype(np.float32), b.astype(np.float32)


def add_noise(clean: np.ndarray, noise: np.ndarray, sigma: float) -> np.ndarray:
    """clean + sigma * noise, float32, broadcast: where denoising starts from."""
    return clean + np.float32(sigma) * noise
