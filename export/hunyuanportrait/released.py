"""What the released program would compute where we compute less."""

from __future__ import annotations

import torch

from export.graphs.flops import count
from export.hunyuanportrait.architecture import Architecture


def released_row_flops(architecture: Architecture, *, size: int, frames: int) -> int:
    """FLOPs of one guidance row of one window in the released program, contexts projected at every pixel."""
    from export.hunyuanportrait.reference.unet import ReferenceUNet

    config = architecture.unet
    latent, width = size // architecture.vae.downscale, config.cross_attention_dim

    with torch.device("meta"):
        unet = ReferenceUNet.build(**config.to_diffusers()).to("meta")  # diffusers makes some parameters on the CPU
        image = torch.empty(1, frames, architecture.image_proj["num_queries"], width)
        motion = torch.empty(1, frames, architecture.motion_refiner["num_queries"], width)
        pose = torch.empty(1, frames, config.block_out_channels[0], latent, latent)
        sample = torch.empty(1, frames, config.in_channels, latent, latent)
        return count(lambda: unet.velocity(sample, torch.empty(()), torch.empty(1, 3), image, motion, pose))
