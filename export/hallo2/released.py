"""What the released program would compute where we compute less: its literal UNets, counted."""

from __future__ import annotations

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from export.graphs.flops import count
from export.hallo2.architecture import Architecture


def released_step_flops(architecture: Architecture, *, size: int, frames: int, motion_frames: int) -> int:
    """FLOPs of both halves of one step of a clip: each with the reference, although one half's is thrown away."""
    from export.hallo2.reference.unets import MASKS, Conditions, DenoisingUNet

    config = architecture.denoising_unet
    image_tokens = architecture.imageproj.tokens + bool(config.moods)
    side, m = size // architecture.vae.downscale, motion_frames
    with FakeTensorMode():  # not the meta device: diffusers makes some of its constants on the CPU
        unet = DenoisingUNet(config)
        given = Conditions(
            image_tokens=torch.empty(2, image_tokens, config.image_token_dim),
            audio_tokens=torch.empty(2, frames, architecture.audioproj.tokens, config.audio_token_dim),
            masks={
                name: [torch.empty(config.cells((side, side), bank)) for bank in range(config.top + 1)]
                for name in MASKS
            },
            motion_scale=(1.0, 1.0, 1.0),
            banks={
                place.name: torch.empty(2 * (1 + m), config.cells((side, side), place.bank), place.channels)
                for place in config.places
            },
        )
        latents = torch.empty(2, config.latent_channels, frames, side, side)
        face = torch.empty(2, config.channels[0], frames, side, side)
        return count(lambda: unet(latents, torch.empty(()), face, given))


def released_row_flops(architecture: Architecture, *, size: int) -> int:
    """FLOPs of one row of the reference net, to its end, which nobody reads."""
    from export.hallo2.reference.unets import build_reference_unet, reference_banks

    config, rows = architecture.reference_unet, 2
    side = size // architecture.vae.downscale
    with FakeTensorMode():
        unet = build_reference_unet(config)
        latents = torch.empty(rows, config.latent_channels, side, side)
        tokens = torch.empty(2, architecture.imageproj.tokens, config.image_token_dim)
        return count(lambda: reference_banks(unet, config, latents, tokens)) // rows
