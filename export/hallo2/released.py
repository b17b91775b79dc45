"""What the released program would compute where we compute less."""

from __future__ import annotations

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from export.graphs.flops import count
from export.hallo2.architecture import Architecture


def released_step_flops(architecture: Architecture, *, size: int, frames: int, motion_frames: int) -> int:
    """FLOPs of one step of one clip in the released program: both halves, the discarded attention to the reference, and
    keys and values of everything that does not change over the steps (SPEC 10 and 11)."""
    from export.hallo2.reference.unets import MASKS, Conditions, DenoisingUNet

    config = architecture.denoising_unet
    latent, levels = size // architecture.vae.downscale, range(config.top + 1)
    cells = [config.cells((latent, latent), level) for level in levels]

    with FakeTensorMode():  # not the meta device: diffusers makes some of its constants on the CPU
        unet = DenoisingUNet(config)
        given = Conditions(
            image_tokens=torch.empty(2, architecture.imageproj.tokens, config.image_token_dim),
            audio_tokens=torch.empty(2, frames, architecture.audioproj.tokens, config.audio_token_dim),
            masks={name: [torch.empty(cells[level]) for level in levels] for name in MASKS},
            motion_scale=(1.0, 1.0, 1.0),
            banks={p.name: torch.empty(2 * (1 + motion_frames), cells[p.bank], p.channels) for p in config.places},
        )
        latents = torch.empty(2, config.latent_channels, frames, latent, latent)
        face_features = torch.empty(2, config.channels[0], frames, latent, latent)
        return count(lambda: unet(latents, torch.empty(()), face_features, given))
