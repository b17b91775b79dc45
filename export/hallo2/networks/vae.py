"""Stable Diffusion's autoencoder: the encoder of `export/blocks.py`, and a decoder that sees one frame at a time.

State-dict keys and shapes are the published ones.

Source: SPEC 5.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from export.blocks import Encoder, Level, MidBlock, SpatialResBlock, Upsample, VAEConfig


class Decoder(nn.Module):
    """(N, latent, h, w) -> (N, 3, H, W), one frame at a time: no time in it."""

    def __init__(self, config: VAEConfig):
        super().__init__()
        channels, groups = config.block_out_channels[::-1], config.norm_groups
        top = channels[0]
        self.conv_in = nn.Conv2d(config.latent_channels, top, 3, padding=1)
        self.up_blocks = nn.ModuleList()
        for level, width in enumerate(channels):
            before = channels[max(level - 1, 0)]
            self.up_blocks.append(
                Level(
                    [
                        SpatialResBlock(before if i == 0 else width, width, embedding=None, eps=1e-6, groups=groups)
                        for i in range(config.layers_per_block + 1)
                    ],
                    ("upsamplers", Upsample(width)) if level < len(channels) - 1 else None,
                )
            )
        self.mid_block = MidBlock(
            [SpatialResBlock(top, top, embedding=None, eps=1e-6, groups=groups) for _ in range(2)], top, groups=groups
        )
        self.conv_norm_out = nn.GroupNorm(groups, channels[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(channels[-1], config.out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        block: Any  # a Level; a ModuleList does not know what it holds
        x = self.mid_block.resnets[0](self.conv_in(x))
        x = self.mid_block.resnets[1](self.mid_block.attentions[0](x))
        for block in self.up_blocks:
            for resnet in block.resnets:
                x = resnet(x)
            if hasattr(block, "upsamplers"):
                x = block.upsamplers[0](x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class VAE(nn.Module):
    """Published keys: encoder.*, decoder.*, quant_conv.*, post_quant_conv.*."""

    def __init__(self, config: VAEConfig | None = None):
        super().__init__()
        self.config = config = config or VAEConfig()
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(2 * config.latent_channels, 2 * config.latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(config.latent_channels, config.latent_channels, 1)

    def encode(self, pictures: Tensor) -> Tensor:
        """pictures (N, 3, H, W) in [-1, 1] -> mean and logvar side by side, (N, 8, h, w), not scaled."""
        return self.quant_conv(self.encoder(pictures))

    def decode(self, latents: Tensor) -> Tensor:
        """latents (N, 4, h, w), already divided by scaling_factor -> frames (N, 3, H, W), raw, about [-1, 1]."""
        return self.decoder(self.post_quant_conv(latents))
