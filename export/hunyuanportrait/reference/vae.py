"""The SVD temporal VAE as released: diffusers' own, decoded in chunks of consecutive frames.

Chunks count from frame 0 of the padded clip. The temporal convolutions zero-pad at a chunk's
borders, so other chunks give other frames.

Source: SPEC 6.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models import AutoencoderKLTemporalDecoder

from export.blocks import group_norms_by


def build_vae(*, norm_num_groups: int = 32, **config: Any) -> AutoencoderKLTemporalDecoder:
    vae = AutoencoderKLTemporalDecoder(**config)
    group_norms_by(vae, norm_num_groups)  # diffusers' own knows only 32
    return vae


def encode(vae: AutoencoderKLTemporalDecoder, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, 3, H, W) in [-1, 1] -> mean and logvar, each (B, 4, H/8, W/8), unscaled. The mode is the mean."""
    distribution = vae.encode(image).latent_dist
    return distribution.mean, distribution.logvar


def decode(vae: AutoencoderKLTemporalDecoder, latents: torch.Tensor, *, chunk: int) -> torch.Tensor:
    """(F, 4, h, w) already divided by scaling_factor -> raw decoder output (F, 3, 8h, 8w)."""
    return torch.cat([vae.decode(part, num_frames=part.shape[0]).sample for part in latents.split(chunk)])
