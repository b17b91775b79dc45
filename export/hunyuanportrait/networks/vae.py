"""SVD's VAE: an image encoder, and a decoder that also looks along time.

State-dict keys and shapes are the published ones. The decoder's frames are one chunk: its temporal
convolutions pad with zeros at the chunk's ends, so where chunks begin and end decides the picture (SPEC 6.1).

Source: SPEC 6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from export.hunyuanportrait.networks.blocks import (
    Downsample,
    SpatialResBlock,
    SpatioTemporalResBlock,
    TemporalConv,
    Upsample,
    group_norms_by,
)


@dataclass(frozen=True, kw_only=True)
class VAEConfig:
    """SVD's constructor facts; channels run from the finest level to the coarsest."""

    in_channels: int = 3
    out_channels: int = 3
    latent_channels: int = 4
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    scaling_factor: float = 0.18215
    norm_groups: int = 32

    @classmethod
    def from_diffusers(cls, config: Mapping[str, Any]) -> VAEConfig:
        """From the dict that diffusers and the published `vae/config.json` use."""
        return cls(
            in_channels=config["in_channels"],
            out_channels=config["out_channels"],
            latent_channels=config["latent_channels"],
            block_out_channels=tuple(config["block_out_channels"]),
            layers_per_block=config["layers_per_block"],
            scaling_factor=config["scaling_factor"],
            norm_groups=config.get("norm_num_groups", 32),
        )

    def to_diffusers(self) -> dict[str, Any]:
        """The same facts as diffusers names them."""
        return {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "latent_channels": self.latent_channels,
            "block_out_channels": list(self.block_out_channels),
            "layers_per_block": self.layers_per_block,
            "scaling_factor": self.scaling_factor,
            "down_block_types": ["DownEncoderBlock2D"] * len(self.block_out_channels),
            "norm_num_groups": self.norm_groups,
        }

    @property
    def downscale(self) -> int:
        """Pixels a latent cell covers, along a side."""
        return 2 ** (len(self.block_out_channels) - 1)


class PixelAttention(nn.Module):
    """One head over all cells of a frame, around a residual; on (N, C, h, w)."""

    def __init__(self, width: int):
        super().__init__()
        self.group_norm = nn.GroupNorm(32, width, eps=1e-6)
        self.to_q = nn.Linear(width, width)
        self.to_k = nn.Linear(width, width)
        self.to_v = nn.Linear(width, width)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.group_norm(x).flatten(2).transpose(1, 2)[:, None]
        attended = F.scaled_dot_product_attention(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens))
        return x + self.to_out[0](attended[:, 0]).transpose(1, 2).reshape(x.shape)


class Level(nn.Module):
    """One level's residual blocks, and the change of size after them."""

    def __init__(self, resnets: Sequence[nn.Module], sampler: tuple[str, nn.Module] | None = None):
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        if sampler is not None:
            setattr(self, sampler[0], nn.ModuleList([sampler[1]]))


class MidBlock(nn.Module):
    """Residual blocks with one attention among them."""

    def __init__(self, resnets: Sequence[nn.Module], width: int):
        super().__init__()
        self.attentions = nn.ModuleList([PixelAttention(width)])
        self.resnets = nn.ModuleList(resnets)


class Encoder(nn.Module):
    """(N, 3, H, W) -> (N, 2*latent, h, w), one image at a time: no time in it."""

    def __init__(self, config: VAEConfig):
        super().__init__()
        channels = config.block_out_channels
        self.conv_in = nn.Conv2d(config.in_channels, channels[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        for level, width in enumerate(channels):
            before = channels[max(level - 1, 0)]
            self.down_blocks.append(
                Level(
                    [
                        SpatialResBlock(before if i == 0 else width, width, embedding=None, eps=1e-6)
                        for i in range(config.layers_per_block)
                    ],
                    ("downsamplers", Downsample(width, asymmetric=True)) if level < len(channels) - 1 else None,
                )
            )
        top = channels[-1]
        self.mid_block = MidBlock([SpatialResBlock(top, top, embedding=None, eps=1e-6) for _ in range(2)], top)
        self.conv_norm_out = nn.GroupNorm(32, top, eps=1e-6)
        self.conv_out = nn.Conv2d(top, 2 * config.latent_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        block: Any  # a Level; a ModuleList does not know what it holds
        x = self.conv_in(x)
        for block in self.down_blocks:
            for resnet in block.resnets:
                x = resnet(x)
            if hasattr(block, "downsamplers"):
                x = block.downsamplers[0](x)
        x = self.mid_block.resnets[0](x)
        x = self.mid_block.resnets[1](self.mid_block.attentions[0](x))
        return self.conv_out(F.silu(self.conv_norm_out(x)))


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
