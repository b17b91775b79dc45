"""A small decoder for live mode: latents to frames, each from its own latents and those of the two frames before.

Causal, so a chunk that begins with `CONTEXT` frames of the chunk before gives the frames of the whole clip: what
those first frames become is thrown away, and there are no seams. The published decoder looks both ways and pads with
zeros at a chunk's ends, so its chunks have them.

It takes latents as the loop holds them, scaled; what the published decoder divides by is in its first convolution.

Source: TAESD and TAEHV (Ollin Boer Bohan), residual blocks of plain convolutions, and memory blocks that see the frame
before. Ours has pixels shuffled in place of the finest level, which would be half of the work.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.hunyuanportrait import presets

CONTEXT = presets.CONTEXT["tiny_decoder"]  # frames before a frame that it depends on: one a memory block


@dataclass(frozen=True, kw_only=True)
class TinyDecoderConfig:
    """Constructor facts. Channels run from the finest level to the coarsest, which is that of the latents; the finest
    has half of the pixels along a side."""

    latent_channels: int = 4
    out_channels: int = 3
    channels: tuple[int, ...] = (64, 64, 64)
    blocks: int = 3  # of a level

    @property
    def upscale(self) -> int:
        """Pixels a latent cell covers, along a side."""
        return 2 ** len(self.channels)


class ResidualBlock(nn.Module):
    """ReLU(x + conv ReLU conv x), on (f, C, h, w)."""

    def __init__(self, width: int, *, width_in: int | None = None):
        super().__init__()
        self.conv1 = nn.Conv2d(width_in or width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class MemoryBlock(ResidualBlock):
    """The same, of each frame beside the frame before it; zeros before the first."""

    def __init__(self, width: int):
        super().__init__(width, width_in=2 * width)

    def forward(self, x: Tensor) -> Tensor:
        # One frame more and the last one less: no tensor is ever empty, whatever the chunk.
        before = torch.cat([x.new_zeros(1, *x.shape[1:]), x])[:-1]
        return F.relu(x + self.conv2(F.relu(self.conv1(torch.cat([x, before], dim=1)))))


class Level(nn.Module):
    """One resolution: residual blocks, then the way to the next finer one."""

    def __init__(self, width: int, blocks: int, finer: int | None):
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        if finer is not None:
            self.upsample = nn.Conv2d(width, finer, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(x)
        if not hasattr(self, "upsample"):
            return x
        return F.relu(self.upsample(F.interpolate(x, scale_factor=2.0, mode="nearest")))


class TinyDecoder(nn.Module):
    """Latents (f, 4, h, w), scaled as the loop's, one chunk -> frames (f, 3, H, W), about [-1, 1], not clamped."""

    def __init__(self, config: TinyDecoderConfig | None = None):
        super().__init__()
        self.config = config = config or TinyDecoderConfig()
        channels = config.channels[::-1]
        self.conv_in = nn.Conv2d(config.latent_channels, channels[0], 3, padding=1)
        self.memory = nn.Sequential(*(MemoryBlock(channels[0]) for _ in range(CONTEXT)))
        self.levels = nn.Sequential(
            *(Level(c, config.blocks, finer) for c, finer in zip(channels, (*channels[1:], None), strict=True))
        )
        self.conv_out = nn.Conv2d(channels[-1], 4 * config.out_channels, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        x = F.relu(self.conv_in(latents))
        return F.pixel_shuffle(self.conv_out(self.levels(self.memory(x))), 2)
