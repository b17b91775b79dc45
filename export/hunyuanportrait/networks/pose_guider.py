"""Pose guider: a drawn pose to features that are added after the UNet's first convolution.

The released program shows it a black image for every frame, so its output is one constant map
(not constant in space: the zero padding shows near the borders).

Source: SPEC 3.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


class PoseGuider(nn.Module):
    """3x3 convolutions with SiLU; every second one halves the sides, three in all at full size."""

    def __init__(self, *, out_channels: int, block_out_channels: Sequence[int]) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, block_out_channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for channels, wider in pairwise(block_out_channels):
            self.blocks.append(nn.Conv2d(channels, channels, 3, padding=1))
            self.blocks.append(nn.Conv2d(channels, wider, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(block_out_channels[-1], out_channels, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(..., 3, H, W) -> (..., out_channels, H/8, W/8), each image by itself."""
        leading = image.shape[:-3]
        x = F.silu(self.conv_in(image.reshape(-1, *image.shape[-3:])))
        for conv in self.blocks:
            x = F.silu(conv(x))
        x = self.conv_out(x)
        return x.reshape(*leading, *x.shape[1:])
