"""The small nets as released: face locator, image projection, audio projection.

Source: SPEC 1.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from export.hallo2.networks.config import AudioTokensConfig, FaceLocatorConfig, FaceTokensConfig


class FaceLocator(nn.Module):
    """Where the face is, as features that are added to the stem of the denoising net."""

    def __init__(self, config: FaceLocatorConfig) -> None:
        super().__init__()
        widths = config.block_out_channels
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for before, after in pairwise(widths):
            self.blocks.append(nn.Conv2d(before, before, 3, padding=1))
            self.blocks.append(nn.Conv2d(before, after, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(widths[-1], config.out_channels, 3, padding=1)

    def forward(self, regions: torch.Tensor) -> torch.Tensor:
        """(frames, 3, H, W) in [0, 1] -> (frames, C0, H/8, W/8)."""
        x = F.silu(self.conv_in(regions))
        for conv in self.blocks:
            x = F.silu(conv(x))
        return self.conv_out(x)


class ImageProjection(nn.Module):
    """The face's embedding to image tokens."""

    def __init__(self, config: FaceTokensConfig) -> None:
        super().__init__()
        self.tokens = config.tokens
        self.proj = nn.Linear(config.embedding, config.tokens * config.width)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """(rows, 512), not normalised -> (rows, n, D)."""
        return self.norm(self.proj(embeddings).unflatten(1, (self.tokens, -1)))


class AudioProjection(nn.Module):
    """The speech features around a frame to its audio tokens."""

    def __init__(self, config: AudioTokensConfig) -> None:
        super().__init__()
        self.tokens = config.tokens
        self.proj1 = nn.Linear(config.window * config.layers * config.channels, config.hidden)
        self.proj2 = nn.Linear(config.hidden, config.hidden)
        self.proj3 = nn.Linear(config.hidden, config.tokens * config.width)
        self.norm = nn.LayerNorm(config.width)

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """(frames, 5, layers, channels) -> (frames, k, Da)."""
        x = F.relu(self.proj1(windows.flatten(1)))
        x = F.relu(self.proj2(x))
        return self.norm(self.proj3(x).unflatten(1, (self.tokens, -1)))
