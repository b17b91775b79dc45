"""The denoiser's stage where no clip is needed."""

from __future__ import annotations

import torch

from export.hunyuanportrait.training.denoiser import DenoiserStage
from export.training.stage import Modules


def stage_without_clips(modules: Modules, device: torch.device) -> DenoiserStage:
    """For what it does with rows that a test makes itself: windows of 5 frames."""
    return DenoiserStage(
        modules, clips=None, latents=[], features=None, numbers=[], steps=1, window=5, pad=5, scaling_factor=1.0,
        device=device,
    )  # fmt: skip
