"""The autoencoder as released: diffusers' own, encoding to the mean, decoding frame by frame.

Source: SPEC 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.models import AutoencoderKL


def build_vae(
    *, channels: Sequence[int], layers_per_block: int, groups: int, latent_channels: int, scaling_factor: float
) -> AutoencoderKL:
    """From the flat dict of a golden case; `channels` runs from the finest level to the coarsest."""
    levels = len(channels)
    return AutoencoderKL(
        block_out_channels=tuple(channels),
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=layers_per_block,
        norm_num_groups=groups,
        latent_channels=latent_channels,
        scaling_factor=scaling_factor,
    )


def encode(vae: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    """(n, 3, H, W) -> mean times the scale, (n, 4, h, w).

    The released preparation takes pictures of which no value is below 0 for [0, 1], and maps them to [-1, 1] a second
    time. With real pictures that does not happen.
    """
    if pictures.min() >= 0:
        pictures = 2 * pictures - 1
    return vae.encode(pictures).latent_dist.mean * vae.config["scaling_factor"]


def decode(vae: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """(F, 4, h, w) scaled latents -> (F, 3, H, W) in [0, 1]."""
    frames = [vae.decode(frame / vae.config["scaling_factor"]).sample for frame in latents.split(1)]
    return (torch.cat(frames) / 2 + 0.5).clamp(0, 1)
