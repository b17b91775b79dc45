"""Karras sigmas and the Euler step of a v-predicting network, as the released sampler takes them.

Source: SPEC 5.
"""

from __future__ import annotations

import numpy as np
import torch

SIGMA_MIN, SIGMA_MAX, RHO = 0.002, 700.0, 7.0


def sigmas(steps: int, *, sigma_min: float = SIGMA_MIN, sigma_max: float = SIGMA_MAX, rho: float = RHO) -> torch.Tensor:
    """(steps + 1) float32, falling from sigma_max to sigma_min and then 0. One step is just sigma_max."""
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    values = (high + np.linspace(0, 1, steps) * (low - high)) ** rho
    return torch.from_numpy(np.append(values, 0.0).astype(np.float32))


def timesteps(sigmas: torch.Tensor) -> torch.Tensor:
    """0.25 ln(sigma) of every sigma but the final 0."""
    return 0.25 * sigmas[:-1].log()


def scale_input(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    return x / (sigma**2 + 1).sqrt()


def predict_clean(x: torch.Tensor, v: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """x0 = -sigma / sqrt(sigma^2 + 1) v + x / (sigma^2 + 1)."""
    return -sigma / (sigma**2 + 1).sqrt() * v + x / (sigma**2 + 1)


def euler_step(x: torch.Tensor, v: torch.Tensor, sigma: torch.Tensor, sigma_next: torch.Tensor) -> torch.Tensor:
    """x + (x - x0) / sigma (sigma_next - sigma)."""
    return x + (x - predict_clean(x, v, sigma)) / sigma * (sigma_next - sigma)


def add_noise(clean: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    return clean + sigma * noise


def first_step(steps: int, strength: float) -> int:
    """Where a run of `strength` starts in the schedule: 0 for 1.0, later for less."""
    return steps - min(int(steps * strength), steps)
