"""The denoiser's phase where no clip is needed."""

from __future__ import annotations

import torch

from export.hunyuanportrait.training.denoiser import DenoiserPhase
from export.training.phase import Modules


def phase_without_clips(modules: Modules, device: torch.device) -> DenoiserPhase:
    """For what it does with rows that a test makes itself: windows of 5 frames."""
    nothing: dict = {"clips": None, "latents": [], "features": None, "numbers": []}
    return DenoiserPhase(modules, **nothing, steps=1, window=5, pad=5, scaling_factor=1.0, device=device)
