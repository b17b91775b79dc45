"""SVD's VAE: the image encoder of `export/blocks.py`, and a decoder that also looks along time.

State-dict keys and shapes are the published ones. The decoder's frames are one chunk: its temporal
convolutions pad with zeros at the chunk's ends, so where chunks begin and end decides the picture (SPEC 6.1).

Source: SPEC 6.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from export.blocks import Encoder, Level, MidBlock, Upsample, VAEConfig, group_norms_by
from export.hunyuanportrait.networks.blocks import SpatioTemporalResBlock, TemporalConv


class Decoder(nn.Module):
    """(f, latent, h, w) -> (f, 3, H, W), the f frames together."""

    def __init__(self, config: VAEConfig):
        super().__init__()
        channels = config.block_out_channels[::-1]

        def block(channels_in: int, channels_out: int) -> SpatioTemporalResBlock:
            return SpatioTemporalResBlock(channels_in, channels_out, eps=1e-6, temporal_eps=1e-5, switched=True)

        self.conv_in = nn.Conv2d(config.latent_channels, channels[0], 3, padding=1)
        self.mid_block = MidBlock(
            [block(channels[0], channels[0]) for _ in range(config.layers_per_block)], channels[0]
        )
        self.up_blocks = nn.ModuleList()
        for level, width in enumerate(channels):
            before = channels[max(level - 1, 0)]
            self.up_blocks.append(
                Level(
                    [block(before if i == 0 else width, width) for i in range(config.layers_per_block + 1)],
                    ("upsamplers", Upsample(width)) if level < len(channels) - 1 else None,
                )
            )
        self.conv_norm_out = nn.GroupNorm(32, channels[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(channels[-1], config.out_channels, 3, padding=1)
        self.time_conv_out = TemporalConv(config.out_channels, config.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[0]
        block: Any  # a Level; a ModuleList does not know what it holds
        x = self.conv_in(x)
        x = self.mid_block.resnets[0](x, frames)
        # One attention, one block after it: as released, blocks beyond the second are stored and never run.
        for attention, resnet in zip(self.mid_block.attentions, self.mid_block.resnets[1:], strict=False):
            x = resnet(attention(x), frames)
        for block in self.up_blocks:
            for resnet in block.resnets:
                x = resnet(x, frames)
            if hasattr(block, "upsamplers"):
                x = block.upsamplers[0](x)
        x = self.conv_out(F.silu(self.conv_norm_out(x)))
        along_time = x.flatten(2).transpose(0, 1)[None]  # (1, 3, f, H*W)
        return self.time_conv_out(along_time)[0].transpose(0, 1).reshape(x.shape)


class VAE(nn.Module):
    """Published keys: encoder.*, decoder.*, quant_conv.*."""

    def __init__(self, config: VAEConfig | None = None):
        super().__init__()
        self.config = config = config or VAEConfig()
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(2 * config.latent_channels, 2 * config.latent_channels, 1)
        group_norms_by(self, config.norm_groups)

    def encode(self, image: Tensor) -> Tensor:
        """image (N, 3, H, W) in [-1, 1] -> mean and logvar side by side, (N, 8, h, w), not scaled."""
        return self.quant_conv(self.encoder(image))

    def decode(self, latents: Tensor) -> Tensor:
        """latents (f, 4, h, w), already divided by scaling_factor, one chunk -> frames (f, 3, H, W), not clamped."""
        return self.decoder(latents)
